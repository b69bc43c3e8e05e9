//! How a bundle stores its weights: what that saves, and what it costs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkpoint::StoredAs;
use crate::distill::Batch;
use crate::evaluate::{PrefixTree, ReadBackError, Stack};
use crate::plan::Patch;
use crate::prune::Family;
use crate::search::divergences;

/// How the weights of a bundle are stored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub precision: StoredAs,
    /// Bytes of the weight files over those of the weights in f32.
    pub bytes_share: f64,
    #[serde(flatten)]
    pub loss: StoringLoss,
}

impl Stored {
    /// The sentence with all that was measured.
    pub fn in_full(&self) -> String {
        let StoringLoss { kl_max, n_tokens, .. } = self.loss;
        format!("{self} and at most {} at one ({n_tokens} tokens at every size)", nats(kl_max))
    }
}

/// `stored as q8_0, in 26.7 % of the bytes of f32, at a loss of 0.00042 nats a token`
impl fmt::Display for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (precision, percent) = (self.precision, 100.0 * self.bytes_share);
        let loss = nats(self.loss.kl_mean);
        write!(
            formatter,
            "stored as {precision}, in {percent:.1} % of the bytes of f32, at a loss of {loss} a token"
        )
    }
}

/// How far members are, once stored, from what they were before, on some texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoringLoss {
    /// `KL(before ‖ stored)` of the next token in nats, over tokens and sizes; at least 0.
    pub kl_mean: f64,
    /// The same at the token and the size where it is largest.
    pub kl_max: f64,
    /// Tokens that every size has read.
    pub n_tokens: usize,
}

impl StoringLoss {
    /// Compares the members of `path` one by one; a forward pass of each before and after at a time.
    /// `progress` is told the sizes compared so far. `None` when the texts have no next token.
    ///
    /// # Errors
    /// [`ReadBackError`] when the device is lost.
    pub async fn measure(
        before: &Family,
        stored: &Family,
        path: &[Patch],
        batches: &[Batch],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<Self>, ReadBackError> {
        let has_target = |batch: &Batch| {
            batch.rows().iter().any(|row| (0..batch.seq()).any(|place| row.has_target(place)))
        };
        let n_tokens = batches.iter().map(Batch::n_tokens).sum();
        if path.is_empty() || !batches.iter().all(has_target) || n_tokens == 0 {
            return Ok(None);
        }
        let (mut kl_sum, mut kl_max) = (0.0, 0.0_f64);
        for (number, patch) in path.iter().enumerate() {
            let reference = before.member(patch);
            let models = [stored.teacher().model(), stored.student().model(), &reference];
            let tree = PrefixTree::new(&[Stack::new(&stored.plan().recipe(patch), 0, 1)]);
            let found = divergences(&models, &tree, 2, batches, &mut |_| {}).await?;
            for divergence in found {
                kl_sum += divergence.kl.mean;
                kl_max = kl_max.max(divergence.kl_max);
            }
            progress(number + 1);
        }
        Ok(Some(Self { kl_mean: kl_sum / path.len() as f64, kl_max, n_tokens }))
    }
}

/// Two digits that say something, however small the number: `0.00042 nats`.
fn nats(kl: f64) -> String {
    let n_decimals =
        if kl > 0.0 { (1.0 - kl.log10().floor()).clamp(1.0, 12.0) as usize } else { 0 };
    format!("{kl:.n_decimals$} nats")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Precision;

    #[test]
    fn a_small_loss_is_told_with_two_digits() {
        let told = [0.0, 0.000_423, 0.0123, 1.5, 21.25, 1e-30].map(nats);
        assert_eq!(told[..3], ["0 nats", "0.00042 nats", "0.012 nats"]);
        assert_eq!(told[3..], ["1.5 nats", "21.2 nats", "0.000000000000 nats"]);
    }

    #[test]
    fn a_manifest_names_a_format_as_the_command_line_does() {
        for stored_as in [StoredAs::Q8_0, Precision::Bf16.into()] {
            let loss = StoringLoss { kl_mean: 0.5, kl_max: 1.0, n_tokens: 7 };
            let stored = Stored { precision: stored_as, bytes_share: 0.25, loss };
            let json = serde_json::to_string(&stored).unwrap();
            assert!(json.starts_with(&format!("{{\"precision\":\"{stored_as}\"")), "{json}");
            assert_eq!(serde_json::from_str::<Stored>(&json).unwrap(), stored);
        }
    }
}
