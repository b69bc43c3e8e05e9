//! Whether this machine computes what was recorded when the bundle was made.

use boomerang_core::bundle::RecordedText;
use boomerang_core::generate::{Retraced, retrace};

use crate::cast::{Cast, no_number, not_loaded, unread};
use crate::messages::{CheckedMember, Reply};
use crate::notice::Notice;
use crate::turn::Turn;
use crate::worker::{Worker, ended, post};

impl Worker {
    /// Lets members read what they wrote, and tells how far they are from it now.
    pub(crate) async fn check(&self, id: u32, recorded: &[RecordedText]) -> Result<(), Notice> {
        let mut path = self.path()?;
        // Larger members may have no room here.
        path.truncate(recorded.iter().map(|text| text.members.len()).max().unwrap_or(0));
        let Some(cast) = self.cast(id, &path).await? else { return ended(id, true) };
        let Cast { members, tokenizer, .. } = cast;
        let turn = Turn::new()?;
        for text in recorded {
            for (member, record) in text.members.iter().enumerate() {
                turn.end().await;
                if self.is_stopped(id) {
                    return ended(id, true);
                }
                let model = members.get(member).ok_or_else(not_loaded)?;
                let retraced = retrace(model, &text.prompt_tokens, &record.tokens).await;
                let retraced = retraced.map_err(unread)?;
                let first_difference = first_difference(&retraced, &record.tokens);
                let instead = first_difference.map(|place| retraced[place].likeliest);
                let instead = instead.map(|token| tokenizer.label(token)).transpose();
                let check = CheckedMember {
                    member,
                    prompt: text.prompt.clone(),
                    n_layers: record.n_layers,
                    n_tokens: record.tokens.len(),
                    first_difference,
                    instead: instead.map_err(unread)?,
                    max_difference: max_difference(&retraced, &record.log_probs)
                        .ok_or_else(no_number)?,
                };
                post(&Reply::Checked { id, check });
            }
        }
        ended(id, false)
    }
}

/// The first place at which the likeliest token is another one.
fn first_difference(retraced: &[Retraced], tokens: &[u32]) -> Option<usize> {
    retraced.iter().zip(tokens).position(|(place, token)| place.likeliest != *token)
}

/// The largest difference of a token's log-probability, in nats; `None` where one is no number.
fn max_difference(retraced: &[Retraced], log_probs: &[f32]) -> Option<f64> {
    let places = retraced.iter().zip(log_probs);
    let mut differences =
        places.map(|(place, recorded)| (place.log_prob - f64::from(*recorded)).abs());
    differences.try_fold(0.0_f64, |largest, it| it.is_finite().then(|| largest.max(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retraced(places: [(f64, u32); 3]) -> Vec<Retraced> {
        places.map(|(log_prob, likeliest)| Retraced { log_prob, likeliest }).into()
    }

    #[test]
    fn the_first_of_several_differences_is_told() {
        let retraced = retraced([(-0.5, 4), (-0.25, 7), (-1.0, 9)]);
        assert_eq!(first_difference(&retraced, &[4, 6, 8]), Some(1));
        assert_eq!(first_difference(&retraced, &[4, 7, 9]), None);
        assert_eq!(max_difference(&retraced, &[-0.5, -0.5, -0.875]), Some(0.25));
    }

    #[test]
    fn a_device_that_gives_no_numbers_passes_no_check() {
        let retraced = retraced([(-0.5, 4), (f64::NAN, 7), (-1.0, 9)]);
        assert_eq!(max_difference(&retraced, &[-0.5, -0.5, -0.875]), None);
    }
}
