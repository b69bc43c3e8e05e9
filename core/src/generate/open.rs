//! Free-form answers (`generate_until` in lm-evaluation-harness).

use super::{GenerateError, Generation, Sampling};
use crate::model::LanguageModel;
use crate::tokenizer::{Tokenizer, TokenizerError};
use thiserror::Error;

/// Why no answer was generated.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("{0}")]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Greedy generation after `context`, as in lm-evaluation-harness: at most `max_tokens`, up to an
/// end-of-text token or one of the stop sequences `stops`, which may be special tokens. The result
/// is truncated before the first stop sequence.
///
/// # Errors
/// [`OpenError`] if the context is not valid for the model, or the device is lost.
pub async fn answer_open(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    context: &[u32],
    stops: &[String],
    max_tokens: usize,
) -> Result<String, OpenError> {
    let stops: Vec<Stop<'_>> = stops
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| Stop::new(text, tokenizer))
        .collect::<Result<_, _>>()?;
    let mut generation = Generation::new(model, context, max_tokens, Sampling::Greedy)?;
    let end_tokens = model.config().end_tokens();
    let mut tokens = Vec::new();
    while let Some(token) = generation.next().await? {
        tokens.push(token);
        if end_tokens.contains(&token) {
            break;
        }
        let mut is_over = false;
        for stop in &stops {
            is_over |= stop.is_in_last(&tokens, tokenizer)?;
        }
        if is_over {
            break;
        }
    }
    Ok(before_all(&tokenizer.decode(&tokens)?, &stops).to_owned())
}

/// A stop sequence.
struct Stop<'a> {
    text: &'a str,
    /// Number of last tokens that are searched for it.
    n_tokens: usize,
}

impl<'a> Stop<'a> {
    fn new(text: &'a str, tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        // Another tokenization of the same text may start a little earlier.
        Ok(Self { text, n_tokens: tokenizer.encode(text, false)?.len() + 2 })
    }

    fn is_in_last(&self, tokens: &[u32], tokenizer: &Tokenizer) -> Result<bool, TokenizerError> {
        let last = &tokens[tokens.len().saturating_sub(self.n_tokens)..];
        // The tokenizer's own EOS is a special token.
        Ok(tokenizer.decode_with_special(last)?.contains(self.text))
    }
}

/// The text truncated at each of the stop sequences in turn.
fn before_all<'text>(text: &'text str, stops: &[Stop<'_>]) -> &'text str {
    let cut = |text: &'text str, stop: &Stop<'_>| text.split(stop.text).next().unwrap_or(text);
    stops.iter().fold(text, cut)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;

    #[test]
    fn the_earliest_stop_ends_the_text() {
        let stops = ["\n\n", "Question:"].map(|text| Stop { text, n_tokens: 0 });
        assert_eq!(before_all("four Question: \n\n", &stops), "four ");
        assert_eq!(before_all("four", &stops), "four");
    }

    const N_TOKENS: usize = 12;

    /// A tokenizer whose tokens 20 to 30 are special, and a model with these end tokens.
    fn model(end_tokens: Vec<u32>) -> (LanguageModel, Tokenizer) {
        let config = r#"{"model_type": "qwen3", "vocab_size": 31, "hidden_size": 16,
            "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 64,
            "tie_word_embeddings": true}"#;
        let config = ModelConfig::from_json(config).unwrap().with_end_tokens(end_tokens);
        let model = LanguageModel::random(&config, Initialization::Scaled, 1, &Device::flex());
        let name = |id: u32| if id < 20 { format!("w{id}") } else { format!("<s{id}>") };
        let vocab: serde_json::Map<String, serde_json::Value> =
            (0..31).map(|id| (name(id), id.into())).collect();
        let special = |id: u32| {
            serde_json::json!({"id": id, "content": name(id), "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        };
        let json = serde_json::json!({
            "added_tokens": (20..31).map(special).collect::<Vec<_>>(),
            "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "unk_token": "w0", "vocab": vocab},
        });
        (model, Tokenizer::from_json(json.to_string().as_bytes()).unwrap())
    }

    /// Greedy tokens of a model without end tokens.
    fn free(prompt: &[u32]) -> Vec<u32> {
        let (model, _) = model(Vec::new());
        let mut generation = Generation::new(&model, prompt, N_TOKENS, Sampling::Greedy).unwrap();
        let mut tokens = Vec::new();
        while let Some(token) = block_on(generation.next()).unwrap() {
            tokens.push(token);
        }
        tokens
    }

    fn answer(end_tokens: Vec<u32>, prompt: &[u32], stops: &[String]) -> String {
        let (model, tokenizer) = model(end_tokens);
        block_on(answer_open(&model, &tokenizer, prompt, stops, N_TOKENS)).unwrap()
    }

    /// Prompts with their generated tokens and the index of the first occurrence of a token that is
    /// special or not.
    fn with_token(is_special: bool) -> Vec<(u32, Vec<u32>, usize)> {
        let found = (0..20).filter_map(|prompt| {
            let tokens = free(&[prompt]);
            let is_first = |index: &usize| !tokens[..*index].contains(&tokens[*index]);
            let mut indices = (1..N_TOKENS).filter(is_first);
            let index = indices.find(|&index| (tokens[index] >= 20) == is_special)?;
            Some((prompt, tokens, index))
        });
        let found: Vec<_> = found.collect();
        assert!(found.len() > 3);
        found
    }

    #[test]
    fn an_answer_ends_at_a_special_token_among_its_stops() {
        for (prompt, tokens, index) in with_token(true) {
            let (_, tokenizer) = model(Vec::new());
            let stop = tokenizer.token(tokens[index]).unwrap();
            let expected = tokenizer.decode(&tokens[..index]).unwrap();
            assert_eq!(answer(Vec::new(), &[prompt], &[stop]), expected);
        }
    }

    #[test]
    fn an_answer_ends_with_the_models_end_token() {
        for (prompt, tokens, index) in with_token(false) {
            let (_, tokenizer) = model(Vec::new());
            // An end token that is not special is part of the answer.
            let expected = tokenizer.decode(&tokens[..=index]).unwrap();
            assert_eq!(answer(vec![tokens[index]], &[prompt], &[]), expected);
        }
    }
}
