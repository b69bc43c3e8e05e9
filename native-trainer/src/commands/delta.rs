//! `boomerang delta`: the student of a post-trained teacher, from that of its base, without training.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boomerang_core::checkpoint::{DeltaParents, DeltaSizes, Parent, Precision};
use boomerang_core::prune::StudentConfig;
use serde_json::json;

use crate::args::OutputArgs;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, write_fingerprints, write_hashed};
use crate::progress::print;

/// Make the student of a post-trained teacher from the student of its base, without training
#[derive(Clone, Debug, clap::Args)]
pub struct DeltaArgs {
    /// Teacher that the student was distilled from: model folder or Hub id
    #[arg(long, alias = "teacher")]
    pub base: PathBuf,
    /// Student of the base: model folder (with student_config.json) or Hub id
    #[arg(long)]
    pub student: PathBuf,
    /// Post-trained variant of the base, such as its chat model: model folder or Hub id
    #[arg(long)]
    pub variant: PathBuf,
    /// Accept a student that was made from another teacher than --base
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// # Errors
/// When the three models do not fit together, or a file cannot be written.
pub fn run(args: &DeltaArgs) -> anyhow::Result<()> {
    let [base, student, variant] =
        [&args.base, &args.student, &args.variant].map(|path| ModelFolder::open(path));
    let (base, student, variant) = (base?, student?, variant?);
    student.check_teacher(&base, args.allow_mismatch)?;
    let plan = student.required_plan()?;
    let out = args.output.folder()?;
    for folder in [&base, &student, &variant] {
        folder.check()?;
    }
    let [of_base, of_student, of_variant] =
        [&base, &student, &variant].map(ModelFolder::checkpoint);
    let (of_base, of_student, of_variant) = (of_base?, of_student?, of_variant?);
    let parents = DeltaParents {
        base: Parent { checkpoint: &of_base, config: base.config() },
        student: Parent { checkpoint: &of_student, config: student.config() },
        variant: Parent { checkpoint: &of_variant, config: variant.config() },
    };
    let precision = of_student.widest_precision().unwrap_or(Precision::F32);
    let delta = parents.delta(&plan).or_exit(Exit::Unusable)?;
    let mut sizes = Vec::new();
    write_hashed(&out, "model.safetensors", |file| {
        sizes = delta.write(precision, file)?;
        Ok(())
    })?;
    out.write("student_config.json", StudentConfig::of(&plan).to_json().as_bytes())?;
    write_fingerprints(&out, &variant.fingerprint()?)?;
    let config = variant.config().keeping(&plan.kept());
    variant.describe_in(&out, &config)?;
    out.commit()?;
    report(args, &sizes);
    Ok(())
}

/// Cosine and ratio of both changes, by kind of tensor.
fn report(args: &DeltaArgs, sizes: &[DeltaSizes]) {
    let mut kinds = BTreeMap::<String, Vec<&DeltaSizes>>::new();
    for one in sizes {
        kinds.entry(kind(&one.name)).or_default().push(one);
    }
    let mut rows: Vec<DeltaSizes> =
        kinds.into_iter().map(|(kind, all)| DeltaSizes::total(&kind, all)).collect();
    rows.push(DeltaSizes::total("all", sizes));
    if args.json {
        let row = |row: &DeltaSizes| json!({"tensors": row.name, "cosine": row.cosine(), "norm_ratio": row.norm_ratio()});
        print(&json!(rows.iter().map(row).collect::<Vec<_>>()).to_string());
        return;
    }
    print("changes by post-training and by distillation:");
    print("tensors                               cosine   norm ratio");
    for row in &rows {
        print(&format!("{:<36} {:>7.3}   {:>10.3}", row.name, row.cosine(), row.norm_ratio()));
    }
    print(
        "The nearer the cosine is to 0 and the smaller the ratio, the less the changes disturb each other.",
    );
    print(&format!("written to {}", args.output.out.display()));
}

/// A tensor's name without the number of its layer.
fn kind(name: &str) -> String {
    let parts = name.split('.').filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}
