//! The protocol between the page and the distillation worker; weights are sent beside it as files.

use boomerang_core::distill::LossTerms;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::LayerPlan;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::parcel::FromWorker;

/// The version of the protocol in this build.
pub const PROTOCOL: u32 = 2;

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Fetch the teacher and distill a student from it. A worker distills one.
    Start {
        /// The teacher's files are fetched relative to it.
        manifest_url: String,
        manifest: String,
        settings: DistillSettings,
        /// Names of the training texts, which come with this message in this order; none for the
        /// generated corpus.
        texts: Vec<String>,
    },
    /// Pause after the current step.
    Pause,
    /// Continue after a pause.
    Resume,
    /// Stop after the current step.
    Stop,
    /// Send the student as it is now, as a family with its teacher.
    HandOver,
}

/// The settings of a distillation run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistillSettings {
    /// Which teacher layers the student keeps.
    pub plan: LayerPlan,
    pub n_steps: usize,
    /// The maximum of its schedule.
    pub learning_rate: f64,
    pub loss: LossWeights,
    /// Of the order of the training data.
    pub seed: u64,
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs and listens; it has received nothing sent before this. It stays the first.
    Ready {
        protocol: u32,
    },
    /// More bytes of the teacher are loaded.
    Progress {
        bytes: u64,
        total: u64,
    },
    /// The teacher is loaded, and the student is pruned from it.
    Started {
        /// `None` for the generated corpus.
        texts: Option<TextsRead>,
    },
    /// The held-out loss after so many steps.
    HeldOut {
        step: usize,
        loss: f64,
    },
    Step(DistillStep),
    /// No step is taken until `Resume`.
    Paused,
    Resumed,
    /// No further step is taken.
    Ended,
    /// The student's files come with this message, in the order of `paths`.
    HandedOver {
        manifest: String,
        paths: Vec<String>,
    },
    /// The run has failed.
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

/// Statistics of the user's texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextsRead {
    pub names: Vec<String>,
    pub n_tokens: usize,
    /// Of these: unknown words, for which the tokenizer has no token.
    pub n_unknown: usize,
    /// Of these: held out for evaluation.
    pub n_held_out: usize,
}

/// One optimizer step, as it is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistillStep {
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
        let settings = DistillSettings {
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
