//! A run that is resumed: what it keeps of the settings it was started with, and where it continues.

use anyhow::Context as _;
use boomerang_core::distill::{DistillSettings, Schedule};
use serde_json::Value;

use super::DistillArgs;
use crate::progress::note;
use crate::train::run_folder::{RunFolder, Saved, schedule};

/// The settings that a run was started with.
pub(super) struct Earlier(Value);

impl Earlier {
    /// Those of the run that the command resumes; `None` for a new run.
    ///
    /// # Errors
    /// When there is no run to resume.
    pub(super) fn of(args: &DistillArgs) -> anyhow::Result<Option<Self>> {
        args.resume.then(|| RunFolder::stored_settings(&args.out).map(Self)).transpose()
    }

    fn schedule(&self) -> Option<Schedule> {
        schedule(&self.0)
    }

    /// Keeps the warm-up unless the command has one: the default of a longer run would change learning
    /// rates of steps that were taken.
    pub(super) fn keep_warmup(&self, args: &DistillArgs, settings: &mut DistillSettings) {
        if let (None, Some(earlier)) = (args.warmup, self.schedule()) {
            settings.update.schedule.warmup_steps = earlier.warmup_steps;
        }
    }

    /// The steps of the first phase, which stays as long when the run is lengthened.
    pub(super) fn first_steps(&self) -> Option<usize> {
        let of_phases = &self.0["second_data"];
        let stored = of_phases["first_steps"].as_u64().map(|steps| steps as usize);
        // Runs of earlier versions have only the share.
        stored.or_else(|| {
            Some(first_steps(self.schedule()?.total_steps, of_phases["from"].as_f64()?))
        })
    }
}

/// The steps before a second phase that begins after this share of them.
pub(super) fn first_steps(n_steps: usize, share: f64) -> usize {
    (n_steps as f64 * share).round() as usize
}

/// The run to continue, and its newest checkpoint.
///
/// # Errors
/// When its settings differ, or its checkpoints are damaged.
pub(super) fn resume(
    args: &DistillArgs,
    earlier: Option<&Earlier>,
    record: &Value,
) -> anyhow::Result<(RunFolder, Option<Saved>)> {
    let run = RunFolder::resume(&args.out, record, args.allow_mismatch)?;
    let saved = run.newest()?;
    let n_taken = saved.as_ref().map_or(0, |saved| saved.state.step);
    match n_taken {
        0 => note("the run has no checkpoint yet: starting at step 0"),
        step => note(&format!("resuming after step {step}")),
    }
    let rate = saved.as_ref().map_or(1.0, |saved| saved.state.rolled_back.rate());
    let scaled = |schedule: Schedule| Schedule { peak: schedule.peak * rate, ..schedule };
    let before = earlier.and_then(Earlier::schedule);
    if let (Some(before), Some(now)) = (before.map(scaled), schedule(record).map(scaled))
        && now.total_steps > before.total_steps
    {
        note(&lengthened(&before, &now, n_taken));
    }
    Ok((run, saved))
}

/// What changes in a run of `n_taken` steps that gets more of them.
fn lengthened(before: &Schedule, now: &Schedule, n_taken: usize) -> String {
    let change =
        format!("lengthening the run from {} to {} steps", before.total_steps, now.total_steps);
    match n_taken {
        0 => change,
        step => format!(
            "{change}: the learning rate goes from {:.3e} at step {step} to {:.3e} at step {}",
            before.at(step - 1),
            now.at(step),
            step + 1
        ),
    }
}

/// The checkpoint that the first rank resumes from.
///
/// # Errors
/// When it cannot be read here.
pub(super) fn checkpoint_of_first(args: &DistillArgs) -> anyhow::Result<Option<Saved>> {
    match args.resume {
        false => Ok(None),
        true => RunFolder::newest_in(&args.out).context(
            "every rank reads the checkpoint in --out, on a file system that all of them share",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lengthened_run_reports_how_its_learning_rate_changes() {
        let [before, now] = [8, 16].map(|n_steps| Schedule::cosine(1e-2, n_steps));
        let sentence = lengthened(&before, &now, 8);
        assert!(sentence.starts_with("lengthening the run from 8 to 16 steps: "), "{sentence}");
        assert!(sentence.contains("at step 8 to 5.523e-3 at step 9"), "{sentence}");
    }

    #[test]
    fn the_first_phase_of_a_run_stays_as_long() {
        let schedule = Schedule::cosine(1e-2, 8);
        let settings = serde_json::json!({"update": {"schedule": schedule}});
        let of = |phases: Value| {
            Earlier(serde_json::json!({"settings": settings, "second_data": phases})).first_steps()
        };
        assert_eq!(of(serde_json::json!({"from": 0.25})), Some(2));
        assert_eq!(of(serde_json::json!({"from": 0.25, "first_steps": 1})), Some(1));
        assert_eq!(of(Value::Null), None);
    }
}
