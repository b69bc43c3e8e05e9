//! One run of the view: its stage, its record, and whether it is stored.

use boomerang_engine::distillation::messages::SizeLoss;
use boomerang_engine::notice::Notice;

use super::record::Record;

/// A run, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Of its record in the store.
    pub key: String,
    /// Counted from 1.
    pub number: usize,
    pub teacher: TeacherName,
    pub record: Record,
    pub stage: DistillStage,
    pub keeping: Keeping,
    /// Steps of the last checkpoint, in memory or stored.
    pub n_saved_steps: Option<usize>,
    /// What is requested of the student.
    pub task: Option<Task>,
    /// Sizes measured so far, while they are.
    pub measuring: Vec<SizeLoss>,
    /// Why the last task, or the run itself, failed.
    pub failure: Option<Notice>,
    /// For how long the browser suspended the run.
    pub suspended_millis: f64,
    /// For how long its worker has not answered, if for long.
    pub silent_seconds: Option<u32>,
}

impl Run {
    /// A run that waits for its first step.
    pub fn new(key: String, number: usize, teacher: TeacherName, record: Record) -> Self {
        Self {
            key,
            number,
            teacher,
            record,
            stage: DistillStage::Queued,
            keeping: Keeping::NotYet,
            n_saved_steps: None,
            task: None,
            measuring: Vec::new(),
            failure: None,
            suspended_millis: 0.0,
            silent_seconds: None,
        }
    }
}

/// The teacher of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeacherName {
    pub fingerprint: String,
    /// Of its bundle.
    pub bundle: String,
}

/// The stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistillStage {
    /// As many runs as there are cores for are under way.
    Queued,
    /// The program is being loaded.
    Starting,
    /// The teacher is being loaded.
    Loading {
        bytes: u64,
        total: u64,
    },
    Running,
    Paused,
    /// Before its last step, by the user or by a reload.
    Stopped,
    /// No further step follows.
    Ended,
    Failed,
}

/// Whether a run would survive a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing was written yet.
    NotYet,
    /// As it was after so many steps.
    Stored { n_steps: usize },
    /// Only in memory, for this reason.
    InMemory { why: String },
}

/// What is requested of a student.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    PutOnDial,
    MeasureSizes,
}

impl DistillStage {
    /// As in `data-state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting | Self::Loading { .. } => "loading",
            Self::Running => "teaching",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// Whether a core is used.
    pub fn is_computing(self) -> bool {
        matches!(self, Self::Starting | Self::Loading { .. } | Self::Running)
    }

    /// Whether steps follow without another request, or after a pause.
    pub fn is_busy(self) -> bool {
        self.is_computing() || matches!(self, Self::Queued | Self::Paused)
    }

    /// Whether there is a student, and no step is being taken.
    pub fn has_student(self) -> bool {
        matches!(self, Self::Paused | Self::Stopped | Self::Ended)
    }
}

impl Run {
    /// Whether a task can be requested.
    pub fn is_idle(&self) -> bool {
        self.stage.has_student() && self.task.is_none()
    }

    /// Whether it can take more steps, from its checkpoint if its worker is gone.
    pub fn can_resume(&self) -> bool {
        let is_saved = self.n_saved_steps.is_some() && self.task.is_none();
        match self.stage {
            DistillStage::Paused => true,
            DistillStage::Stopped | DistillStage::Failed => is_saved,
            _ => false,
        }
    }

    /// Whether a reload would lose it, but for a few seconds of steps.
    pub fn is_at_risk(&self) -> bool {
        let has_something = self.stage.is_busy() || self.stage.has_student();
        has_something && !matches!(self.keeping, Keeping::Stored { .. })
    }

    /// `run 3`.
    pub fn name(&self) -> String {
        format!("run {}", self.number)
    }
}

/// The index of the run that starts next, when at most `n_slots` compute at once.
pub fn next_to_start(stages: &[DistillStage], n_slots: usize) -> Option<usize> {
    let n_computing = stages.iter().filter(|stage| stage.is_computing()).count();
    let is_waiting = |stage: &DistillStage| *stage == DistillStage::Queued;
    stages.iter().position(is_waiting).filter(|_| n_computing < n_slots)
}

/// How many runs compute at once on a machine with so many cores; the rest of it stays usable.
pub fn n_slots(n_cores: f64) -> usize {
    if n_cores >= 2.0 { 2 } else { 1 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::state::distillation::record::tests::record;

    pub(in crate::state::distillation) fn run(number: usize, stage: DistillStage) -> Run {
        let (key, record) = (number.to_string(), record(&[3.0, 2.0]));
        Run { stage, ..Run::new(key, number, TeacherName::default(), record) }
    }

    #[test]
    fn two_runs_compute_at_once_where_there_are_two_cores() {
        use DistillStage::{Ended, Paused, Queued, Running};
        assert_eq!([n_slots(1.0), n_slots(2.0), n_slots(64.0)], [1, 2, 2]);
        assert_eq!(next_to_start(&[Running, Queued], 1), None);
        assert_eq!(next_to_start(&[Running, Queued], 2), Some(1));
        assert_eq!(next_to_start(&[Running, Running, Queued], 2), None);
        // A run that takes no steps leaves its core to another.
        assert_eq!(next_to_start(&[Paused, Ended, Running, Queued, Queued], 2), Some(3));
    }

    #[test]
    fn a_reload_is_safe_once_a_run_is_stored() {
        let mut run = run(1, DistillStage::Running);
        assert!(run.is_at_risk());
        run.keeping = Keeping::Stored { n_steps: 2 };
        assert!(!run.is_at_risk());
        run.keeping = Keeping::InMemory { why: "full".to_owned() };
        run.stage = DistillStage::Ended;
        assert!(run.is_at_risk());
        run.stage = DistillStage::Failed;
        assert!(!run.is_at_risk());
    }

    #[test]
    fn only_a_run_with_a_checkpoint_is_resumed() {
        let mut run = run(1, DistillStage::Stopped);
        assert!(!run.can_resume());
        run.n_saved_steps = Some(2);
        assert!(run.can_resume());
        run.stage = DistillStage::Ended;
        assert!(!run.can_resume());
    }
}
