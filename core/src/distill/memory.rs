//! How much memory a step of training takes on a device that computes in f32.
//!
//! Counted from sizes alone, buffer by buffer, so that what cannot fit is refused before anything is
//! allocated, and [`Levers`] can be chosen.

use super::Levers;
use crate::config::ModelConfig;

/// Weights, their gradients, and the two moments of AdamW.
const PER_PARAMETER: u64 = 4;

/// Rows as wide as the model that a layer keeps for its backward pass: its input, queries, what the
/// output matrix reads, the sum in between, and what the norms gave.
const KEPT_STATES: u64 = 6;
/// Rows as wide as the inner layer: before the activation, and what that is multiplied by.
const KEPT_INNER_STATES: u64 = 2;
/// Rows that exist only while a layer's turn in the backward pass lasts.
const PASSING_STATES: u64 = 4;
const PASSING_INNER_STATES: u64 = 4;
/// Scores of a block of queries, their weights, and the gradient of these.
const SCORES: u64 = 3;

/// Bytes of a step: weights, gradients and optimizer of `model`, the weights of the `teacher`, and what
/// a micro-batch of `n_sequences` times `seq` tokens needs with these levers.
pub fn step_bytes(
    model: &ModelConfig,
    teacher: Option<&ModelConfig>,
    [n_sequences, seq]: [usize; 2],
    levers: &Levers,
) -> u64 {
    let (n_sequences, seq) = (n_sequences as u64, seq as u64);
    let n_tokens = n_sequences.saturating_mul(seq);
    let [width, inner, layers, vocab] =
        [model.d_model, model.d_ff, model.n_layers(), model.vocab].map(|size| size as u64);
    let of_weights = PER_PARAMETER
        .saturating_mul(model.n_params())
        .saturating_add(teacher.map_or(0, ModelConfig::n_params));
    let keys = 2 * (model.n_kv_heads * model.d_head) as u64;
    let kept = KEPT_STATES * width + KEPT_INNER_STATES * inner + keys;
    let passing = PASSING_STATES * width + PASSING_INNER_STATES * inner;
    let n_kept = if levers.recomputes { 1 } else { layers };
    // The input of each layer, and the states of the teacher that they are aligned with.
    let states = (layers + 1) * width * if teacher.is_some() { 2 } else { 1 };
    let a_token = kept.saturating_mul(n_kept).saturating_add(passing + states);
    let n_queries = (levers.query_block as u64).min(seq);
    let scores = SCORES
        .saturating_mul(n_sequences.saturating_mul(model.n_heads as u64))
        .saturating_mul(n_queries)
        .saturating_mul(seq);
    let masks = n_tokens.saturating_mul(seq).saturating_mul(1 + u64::from(teacher.is_some()));
    let n_rows = (levers.head_chunk as u64).min(n_tokens);
    let logits = n_rows * vocab * if teacher.is_some() { 2 } else { 1 };
    // The gradient of the head's matrix by one chunk, beside the sum so far.
    let of_chunk = vocab * width;
    let n_numbers = n_tokens
        .saturating_mul(a_token)
        .saturating_add(of_weights)
        .saturating_add(scores.saturating_add(masks))
        .saturating_add(logits.saturating_add(of_chunk));
    n_numbers.saturating_mul(size_of::<f32>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of SmolLM2-135M.
    fn config(n_layers: usize) -> ModelConfig {
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
            "intermediate_size": 1536, "num_hidden_layers": n_layers, "num_attention_heads": 9,
            "num_key_value_heads": 3, "tie_word_embeddings": true,
        });
        ModelConfig::from_json(&config.to_string()).unwrap()
    }

    fn gigabytes(levers: Levers) -> f64 {
        step_bytes(&config(16), Some(&config(30)), [1, 1024], &levers) as f64 / 1e9
    }

    #[test]
    fn a_step_takes_about_what_was_measured() {
        // Resident memory during steps, 30 layers to 16, one sequence of 1,024 tokens.
        let levers = Levers { recomputes: true, head_chunk: 128, query_block: 256 };
        let estimate = gigabytes(levers);
        assert!((0.9..1.1).contains(&(estimate / 2.22)), "{estimate}");
    }

    #[test]
    fn each_lever_takes_less() {
        let all = gigabytes(Levers { recomputes: false, head_chunk: 1024, query_block: 1024 });
        for less in [
            Levers { recomputes: true, head_chunk: 1024, query_block: 1024 },
            Levers { recomputes: false, head_chunk: 128, query_block: 1024 },
            Levers { recomputes: false, head_chunk: 1024, query_block: 128 },
        ] {
            assert!(gigabytes(less) < all, "{less:?}");
        }
    }

    #[test]
    fn no_size_overflows() {
        let many = step_bytes(&config(17), None, [usize::MAX, usize::MAX], &Levers::default());
        assert_eq!(many, u64::MAX);
    }
}
