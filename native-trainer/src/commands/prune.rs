//! `boomerang prune`: a teacher's folder in, a student's folder out.

use std::path::PathBuf;

use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::prune::StudentConfig;

use crate::cli::KeepArgs;
use crate::device;
use crate::files::{ModelFolder, OutputFolder};
use crate::progress::print;

/// Cut a student out of a teacher
#[derive(Clone, Debug, clap::Args)]
pub struct PruneArgs {
    /// Folder of the teacher (config.json, model.safetensors), or its id on the Hub
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Where to write the student
    #[arg(long)]
    pub out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

pub fn run(args: &PruneArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.teacher)?;
    let teacher = folder.teacher(&device::cpu())?;
    let plan = args.keep.plan(teacher.model().n_layers())?;
    let student = teacher.prune(&plan)?;

    let precision = Precision::of_checkpoint(&folder.checkpoint()?);
    let out = OutputFolder::create(&args.out, args.force)?.apart_from(&[&args.teacher])?;
    out.write("config.json", student.model().config().to_json().as_bytes())?;
    out.write("student_config.json", StudentConfig::of(&plan).to_json().as_bytes())?;
    out.write("model.safetensors", &model_to_bytes(student.model(), precision)?)?;
    folder.copy_extras_to(out.path())?;
    out.commit()?;

    print(&format!(
        "student of {} layers (of {}), {} parameters (of {}): keeps {:?}",
        plan.n_student_layers(),
        plan.n_teacher_layers(),
        student.model().n_params(),
        teacher.model().n_params(),
        plan.kept()
    ));
    print(&format!("written to {}", args.out.display()));
    Ok(())
}
