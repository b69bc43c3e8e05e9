//! Number format of a bundle's weights: size and loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkpoint::StoredAs;
use crate::distill::Batch;
use crate::evaluate::{PrefixTree, ReadBackError, Stack};
use crate::plan::Patch;
use crate::prune::Family;
use crate::search::divergences;

/// Number format of a bundle's weights, with its size and its loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub precision: StoredAs,
    /// Size of the weight files relative to f32.
    pub bytes_share: f64,
    #[serde(flatten)]
    pub loss: StoringLoss,
}

impl Stored {
    /// The sentence with all measured numbers.
    pub fn in_full(&self) -> String {
        let StoringLoss { kl_max, n_tokens, .. } = self.loss;
        format!(
            "{self} on average, at most {}/token ({n_tokens} tokens at every size)",
            nats(kl_max)
        )
    }
}

/// `stored as q8_0, 26.7 % of the size of f32, KL divergence 0.00042 nats/token`
impl fmt::Display for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (precision, percent) = (self.precision, 100.0 * self.bytes_share);
        let loss = nats(self.loss.kl_mean);
        write!(
            formatter,
            "stored as {precision}, {percent:.1} % of the size of f32, KL divergence {loss}/token"
        )
    }
}

/// KL divergence of members after storing from before, on some texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoringLoss {
    /// Mean `KL(before ‖ stored)` of the next-token distribution in nats, over tokens and sizes; at
    /// least 0.
    pub kl_mean: f64,
    /// Maximum over tokens and sizes.
    pub kl_max: f64,
    /// Tokens measured at every size.
    pub n_tokens: usize,
}

impl StoringLoss {
    /// Compares the members of `path` one by one, with one forward pass each before and after.
    /// `progress` receives the number of batches compared so far, those of every size. `None` if the texts have no next
    /// token.
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
            batch.rows().iter().any(|row| (0..batch.seq()).any(|position| row.has_target(position)))
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
            let before = number * batches.len();
            let mut compared = |n_batches| progress(before + n_batches);
            let found = divergences(&models, &tree, 2, batches, &mut compared).await?;
            for divergence in found {
                kl_sum += divergence.kl.mean;
                kl_max = kl_max.max(divergence.kl_max);
            }
        }
        Ok(Some(Self { kl_mean: kl_sum / path.len() as f64, kl_max, n_tokens }))
    }
}

/// Two significant digits, however small the number: `0.00042 nats`, `2.1e-7 nats`.
fn nats(kl: f64) -> String {
    if kl > 0.0 && kl < 1e-4 {
        return format!("{kl:.1e} nats");
    }
    let n_decimals = if kl > 0.0 { (1.0 - kl.log10().floor()).max(1.0) as usize } else { 0 };
    format!("{kl:.n_decimals$} nats")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Precision;

    #[test]
    fn a_small_loss_has_two_significant_digits() {
        let shown = [0.0, 0.000_423, 0.0123, 1.5, 21.25, 2.14e-7].map(nats);
        assert_eq!(shown[..3], ["0 nats", "0.00042 nats", "0.012 nats"]);
        assert_eq!(shown[3..], ["1.5 nats", "21.2 nats", "2.1e-7 nats"]);
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
