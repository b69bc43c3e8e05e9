//! The protocol between the page and the distillation worker; weights are sent beside it as files.

use boomerang_core::distill::LossTerms;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::LayerPlan;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::parcel::FromWorker;

/// The version of the protocol in this build.
pub const PROTOCOL: u32 = 3;

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Fetch the teacher and distill a student from it. A worker distills one.
    Start {
        /// The teacher's files are fetched relative to it.
        manifest_url: String,
        manifest: String,
        origin: Origin,
        /// Take no step before `Resume`.
        is_paused: bool,
    },
    /// Pause after the current step.
    Pause,
    /// Continue after a pause.
    Resume,
    /// Stop after the current step.
    Stop,
    /// Send the student as it is now, as a family with its teacher; its name ends with `label`.
    HandOver { label: String },
    /// Measure the loss of every size of the student as it is now, and of the bundle's family on the
    /// same sequences.
    MeasureSizes,
}

/// What a run starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Origin {
    New {
        settings: DistillSettings,
        /// Names of the training texts, which come with this message in this order; none for the
        /// generated corpus.
        texts: Vec<String>,
    },
    /// The checkpoint that comes with this message.
    Checkpoint {
        /// Of the run, for notices.
        name: String,
    },
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
    /// The teacher is loaded, and the student is pruned from it or restored.
    Started {
        /// Taken before, if the run is resumed.
        n_steps_done: usize,
        /// `None` for the generated corpus.
        texts: Option<TextsRead>,
    },
    HeldOut(HeldOutLoss),
    Step(DistillStep),
    Glimpse(Glimpse),
    /// The run can be resumed from the checkpoint that comes with this message.
    Saved {
        n_steps_done: usize,
    },
    /// No checkpoint can be written, for this reason.
    NotSaved {
        why: String,
    },
    /// For this long the browser let the worker do nothing between two steps.
    Suspended {
        millis: f64,
    },
    /// The next size, smallest first.
    SizeMeasured(SizeLoss),
    /// All sizes are measured.
    SizesMeasured,
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

/// How well the student predicts the held-out sequences, after so many steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOutLoss {
    pub step: usize,
    /// Cross-entropy in nats/token, whatever the weights of the loss: comparable between runs.
    pub nats: f64,
    /// The loss that is minimized, on these sequences.
    pub terms: LossTerms,
}

/// What the student is like after so many steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glimpse {
    pub step: usize,
    /// Mean cosine similarity of each student layer's output with that of its teacher block, from -1 to
    /// 1, on a few held-out sequences; first layer first.
    pub similarity: Vec<f64>,
    /// A prompt and its greedy continuation.
    pub prompt: String,
    pub text: String,
}

/// The loss of one size on the held-out sequences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeLoss {
    /// Whether it is a size of the bundle's own family, for comparison.
    pub is_bundle: bool,
    pub n_layers: usize,
    /// Cross-entropy in nats/token.
    pub nats: f64,
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
        let origin = Origin::New { settings, texts };
        let request = Request::Start { manifest_url, manifest, origin, is_paused: false };
        assert_eq!(from_bytes::<Request>(&to_bytes(&request)).unwrap(), request);
    }
}
