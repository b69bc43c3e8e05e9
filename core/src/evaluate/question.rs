//! What a task asks of a model, in text: the four kinds of lm-evaluation-harness (`output_type`).

use super::request::Likelihood;

/// One document of a task, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How likely is each continuation after its context? (`multiple_choice`, `loglikelihood`)
    Continuations(Vec<Continuation>),
    /// How likely is the whole text, in windows? (`loglikelihood_rolling`)
    Text(String),
    /// What comes after the context? (`generate_until`)
    Open(Open),
}

/// A text and what may come after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    pub context: String,
    /// With the delimiter between the two, usually a blank.
    pub text: String,
}

/// A text that the model continues by itself, always with the likeliest token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub context: String,
    /// The answer ends before the first of these.
    pub until: Vec<String>,
    pub max_tokens: usize,
}

/// A model's answer to a [`Question`], of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// As many as continuations.
    Continuations(Vec<Likelihood>),
    /// Of all tokens of the text together.
    Text(Likelihood),
    /// What the model wrote, without the text that ended it.
    Open(String),
}
