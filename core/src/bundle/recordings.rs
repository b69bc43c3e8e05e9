//! What members wrote when a bundle was made: to be read before a weight is there, and to check a
//! machine against.

use serde::{Deserialize, Serialize};

/// Greedy continuations of a few prompts by every member on the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recordings {
    pub texts: Vec<RecordedText>,
}

/// One prompt, continued by every member on the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedText {
    pub prompt: String,
    pub prompt_tokens: Vec<u32>,
    /// Student first, teacher last.
    pub members: Vec<RecordedMember>,
}

/// What one member wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedMember {
    pub n_layers: usize,
    pub tokens: Vec<u32>,
    /// The text that each token completed; together they are the continuation.
    pub pieces: Vec<String>,
    /// The log-probability of each token, in nats, at most 0.
    pub log_probs: Vec<f32>,
    /// Whether the model ended the text by itself.
    pub is_ended: bool,
}
