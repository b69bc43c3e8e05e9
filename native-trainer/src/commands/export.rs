//! `boomerang export`: a model's folder in, a GGUF file out.

use std::path::PathBuf;

use anyhow::Context as _;
use boomerang_core::gguf::{Conversion, plan_to_metadata};

use crate::args::{Dtype, OutputArgs, parse_dtype};
use crate::files::{ModelFolder, name_gguf, write_conversion};
use crate::progress::{note, print};

/// Convert a model to a GGUF file for llama.cpp
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output file")))]
pub struct ExportArgs {
    /// Model: folder, recipe or Hub id
    pub model: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Number format: keep, f32, f16, bf16, q8_0 or q4_0. For k-quants, write f16 and run
    /// llama.cpp's llama-quantize on the file
    #[arg(long, value_parser = parse_dtype, default_value = "keep", value_name = "FORMAT")]
    pub dtype: Dtype,
}

/// # Errors
/// Names the tensor that is missing, or the feature that GGUF cannot represent.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.model)?;
    let out = args.output.file()?;
    folder.check()?;
    let checkpoint = folder.checkpoint()?;
    let mut conversion = Conversion::new(&checkpoint, folder.config(), args.dtype.0)
        .with_context(|| args.model.display().to_string())?;
    let name = args.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name_gguf(&mut conversion, &name, &folder, folder.config())?;
    let plan = folder.plan()?;
    if let Some(plan) = &plan {
        plan_to_metadata(plan, &mut conversion.metadata);
    }
    for warning in &conversion.notes {
        note(&format!("{}: {warning}", args.output.out.display()));
    }
    write_conversion(out, &conversion, &folder)?;
    let n_bytes: usize = conversion.tensors.iter().map(|tensor| tensor.n_bytes()).sum();
    let student = match plan {
        Some(plan) => format!(", student of a teacher with {} layers", plan.n_teacher_layers()),
        None => String::new(),
    };
    print(&format!(
        "{}: {} layers, {} tensors, {n_bytes} bytes{student}",
        args.output.out.display(),
        folder.config().n_layers(),
        conversion.tensors.len()
    ));
    Ok(())
}
