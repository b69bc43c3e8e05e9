//! What the page and the teaching worker say to each other; weights go beside it as files.

use boomerang_core::distill::LossTerms;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::LayerPlan;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::parcel::FromWorker;

/// What this build speaks.
pub const PROTOCOL: u32 = 2;

/// The page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Fetch the teacher and teach a student of it. A worker teaches one.
    Start {
        /// The teacher's files are fetched relative to it.
        manifest_url: String,
        manifest: String,
        settings: CourseSettings,
        /// Names of the texts to learn from, which come with this message in this order; none for the
        /// generated corpus.
        texts: Vec<String>,
    },
    /// Take no further step for now.
    Pause,
    /// Go on.
    Resume,
    /// Take no further step.
    Stop,
    /// Give the student away as it is now, as a family with its teacher.
    HandOver,
}

/// How a student is taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CourseSettings {
    /// Which teacher layers it starts with.
    pub plan: LayerPlan,
    pub n_steps: usize,
    /// The largest of the course.
    pub learning_rate: f64,
    pub loss: LossWeights,
    /// Of the lines it reads.
    pub seed: u64,
}

/// The worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs and listens; nothing that was sent before this was heard. It stays the first.
    Ready {
        protocol: u32,
    },
    /// More bytes of the teacher have arrived.
    Progress {
        bytes: u64,
        total: u64,
    },
    /// The teacher is here, and the student is cut out of it.
    Started {
        /// `None` for the generated corpus.
        texts: Option<TextsRead>,
    },
    /// The loss on what the student does not learn from, after so many steps.
    HeldOut {
        step: usize,
        loss: f64,
    },
    Step(TaughtStep),
    /// No step is taken until the page says so.
    Paused,
    Resumed,
    /// No step is taken any more.
    Ended,
    /// The student's files come with this message, in the order of `paths`.
    HandedOver {
        manifest: String,
        paths: Vec<String>,
    },
    /// Nothing more comes of this course.
    Failed {
        notice: Notice,
    },
}

impl FromWorker for Reply {
    const PROTOCOL: u32 = PROTOCOL;

    fn protocol(&self) -> Option<u32> {
        if let Self::Ready { protocol } = self { Some(*protocol) } else { None }
    }
}

/// What was found in the reader's texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextsRead {
    pub names: Vec<String>,
    pub n_tokens: usize,
    /// Of these: words that the teacher has no token for.
    pub n_unknown: usize,
    /// Of these: held out, to be measured on.
    pub n_held_out: usize,
}

/// One step of the optimizer, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaughtStep {
    /// From 1.
    pub step: usize,
    pub terms: LossTerms,
    /// Before clipping.
    pub grad_norm: f64,
    pub learning_rate: f64,
    /// Without padding.
    pub n_tokens: usize,
    pub tokens_per_second: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::{from_bytes, to_bytes};

    #[test]
    fn settings_survive_the_way_to_the_worker() {
        let settings = CourseSettings {
            plan: LayerPlan::keep(&[0, 2, 3], 5).unwrap(),
            n_steps: 3,
            learning_rate: 2e-3,
            loss: LossWeights { kl: 0.0, ..LossWeights::default() },
            seed: 7,
        };
        let (manifest_url, manifest) = (String::new(), String::new());
        let texts = vec!["a.txt".to_owned()];
        let request = Request::Start { manifest_url, manifest, settings, texts };
        assert_eq!(from_bytes::<Request>(&to_bytes(&request)).unwrap(), request);
    }
}
