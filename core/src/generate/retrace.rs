//! A text that was written before, read once more: how likely each of its tokens is to a model, and
//! what the model would write in its place.
//!
//! One pass for the whole text, where writing it took one for each token. Every place follows the
//! recorded tokens, so that one difference does not change all that comes after it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::{GenerateError, PLACES_AT_ONCE, known, last_states, whole_text};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::LanguageModel;

/// One token of a text, to a model that reads the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retraced {
    /// Of the token that stands there, in nats; at most 0.
    pub log_prob: f64,
    /// The likeliest token at its place.
    pub likeliest: u32,
}

/// What the model makes of each of `tokens`, which were written after `prompt`.
///
/// # Errors
/// [`GenerateError`] when the text does not fit the model, or the device is lost.
pub async fn retrace(
    model: &LanguageModel,
    prompt: &[u32],
    tokens: &[u32],
) -> Result<Vec<Retraced>, GenerateError> {
    // The last token is asked for, and predicts nothing.
    let Some((_, seen)) = tokens.split_last() else { return Ok(Vec::new()) };
    known(model, tokens)?;
    let from = prompt.len().checked_sub(1).ok_or(GenerateError::EmptyPrompt)?;
    let text = whole_text(model, &[prompt, seen].concat())?;
    let states = last_states(model, &text, from);
    let n_places = tokens.len();
    let targets: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    let targets = TensorData::new(targets, [n_places, 1]);
    let targets = Tensor::<2, Int>::from_data(targets, &model.device());

    let (mut log_probs, mut likeliest) = (Vec::new(), Vec::new());
    for start in (0..n_places).step_by(PLACES_AT_ONCE) {
        let n_here = PLACES_AT_ONCE.min(n_places - start);
        // [n_here, vocab]
        let found = log_softmax(model.logits(states.clone().narrow(0, start, n_here)), 1);
        likeliest.push(found.clone().argmax(1));
        log_probs.push(found.gather(1, targets.clone().narrow(0, start, n_here)));
    }
    let log_probs = read_finite(Tensor::cat(log_probs, 0), "the log-probabilities").await?;
    let likeliest =
        Tensor::cat(likeliest, 0).into_data_async().await.map_err(ReadBackError::new)?;
    let places = log_probs.into_iter().map(f64::from).zip(likeliest.iter::<u32>());
    Ok(places.map(|(log_prob, likeliest)| Retraced { log_prob, likeliest }).collect())
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
    fn what_a_model_wrote_is_what_it_expects_when_it_reads() {
        let model = model();
        // More than the places whose logits are held at a time.
        let mut generation = Generation::new(&model, &PROMPT, 40, Sampling::Greedy).unwrap();
        let mut tokens = Vec::new();
        while let Some(token) = block_on(generation.next()).unwrap() {
            tokens.push(token);
        }
        let retraced = block_on(retrace(&model, &PROMPT, &tokens)).unwrap();
        let likeliest: Vec<u32> = retraced.iter().map(|place| place.likeliest).collect();
        assert_eq!(likeliest, tokens);
    }

    #[test]
    fn probabilities_of_all_tokens_at_one_place_sum_to_one() {
        let model = model();
        let probability = |token| {
            let retraced = block_on(retrace(&model, &PROMPT, &[5, token])).unwrap();
            retraced[1].log_prob.exp()
        };
        let sum: f64 = (0..31).map(probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn nothing_written_is_nothing_to_read() {
        assert_eq!(block_on(retrace(&model(), &PROMPT, &[])).unwrap(), []);
    }

    #[test]
    fn a_recorded_token_from_elsewhere_is_refused() {
        let error = block_on(retrace(&model(), &PROMPT, &[31])).unwrap_err();
        assert!(matches!(error, GenerateError::OutsideVocabulary { token: 31, vocab: 31 }));
    }
}
