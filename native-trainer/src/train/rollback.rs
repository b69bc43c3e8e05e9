//! Back to the newest checkpoint, when too many steps in a row were left out: with the data after those
//! steps, and half the learning rate.

use std::path::Path;

use boomerang_core::distill::Distiller;
use boomerang_core::prune::Student;
use serde::{Deserialize, Serialize};

use super::guard::{Guard, GuardSettings};
use super::ranks::Ranks;
use super::run_folder::{RunFolder, Saved, State};
use crate::exit::{Exit, OrExit as _};

/// How often a run goes back; a run that diverges again needs other settings.
pub const MOST: usize = 3;

/// What roll-backs have changed in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// How often.
    pub times: usize,
    /// The step of the last checkpoint that the run went back to.
    pub to_step: usize,
    /// Steps whose data were passed over.
    pub skipped_steps: usize,
}

impl RolledBack {
    /// Whether the run never went back.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What the learning rate is multiplied by.
    pub fn rate(&self) -> f64 {
        0.5_f64.powi(self.times as i32)
    }

    /// After going back once more.
    fn again(self, from_step: usize, to_step: usize) -> Self {
        let skipped_steps = self.skipped_steps + from_step.saturating_sub(to_step);
        Self { times: self.times + 1, to_step, skipped_steps }
    }
}

/// The student of a checkpoint, on the device of a replica.
type ReadStudent<'a> = Box<dyn Fn(&Saved) -> anyhow::Result<Student> + 'a>;

/// How one replica goes back. All of them do, as all leave out the same steps.
pub struct Rollback<'a> {
    pub run: &'a Path,
    pub student: ReadStudent<'a>,
    /// The processes that share the steps.
    pub ranks: Option<&'a Ranks>,
}

/// Where a run continues.
pub struct Returned {
    pub state: State,
    /// The lines of the steps before.
    pub metrics: String,
    pub guard: Guard,
}

impl Rollback<'_> {
    /// Gives a replica the student and optimizer of the newest checkpoint; `None` when the run has gone
    /// back often enough, which `before` has, or has no checkpoint.
    ///
    /// # Errors
    /// When the checkpoint cannot be read, or another replica has another one or has stopped.
    pub fn go_back(
        &self,
        distiller: &mut Distiller,
        settings: GuardSettings,
        before: RolledBack,
    ) -> anyhow::Result<Option<Returned>> {
        if !settings.rolls_back || before.times >= MOST {
            return Ok(None);
        }
        let Some(saved) = RunFolder::newest_in(self.run)? else { return Ok(None) };
        if let Some(ranks) = self.ranks {
            ranks.agree(&saved.fingerprint())?;
        }
        let to_step = saved.state.step;
        let rolled_back = before.again(distiller.n_steps(), to_step);
        let student = (self.student)(&saved)?;
        let rate = rolled_back.rate() / before.rate();
        distiller.rewind(student, to_step, &saved.optimizer, rate).or_exit(Exit::Unusable)?;
        // The first replica writes a checkpoint next, under the name of this one: all have read it.
        distiller.agree(true)?;
        let state = State { rolled_back, ..saved.state };
        let guard = Guard::after_lines(settings, &saved.metrics, to_step);
        Ok(Some(Returned { state, metrics: saved.metrics.clone(), guard }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_return_halves_the_rate_and_passes_over_the_data_of_the_steps_between() {
        let once = RolledBack::default().again(9, 4);
        assert_eq!(once, RolledBack { times: 1, to_step: 4, skipped_steps: 5 });
        assert_eq!(once.rate(), 0.5);
        let twice = once.again(6, 4);
        assert_eq!(twice, RolledBack { times: 2, to_step: 4, skipped_steps: 7 });
        assert_eq!(twice.rate(), 0.25);
    }
}
