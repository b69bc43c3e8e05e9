//! A run as bytes, from which it is resumed with the same losses: settings, training texts, weights and
//! optimizer state.

use boomerang_core::checkpoint::CheckpointError;
use boomerang_core::distill::OptimizerStateError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::messages::{DistillSettings, TextsRead};
use crate::parcel::{from_bytes, to_bytes};
use crate::sealed::{SealError, SealedFormat, seal, unseal};

/// Whatever changes in [`RunHead`] or in a message that it contains changes the version.
const FORMAT: SealedFormat = SealedFormat { magic: *b"bmrg-run", version: 1 };

/// A larger one is not stored: the browser would hold it twice while it is written.
pub const MOST_BYTES: u64 = 256 << 20;

/// All of a run but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHead {
    /// [`Manifest::teacher_fingerprint`](boomerang_core::bundle::Manifest::teacher_fingerprint).
    pub teacher: String,
    pub settings: DistillSettings,
    pub n_steps_done: usize,
    pub texts: Option<TextsRead>,
    /// The user's texts as tokens; none for the generated corpus.
    pub documents: Vec<Vec<u32>>,
}

/// A run at some step.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCheckpoint {
    pub head: RunHead,
    /// The student's weights in f32, as safetensors.
    pub student: Vec<u8>,
    /// The moments of AdamW, as safetensors.
    pub optimizer: Vec<u8>,
}

/// Why a run cannot be resumed, or not be stored.
#[derive(Debug, Error)]
pub enum RunCheckpointError {
    #[error("its checkpoint cannot be used: {0}")]
    Seal(#[from] SealError),
    #[error("its checkpoint cannot be used: {0}")]
    Contents(String),
    #[error(
        "it was distilled from another teacher ({found}); the teacher of this page is {expected}"
    )]
    Teacher { found: String, expected: String },
    #[error("its checkpoint would take {} MB; at most {} MB are stored", found >> 20, MOST_BYTES >> 20)]
    TooLarge { found: u64 },
    #[error("its weights cannot be stored or restored")]
    Weights(#[from] CheckpointError),
    #[error(transparent)]
    Optimizer(#[from] OptimizerStateError),
}

impl RunCheckpoint {
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = to_bytes(&self.head);
        let lengths =
            [head.len(), self.student.len()].map(|n_bytes| (n_bytes as u64).to_le_bytes());
        seal(FORMAT, &[&lengths[0], &lengths[1], &head, &self.student, &self.optimizer])
    }

    /// # Errors
    /// [`RunCheckpointError`] for bytes that are damaged or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, RunCheckpointError> {
        let mut rest = unseal(FORMAT, bytes)?;
        let mut take = |n_bytes: u64| {
            let short = || RunCheckpointError::Contents("its lengths are wrong".to_owned());
            let n_bytes = usize::try_from(n_bytes).map_err(|_| short())?;
            let (taken, after) = rest.split_at_checked(n_bytes).ok_or_else(short)?;
            rest = after;
            Ok::<_, RunCheckpointError>(taken)
        };
        let mut length = || Ok::<_, RunCheckpointError>(le_u64(take(8)?));
        let (n_head, n_student) = (length()?, length()?);
        let head = from_bytes(take(n_head)?).map_err(RunCheckpointError::Contents)?;
        let student = take(n_student)?.to_vec();
        Ok(Self { head, student, optimizer: rest.to_vec() })
    }
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use boomerang_core::distill::loss::LossWeights;
    use boomerang_core::plan::LayerPlan;

    use super::*;

    fn checkpoint() -> RunCheckpoint {
        let settings = DistillSettings {
            plan: LayerPlan::keep(&[0, 2], 4).unwrap(),
            n_steps: 3,
            learning_rate: 1e-3,
            loss: LossWeights::default(),
            seed: 1,
        };
        let head = RunHead {
            teacher: "abc".to_owned(),
            settings,
            n_steps_done: 2,
            texts: None,
            documents: vec![vec![1, 2], vec![3]],
        };
        RunCheckpoint { head, student: vec![1; 70], optimizer: vec![2; 90] }
    }

    #[test]
    fn a_checkpoint_survives_the_store() {
        assert_eq!(RunCheckpoint::parse(&checkpoint().to_bytes()).unwrap(), checkpoint());
    }

    #[test]
    fn a_damaged_checkpoint_is_refused() {
        let mut bytes = checkpoint().to_bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let refused = RunCheckpoint::parse(&bytes).unwrap_err().to_string();
        assert!(refused.contains("it is damaged: its SHA-256"), "{refused}");
    }

    #[test]
    fn lengths_beyond_the_contents_are_refused() {
        let lie = seal(FORMAT, &[&[255; 16], b"short"]);
        let refused = RunCheckpoint::parse(&lie).unwrap_err().to_string();
        assert!(refused.contains("lengths are wrong"), "{refused}");
    }
}
