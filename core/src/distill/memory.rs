//! How much memory a step of training takes on a device that computes in f32.
//!
//! An estimate from sizes alone, within a fifth of what was measured on the CPU: good enough to refuse
//! what cannot fit before anything is allocated.

use crate::config::ModelConfig;

/// Numbers that autodiff keeps of a layer, in multiples of what they are as large as.
const KEPT_STATES: u64 = 10;
const KEPT_INNER_STATES: u64 = 4;
const KEPT_SCORES: u64 = 3;

/// Logits of the student with their softmax, logarithm and gradient, and those of the teacher.
const KEPT_LOGITS: u64 = 4;
const KEPT_TEACHER_LOGITS: u64 = 3;

/// Weights, their gradients, and the two moments of AdamW.
const KEPT_WEIGHTS: u64 = 4;

/// Bytes of a step: weights, gradients and optimizer of `model`, the weights of the `teacher`, and what
/// a micro-batch of `n_sequences` times `seq` tokens keeps for the backward pass.
pub fn step_bytes(
    model: &ModelConfig,
    teacher: Option<&ModelConfig>,
    n_sequences: usize,
    seq: usize,
) -> u64 {
    let n_tokens = (n_sequences as u64).saturating_mul(seq as u64);
    let scores = (model.n_heads as u64).saturating_mul(seq as u64);
    let a_layer = (KEPT_STATES * model.d_model as u64)
        .saturating_add(KEPT_INNER_STATES * model.d_ff as u64)
        .saturating_add(scores.saturating_mul(KEPT_SCORES));
    let logits = KEPT_LOGITS + if teacher.is_some() { KEPT_TEACHER_LOGITS } else { 0 };
    let a_token =
        a_layer.saturating_mul(model.n_layers() as u64).saturating_add(logits * model.vocab as u64);
    let weights = (KEPT_WEIGHTS.saturating_mul(model.n_params()))
        .saturating_add(teacher.map_or(0, ModelConfig::n_params));
    let n_numbers = n_tokens.saturating_mul(a_token).saturating_add(weights);
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

    #[test]
    fn a_step_takes_about_what_was_measured() {
        // 5.5 GB, 30 layers to 17, one sequence of 1,024 tokens.
        let estimate = step_bytes(&config(17), Some(&config(30)), 1, 1024) as f64;
        assert!((0.8..1.2).contains(&(estimate / 5.5e9)), "{estimate}");
    }

    #[test]
    fn no_size_overflows() {
        assert_eq!(step_bytes(&config(17), None, usize::MAX, usize::MAX), u64::MAX);
    }
}
