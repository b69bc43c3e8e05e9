//! The finished student of a run: that of its last step, or of its best measurement.

use anyhow::Context as _;
use boomerang_core::checkpoint::{Precision, write_model};
use boomerang_core::prune::{Student, StudentConfig};

use super::DistillArgs;
use super::card::Card;
use crate::files::{ModelFolder, OutputFolder, write_fingerprints, write_hashed};
use crate::progress::{note, print};
use crate::train::best::BestSettings;
use crate::train::run_folder::{RunFolder, Saved};

/// The checkpoint of the best measurement, if it becomes the student.
///
/// # Errors
/// When it is damaged.
pub(super) fn best(args: &DistillArgs, run: &RunFolder) -> anyhow::Result<Option<Saved>> {
    if !args.keep_best {
        return Ok(None);
    }
    let best = run.best().context(
        "the best checkpoint cannot be read; resume without --keep-best to write the student of the last \
         step",
    )?;
    if best.is_none() {
        note(
            "there is no checkpoint of a finite measurement, so the student is that of the last step",
        );
    }
    Ok(best)
}

/// Prints where the student is, and of which step it is.
pub(super) fn report(run: &RunFolder, settings: Option<BestSettings>, best: Option<&Saved>) {
    let written = format!("student written to {}", run.student().display());
    let measured = settings.zip(best).and_then(|(settings, best)| {
        let measured = settings.measured_after(best.state.step, &best.metrics)?;
        Some(settings.describe(measured))
    });
    match measured {
        Some(of_step) => print(&format!("{written}: {of_step}")),
        None => print(&written),
    }
}

/// Writes the student in f32, as the reference implementation saves it.
///
/// # Errors
/// When it cannot be written, or a weight is not finite.
pub(super) fn write_student(
    run: &RunFolder,
    student: &Student,
    teacher: &ModelFolder,
    card: &Card<'_>,
) -> anyhow::Result<()> {
    let out = OutputFolder::create(&run.student(), true)?;
    out.write("student_config.json", StudentConfig::of(student.plan()).to_json().as_bytes())?;
    write_fingerprints(&out, &teacher.fingerprint()?)?;
    write_hashed(&out, "model.safetensors", |out| {
        write_model(student.model(), Precision::F32, out)
    })?;
    teacher.describe_in(&out, student.model().config())?;
    out.write("README.md", card.to_markdown(run).as_bytes())?;
    out.commit().context("writing the student")?;
    Ok(())
}
