//! Compares the predictions of a family's members with the teacher's along one text.
//!
//! Nothing is generated: every member reads the same text, so that predictions are comparable
//! position by position.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{GenerateError, POSITIONS_AT_ONCE, last_states, whole_text};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::LanguageModel;

/// A member's prediction at one position of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// The most likely next token.
    pub token: u32,
    /// Its probability, in `0..=1`.
    pub probability: f64,
    /// `KL(teacher ‖ member)` of the next-token distributions, in nats; at least 0.
    pub kl: f64,
}

/// A text with the teacher's hidden states.
pub struct TextComparison<'model> {
    teacher: &'model LanguageModel,
    /// `[1, seq]`
    tokens: Tensor<2, Int>,
    /// The first position whose next token is predicted.
    from: usize,
    /// The teacher's last hidden states at those positions, `[positions, d_model]`.
    states: Tensor<2>,
}

impl<'model> TextComparison<'model> {
    /// Runs the teacher on `text`; the next token is predicted at position `from` and all later
    /// ones.
    ///
    /// # Errors
    /// [`GenerateError`] if the text is not valid for the model.
    pub fn new(
        teacher: &'model LanguageModel,
        text: &[u32],
        from: usize,
    ) -> Result<Self, GenerateError> {
        let tokens = whole_text(teacher, text)?;
        let from = from.min(text.len() - 1);
        let states = last_states(teacher, &tokens, from);
        Ok(Self { teacher, tokens, from, states })
    }

    /// A member's predictions, by position.
    ///
    /// # Errors
    /// [`ReadBackError`] if the device is lost.
    pub async fn guesses(&self, member: &LanguageModel) -> Result<Vec<Guess>, ReadBackError> {
        let states = last_states(member, &self.tokens, self.from);
        let [n_positions, _] = states.dims();
        let mut guesses = Vec::with_capacity(n_positions);
        for start in (0..n_positions).step_by(POSITIONS_AT_ONCE) {
            let n_here = POSITIONS_AT_ONCE.min(n_positions - start);
            let here = |states: &Tensor<2>| states.clone().narrow(0, start, n_here);
            // [n_here, vocab]
            let expected = log_softmax(self.teacher.logits(here(&self.states)), 1);
            let found = log_softmax(member.logits(here(&states)), 1);
            let kl = (expected.clone().exp() * (expected - found.clone())).sum_dim(1);
            let most_likely = found.clone().argmax(1);
            let log_probability = found.gather(1, most_likely.clone());

            let tokens = most_likely.into_data_async().await.map_err(ReadBackError::new)?;
            let numbers = Tensor::cat(vec![log_probability, kl], 1);
            let numbers = read_finite(numbers, "the log-probabilities").await?;
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let guess = |(token, numbers): (u32, &[f64; 2])| Guess {
                token,
                probability: numbers[0].exp().min(1.0),
                // KL divergence is not negative; rounding may make it so.
                kl: numbers[1].max(0.0),
            };
            guesses.extend(tokens.iter::<u32>().zip(numbers.as_chunks::<2>().0).map(guess));
        }
        Ok(guesses)
    }
}
