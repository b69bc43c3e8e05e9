//! What the members of a family expect along one text, beside their teacher.
//!
//! Nobody writes here: every member reads the same text, so that places can be compared.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{GenerateError, PLACES_AT_ONCE, last_states, whole_text};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::LanguageModel;

/// What a member expects at one place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// The likeliest next token.
    pub token: u32,
    /// Its probability, in `0..=1`.
    pub probability: f64,
    /// `KL(teacher ‖ member)` of the next token, in nats; at least 0.
    pub kl: f64,
}

/// A text that a teacher has read.
pub struct TextComparison<'model> {
    teacher: &'model LanguageModel,
    /// `[1, seq]`
    tokens: Tensor<2, Int>,
    /// The first place whose next token is guessed.
    from: usize,
    /// The teacher's last states at those places, `[places, d_model]`.
    states: Tensor<2>,
}

impl<'model> TextComparison<'model> {
    /// Lets the teacher read `text`; the next token is guessed after place `from` and all later ones.
    ///
    /// # Errors
    /// [`GenerateError`] when the text does not fit the model.
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

    /// What a member expects, place by place.
    ///
    /// # Errors
    /// [`ReadBackError`] when the device is lost.
    pub async fn guesses(&self, member: &LanguageModel) -> Result<Vec<Guess>, ReadBackError> {
        let states = last_states(member, &self.tokens, self.from);
        let [n_places, _] = states.dims();
        let mut guesses = Vec::with_capacity(n_places);
        for start in (0..n_places).step_by(PLACES_AT_ONCE) {
            let n_here = PLACES_AT_ONCE.min(n_places - start);
            let here = |states: &Tensor<2>| states.clone().narrow(0, start, n_here);
            // [n_here, vocab]
            let expected = log_softmax(self.teacher.logits(here(&self.states)), 1);
            let found = log_softmax(member.logits(here(&states)), 1);
            let kl = (expected.clone().exp() * (expected - found.clone())).sum_dim(1);
            let likeliest = found.clone().argmax(1);
            let log_probability = found.gather(1, likeliest.clone());

            let tokens = likeliest.into_data_async().await.map_err(ReadBackError::new)?;
            let numbers = Tensor::cat(vec![log_probability, kl], 1);
            let numbers = read_finite(numbers, "the log-probabilities").await?;
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let guess = |(token, numbers): (u32, &[f64; 2])| Guess {
                token,
                probability: numbers[0].exp().min(1.0),
                // A distribution has no negative divergence; rounding may have left one.
                kl: numbers[1].max(0.0),
            };
            guesses.extend(tokens.iter::<u32>().zip(numbers.as_chunks::<2>().0).map(guess));
        }
        Ok(guesses)
    }
}
