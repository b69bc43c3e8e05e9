//! Multiple choice by log-likelihood, as `multiple_choice` in lm-evaluation-harness.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::request::{Likelihood, Request};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A multiple-choice question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceDoc {
    /// Name of the task; scores are averaged per task.
    pub task: String,
    pub context: String,
    /// Continuations; leading whitespace does not count in the length for `acc_norm`.
    pub choices: Vec<String>,
    /// Index of the correct choice.
    pub gold: usize,
}

/// Why a question cannot be evaluated.
#[derive(Debug, Error)]
pub enum ChoiceError {
    #[error("question {number}: {reason}")]
    Unusable { number: usize, reason: String },
    #[error("question {number} cannot be tokenized")]
    Tokenizer { number: usize, source: TokenizerError },
}

/// Accuracy of a model on a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Share of questions whose most likely choice is correct.
    pub acc: f64,
    /// The same with log-likelihoods divided by the length of the choice in characters.
    pub acc_norm: f64,
    /// Standard error; NaN for a single question, null in JSON.
    #[serde(with = "crate::estimate::unknown")]
    pub acc_stderr: f64,
    #[serde(with = "crate::estimate::unknown")]
    pub acc_norm_stderr: f64,
    pub n_questions: usize,
    /// Expected accuracy of guessing.
    pub chance: f64,
}

/// Whether a question was answered correctly, by likelihood and by likelihood per character, and
/// its number of choices.
pub(super) type Verdict = ((bool, bool), usize);

impl ChoiceDoc {
    /// One request per choice.
    ///
    /// Trailing whitespace of the context moves to the choice, and context and choice are tokenized
    /// together and split after the context's tokens, as in lm-evaluation-harness.
    pub(super) fn requests(
        &self,
        tokenizer: &Tokenizer,
        max_seq: usize,
        number: usize,
    ) -> Result<Vec<Request>, ChoiceError> {
        let unusable = |reason: String| ChoiceError::Unusable { number, reason };
        if self.choices.len() < 2 || self.gold >= self.choices.len() {
            return Err(unusable(format!(
                "expected at least two choices and gold among them, found {} choices and gold {}",
                self.choices.len(),
                self.gold
            )));
        }
        let encode = |text: &str| {
            tokenizer.encode(text, true).map_err(|source| ChoiceError::Tokenizer { number, source })
        };
        let context = self.context.trim_end();
        let blanks = &self.context[context.len()..];
        let n_context = encode(context)?.len();
        let request = |choice: &String| {
            let tokens = encode(&format!("{context}{blanks}{choice}"))?;
            let n_tokens = tokens.len();
            if n_context == 0 {
                return Err(unusable(
                    "the context is empty and this tokenizer adds no BOS token".to_owned(),
                ));
            }
            if n_tokens.saturating_sub(n_context) > max_seq {
                return Err(unusable(format!(
                    "a choice of {} tokens is longer than the model's window of {max_seq}",
                    n_tokens - n_context
                )));
            }
            // Too long a context is truncated on the left.
            let cut = n_tokens.saturating_sub(max_seq + 1).min(n_context - 1);
            Request::new(tokens[cut..].to_vec(), n_context - cut..n_tokens - cut)
                .ok_or_else(|| unusable(format!("the choice {choice:?} has no tokens")))
        };
        self.choices.iter().map(request).collect()
    }

    /// Whether the most likely choice is correct: by likelihood, and by likelihood per character.
    pub(super) fn judge(&self, likelihoods: &[Likelihood]) -> (bool, bool) {
        let best = |score: &dyn Fn(usize) -> f64| {
            // The first maximum, as numpy's argmax.
            (1..likelihoods.len())
                .fold(0, |best, choice| if score(choice) > score(best) { choice } else { best })
        };
        let by_likelihood = best(&|choice| likelihoods[choice].log_likelihood);
        let by_character = best(&|choice| {
            let n_characters = self.choices[choice].trim_start().chars().count();
            likelihoods[choice].log_likelihood / n_characters.max(1) as f64
        });
        (by_likelihood == self.gold, by_character == self.gold)
    }
}

/// Probability of the most likely choice among all of them.
pub(super) fn confidence(likelihoods: &[Likelihood]) -> f64 {
    let all = || likelihoods.iter().map(|it| it.log_likelihood);
    let largest = all().fold(f64::NEG_INFINITY, f64::max);
    1.0 / all().map(|log_likelihood| (log_likelihood - largest).exp()).sum::<f64>()
}

impl Accuracy {
    /// Aggregates the verdicts of all questions.
    pub(super) fn of(verdicts: &[Verdict]) -> Self {
        let n_questions = verdicts.len();
        let share = |right: &dyn Fn(&(bool, bool)) -> bool| {
            let n_right = verdicts.iter().filter(|(verdict, _)| right(verdict)).count();
            n_right as f64 / n_questions.max(1) as f64
        };
        let stderr = |share: f64| {
            // Standard error of the mean of 0/1 samples; unknown for a single question.
            if n_questions < 2 {
                return f64::NAN;
            }
            (share * (1.0 - share) / (n_questions - 1) as f64).sqrt()
        };
        let (acc, acc_norm) = (share(&|verdict| verdict.0), share(&|verdict| verdict.1));
        let chance: f64 = verdicts.iter().map(|&(_, n_choices)| 1.0 / n_choices as f64).sum();
        Self {
            acc,
            acc_norm,
            acc_stderr: stderr(acc),
            acc_norm_stderr: stderr(acc_norm),
            n_questions,
            chance: chance / n_questions.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likelihood(log_likelihood: f64) -> Likelihood {
        Likelihood { log_likelihood, n_tokens: 1, is_greedy: false }
    }

    #[test]
    fn length_counts_for_acc_norm_only() {
        let doc = ChoiceDoc {
            task: String::new(),
            context: "q".to_owned(),
            choices: vec![" ab".to_owned(), " abcdefgh".to_owned()],
            gold: 1,
        };
        assert_eq!(doc.judge(&[likelihood(-3.0), likelihood(-4.0)]), (false, true));
    }

    #[test]
    fn confidence_is_the_share_of_the_most_likely_choice() {
        let choices = [-1000.0, -1000.0 + 3_f64.ln()].map(likelihood);
        assert!((confidence(&choices) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn the_standard_error_is_that_of_a_sample() {
        let verdicts =
            [((true, true), 4), ((false, true), 4), ((true, true), 4), ((true, true), 4)];
        let accuracy = Accuracy::of(&verdicts);
        assert_eq!((accuracy.acc, accuracy.chance), (0.75, 0.25));
        assert!((accuracy.acc_stderr - 0.25).abs() < 1e-12);
    }
}
