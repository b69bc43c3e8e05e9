//! How sure a member was of each token of a text.

use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use super::{GenerateError, PLACES_AT_ONCE, known, last_states, whole_text};
use crate::evaluate::read_finite;
use crate::model::LanguageModel;

/// What a member expected at one place of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certainty {
    /// Of the token that stands there, in `0..=1`.
    pub probability: f64,
    /// The likeliest tokens with their probabilities, likeliest first.
    pub likeliest: Vec<(u32, f64)>,
}

/// How sure `model` is of every token of `text` from place `from` on, in one pass; with the
/// `n_likeliest` likeliest tokens of each place. `from` is at least 1: nothing expects the first.
///
/// # Errors
/// [`GenerateError`] when the text does not fit the model.
pub async fn certainties(
    model: &LanguageModel,
    text: &[u32],
    from: usize,
    n_likeliest: usize,
) -> Result<Vec<Certainty>, GenerateError> {
    // The last token, too, which the model is asked for and never reads.
    known(model, text)?;
    let from = from.max(1);
    if from >= text.len() {
        return Ok(Vec::new());
    }
    let tokens = whole_text(model, &text[..text.len() - 1])?;
    let states = last_states(model, &tokens, from - 1);
    let chosen = &text[from..];
    let mut certainties = Vec::with_capacity(chosen.len());
    for start in (0..chosen.len()).step_by(PLACES_AT_ONCE) {
        let n_here = PLACES_AT_ONCE.min(chosen.len() - start);
        let probabilities = softmax(model.logits(states.clone().narrow(0, start, n_here)), 1);
        let data = read_finite(probabilities, "the probabilities").await?;
        let data: Vec<f64> = data.into_iter().map(f64::from).collect();
        let rows = data.chunks_exact(model.config().vocab).zip(&chosen[start..start + n_here]);
        certainties.extend(rows.map(|(row, &token)| Certainty {
            probability: row[token as usize],
            likeliest: likeliest(row, n_likeliest),
        }));
    }
    Ok(certainties)
}

/// The largest of a row and their places, largest first; of equals, the first place first.
fn likeliest(row: &[f64], n: usize) -> Vec<(u32, f64)> {
    let mut best: Vec<(u32, f64)> = Vec::with_capacity(n + 1);
    for (place, &probability) in row.iter().enumerate() {
        let at = best.partition_point(|&(_, other)| other >= probability);
        if at < n {
            best.insert(at, (place as u32, probability));
            best.truncate(n);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_equals_by_their_place() {
        assert_eq!(likeliest(&[0.1, 0.4, 0.1, 0.4], 3), [(1, 0.4), (3, 0.4), (0, 0.1)]);
        assert_eq!(likeliest(&[0.1], 3).len(), 1);
        assert!(likeliest(&[0.1], 0).is_empty());
    }
}
