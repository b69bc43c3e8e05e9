//! Teacher-forced evaluation of a recorded generation: the log-probability of each token and the
//! model's most likely one.
//!
//! One forward pass for the whole text, where generating it took one per token. Every prediction is
//! conditioned on the recorded tokens, so that one difference does not affect the following
//! positions.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::{GenerateError, POSITIONS_AT_ONCE, check_vocabulary, last_states, whole_text};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::LanguageModel;

/// A model's prediction for one token of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retraced {
    /// Log-probability of the recorded token, in nats; at most 0.
    pub log_prob: f64,
    /// The most likely token at this position.
    pub most_likely: u32,
}

/// Predictions for each of `tokens`, which were generated after `prompt`.
///
/// # Errors
/// [`GenerateError`] if the text is not valid for the model, or the device is lost.
pub async fn retrace(
    model: &LanguageModel,
    prompt: &[u32],
    tokens: &[u32],
) -> Result<Vec<Retraced>, GenerateError> {
    // The last token is only a target.
    let Some((_, seen)) = tokens.split_last() else { return Ok(Vec::new()) };
    check_vocabulary(model, tokens)?;
    let from = prompt.len().checked_sub(1).ok_or(GenerateError::EmptyPrompt)?;
    let text = whole_text(model, &[prompt, seen].concat())?;
    let states = last_states(model, &text, from);
    let n_positions = tokens.len();
    let targets: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    let targets = TensorData::new(targets, [n_positions, 1]);
    let targets = Tensor::<2, Int>::from_data(targets, &model.device());

    let (mut log_probs, mut most_likely) = (Vec::new(), Vec::new());
    for start in (0..n_positions).step_by(POSITIONS_AT_ONCE) {
        let n_here = POSITIONS_AT_ONCE.min(n_positions - start);
        // [n_here, vocab]
        let found = log_softmax(model.logits(states.clone().narrow(0, start, n_here)), 1);
        most_likely.push(found.clone().argmax(1));
        log_probs.push(found.gather(1, targets.clone().narrow(0, start, n_here)));
    }
    let log_probs = read_finite(Tensor::cat(log_probs, 0), "the log-probabilities").await?;
    let most_likely =
        Tensor::cat(most_likely, 0).into_data_async().await.map_err(ReadBackError::new)?;
    let retraced = log_probs.into_iter().map(f64::from).zip(most_likely.iter::<u32>());
    Ok(retraced.map(|(log_prob, most_likely)| Retraced { log_prob, most_likely }).collect())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::super::{Generation, Sampling};
    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;

    fn model() -> LanguageModel {
        let config = r#"{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 64,
            "tie_word_embeddings": true}"#;
        let config = ModelConfig::from_json(config).unwrap();
        LanguageModel::random(&config, Initialization::Scaled, 1, &Device::flex())
    }

    const PROMPT: [u32; 3] = [3, 1, 4];

    #[test]
    fn a_greedy_generation_is_the_most_likely_text_when_read() {
        let model = model();
        // More than the positions whose logits are in memory at a time.
        let mut generation = Generation::new(&model, &PROMPT, 40, Sampling::Greedy).unwrap();
        let mut tokens = Vec::new();
        while let Some(token) = block_on(generation.next()).unwrap() {
            tokens.push(token);
        }
        let retraced = block_on(retrace(&model, &PROMPT, &tokens)).unwrap();
        let most_likely: Vec<u32> = retraced.iter().map(|token| token.most_likely).collect();
        assert_eq!(most_likely, tokens);
    }

    #[test]
    fn probabilities_of_all_tokens_at_one_position_sum_to_one() {
        let model = model();
        let probability = |token| {
            let retraced = block_on(retrace(&model, &PROMPT, &[5, token])).unwrap();
            retraced[1].log_prob.exp()
        };
        let sum: f64 = (0..31).map(probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn an_empty_generation_has_no_predictions() {
        assert_eq!(block_on(retrace(&model(), &PROMPT, &[])).unwrap(), []);
    }

    #[test]
    fn a_recorded_token_outside_the_vocabulary_is_refused() {
        let error = block_on(retrace(&model(), &PROMPT, &[31])).unwrap_err();
        assert!(matches!(error, GenerateError::OutsideVocabulary { token: 31, vocab: 31 }));
    }
}
