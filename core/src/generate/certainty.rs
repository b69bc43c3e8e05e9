//! The probabilities that a member assigns to the tokens of a text.

use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use super::{GenerateError, POSITIONS_AT_ONCE, check_vocabulary, last_states, whole_text};
use crate::evaluate::read_finite;
use crate::model::LanguageModel;

/// A member's prediction for one token of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certainty {
    /// Probability of the actual token, in `0..=1`.
    pub probability: f64,
    /// The most likely tokens with their probabilities, in descending order.
    pub most_likely: Vec<(u32, f64)>,
}

/// The probabilities that `model` assigns to every token of `text` from position `from` on, in one
/// forward pass, together with the `n_most_likely` most likely tokens at each position. `from` is at
/// least 1, since the first token is not predicted.
///
/// # Errors
/// [`GenerateError`] if the text is not valid for the model.
pub async fn certainties(
    model: &LanguageModel,
    text: &[u32],
    from: usize,
    n_most_likely: usize,
) -> Result<Vec<Certainty>, GenerateError> {
    // Including the last token, which is only a target.
    check_vocabulary(model, text)?;
    let from = from.max(1);
    if from >= text.len() {
        return Ok(Vec::new());
    }
    let tokens = whole_text(model, &text[..text.len() - 1])?;
    let states = last_states(model, &tokens, from - 1);
    let chosen = &text[from..];
    let mut certainties = Vec::with_capacity(chosen.len());
    for start in (0..chosen.len()).step_by(POSITIONS_AT_ONCE) {
        let n_here = POSITIONS_AT_ONCE.min(chosen.len() - start);
        let probabilities = softmax(model.logits(states.clone().narrow(0, start, n_here)), 1);
        let data = read_finite(probabilities, "the probabilities").await?;
        let data: Vec<f64> = data.into_iter().map(f64::from).collect();
        let rows = data.chunks_exact(model.config().vocab).zip(&chosen[start..start + n_here]);
        certainties.extend(rows.map(|(row, &token)| Certainty {
            probability: row[token as usize],
            most_likely: most_likely(row, n_most_likely),
        }));
    }
    Ok(certainties)
}

/// The `n` largest probabilities of a row with their token ids, in descending order; ties by token
/// id.
fn most_likely(row: &[f64], n: usize) -> Vec<(u32, f64)> {
    let mut best: Vec<(u32, f64)> = Vec::with_capacity(n + 1);
    for (token, &probability) in row.iter().enumerate() {
        let rank = best.partition_point(|&(_, other)| other >= probability);
        if rank < n {
            best.insert(rank, (token as u32, probability));
            best.truncate(n);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_likely_come_first_and_ties_by_token_id() {
        assert_eq!(most_likely(&[0.1, 0.4, 0.1, 0.4], 3), [(1, 0.4), (3, 0.4), (0, 0.1)]);
        assert_eq!(most_likely(&[0.1], 3).len(), 1);
        assert!(most_likely(&[0.1], 0).is_empty());
    }
}
