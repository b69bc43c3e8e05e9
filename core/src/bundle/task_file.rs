//! What a bundle brings for measuring its members in the page.

use serde::{Deserialize, Serialize};

use crate::evaluate::ChoiceDoc;

/// Questions and a text that neither teacher nor student has seen in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFile {
    /// For people: what is asked.
    pub name: String,
    pub questions: Vec<ChoiceDoc>,
    /// A paragraph to measure how well it is expected.
    pub paragraph: String,
}
