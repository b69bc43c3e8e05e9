//! Whether this machine computes what was recorded when the bundle was made.

use boomerang_core::bundle::RecordedText;
use boomerang_core::generate::{Retraced, retrace};

use crate::members::{ReadyMembers, not_finite, not_loaded, not_processed};
use crate::messages::{Answer, CheckedMember};
use crate::notice::Notice;
use crate::turn::Turn;
use crate::worker::{Worker, answer, ended};

impl Worker {
    /// Runs members along the texts recorded of them, and reports how much the results differ.
    pub(crate) async fn check(&self, id: u32, recorded: &[RecordedText]) -> Result<(), Notice> {
        let mut path = self.path()?;
        // Larger members may not fit in memory.
        path.truncate(recorded.iter().map(|text| text.members.len()).max().unwrap_or(0));
        let Some(ready) = self.ready_members(id, &path).await? else { return ended(id, true) };
        let ReadyMembers { members, tokenizer, .. } = ready;
        let turn = Turn::new()?;
        for text in recorded {
            for (member, record) in text.members.iter().enumerate() {
                turn.end().await;
                if self.is_stopped(id) {
                    return ended(id, true);
                }
                let model = members.get(member).ok_or_else(not_loaded)?;
                let retraced = retrace(model, &text.prompt_tokens, &record.tokens).await;
                let retraced = retraced.map_err(not_processed)?;
                let first_mismatch = first_mismatch(&retraced, &record.tokens);
                let instead = first_mismatch.map(|position| retraced[position].most_likely);
                let instead = instead.map(|token| tokenizer.label(token)).transpose();
                let check = CheckedMember {
                    member,
                    prompt: text.prompt.clone(),
                    n_layers: record.n_layers,
                    n_tokens: record.tokens.len(),
                    first_mismatch,
                    instead: instead.map_err(not_processed)?,
                    max_difference: max_difference(&retraced, &record.log_probs)
                        .ok_or_else(not_finite)?,
                };
                answer(id, Answer::Check(check));
            }
        }
        ended(id, false)
    }
}

/// The first position at which the most likely token is another one.
fn first_mismatch(retraced: &[Retraced], tokens: &[u32]) -> Option<usize> {
    retraced.iter().zip(tokens).position(|(found, token)| found.most_likely != *token)
}

/// The largest difference of a token's log-probability, in nats; `None` where one is not finite.
fn max_difference(retraced: &[Retraced], log_probs: &[f32]) -> Option<f64> {
    let pairs = retraced.iter().zip(log_probs);
    let mut differences =
        pairs.map(|(found, recorded)| (found.log_prob - f64::from(*recorded)).abs());
    differences.try_fold(0.0_f64, |largest, it| it.is_finite().then(|| largest.max(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retraced(tokens: [(f64, u32); 3]) -> Vec<Retraced> {
        tokens.map(|(log_prob, most_likely)| Retraced { log_prob, most_likely }).into()
    }

    #[test]
    fn the_first_of_several_mismatches_is_reported() {
        let retraced = retraced([(-0.5, 4), (-0.25, 7), (-1.0, 9)]);
        assert_eq!(first_mismatch(&retraced, &[4, 6, 8]), Some(1));
        assert_eq!(first_mismatch(&retraced, &[4, 7, 9]), None);
        assert_eq!(max_difference(&retraced, &[-0.5, -0.5, -0.875]), Some(0.25));
    }

    #[test]
    fn a_device_that_returns_nan_passes_no_check() {
        let retraced = retraced([(-0.5, 4), (f64::NAN, 7), (-1.0, 9)]);
        assert_eq!(max_difference(&retraced, &[-0.5, -0.5, -0.875]), None);
    }
}
