//! Questions of a task as text, for the four `output_type`s of lm-evaluation-harness.

use super::request::Likelihood;

/// One document of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How likely is each continuation after its context? (`multiple_choice`, `loglikelihood`)
    Continuations(Vec<Continuation>),
    /// How likely is the whole text, in windows? (`loglikelihood_rolling`)
    Text(String),
    /// What comes after the context? (`generate_until`)
    Open(Open),
}

/// A context and a possible continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    pub context: String,
    /// Includes the delimiter between the two, usually a space.
    pub text: String,
}

/// A context that the model continues with greedy decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub context: String,
    /// Stop sequences; the answer ends before the first of them.
    pub until: Vec<String>,
    pub max_tokens: usize,
}

/// A model's answer to a [`Question`], of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One per continuation.
    Continuations(Vec<Likelihood>),
    /// Sum over all tokens of the text.
    Text(Likelihood),
    /// The generated text, without the stop sequence.
    Open(String),
}
