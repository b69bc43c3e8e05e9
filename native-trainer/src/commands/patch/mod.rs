//! `boomerang patch`: sizes of a family as standalone models.
//!
//! Tensors are copied from file to file unchanged; no model is in memory, unless members are
//! compared on texts.

mod args;
mod card;
mod gguf;
mod members;
mod mergekit;

use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, is_gguf};
use crate::measure::order;
use crate::progress::{note, print};
use crate::sizes::{Head, choose_heads, measure};
pub use args::{Format, PatchArgs};
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::HeadPolicy;
use members::Patching;

/// Writes the chosen members.
///
/// # Errors
/// Names the folder and what does not match, or the size that does not exist.
pub fn run(args: &PatchArgs) -> anyhow::Result<()> {
    // Members of two GGUF files are their tensors, byte for byte; any other is made of numbers.
    let are_gguf = [&args.family.teacher, &args.family.student].map(|path| is_gguf(path));
    if are_gguf == [true; 2] && matches!(args.format, None | Some(Format::Gguf)) {
        return gguf::run(args);
    }
    let format = args.format.unwrap_or(Format::Hf);
    let precision = if format == Format::Gguf { None } else { args.dtype.precision()? };
    let teacher = ModelFolder::open(&args.family.teacher)?;
    let student = ModelFolder::open(&args.family.student)?;
    for folder in [&teacher, &student] {
        folder.check()?;
    }
    let plan = args.family.plan_of(&teacher, &student)?;
    if format == Format::Mergekit && args.head != Head::Untied {
        return Err(Exit::Usage.error(
            "--head is not supported for mergekit, which takes the embedding from the model of the \
             first layer and the head from that of the last",
        ));
    }
    if format == Format::Mergekit && teacher.config().tied {
        note(&format!("warning: {}", mergekit::TIED));
    }
    let calibration = (&args.calibration, &args.device);
    let order = order::choose(&args.family, calibration, &teacher, WeightFormat::F32)?;
    let patching = Patching { args, format, precision, teacher, student, plan };
    let plan = &patching.plan;
    let patches = args.choice.patches(plan, &order).or_exit(Exit::Usage)?;
    let is_tied = patching.teacher.config().tied && patching.student.config().tied;
    let mut policies = args.head.policies(is_tied);
    if args.head == Head::Untied
        && format != Format::Mergekit
        && patching.teacher.shares_tied_matrix(&patching.student)?
    {
        note("teacher and student have the same tied matrix; sizes keep one copy of it");
        policies = &[HeadPolicy::Teacher];
    }
    if args.head == Head::Auto && args.calibration.calibration.is_empty() {
        return Err(Exit::Usage.error(
            "--head auto needs texts to compare members with their teacher; give some with \
             --calibration",
        ));
    }
    let mut sizes = Vec::new();
    for patch in patches {
        for &head in policies {
            sizes.push(patching.size(patch.clone(), head)?);
        }
    }
    if !args.calibration.calibration.is_empty() {
        let Patching { teacher, student, .. } = &patching;
        let calibration = (&args.calibration, &args.device);
        measure(calibration, teacher, student, plan, &mut sizes)?;
    }
    if args.head == Head::Auto {
        sizes = choose_heads(sizes, args.head_tol);
    }
    let (chosen, sentence) = args.choice.choose(sizes).or_exit(Exit::Usage)?;
    for size in &chosen {
        patching.write(&plan.recipe(&size.patch), size)?;
    }
    if let Some(sentence) = sentence {
        print(&sentence);
    }
    Ok(())
}
