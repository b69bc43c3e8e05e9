//! Answers in the model's own words, up to a text that ends them.

use super::{GenerateError, Generation, Sampling};
use crate::model::LanguageModel;
use crate::tokenizer::{Tokenizer, TokenizerError};
use thiserror::Error;

/// A question that got no answer.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("{0}")]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// What the model writes after `context`, always the likeliest token, as lm-evaluation-harness lets
/// it write: at most `max_tokens`, up to its end token or one of the `stops`, special tokens
/// included, and without what follows the first of them.
///
/// # Errors
/// [`OpenError`] when the context does not fit the model, or the device is lost.
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
            is_over |= stop.is_behind(&tokens, tokenizer)?;
        }
        if is_over {
            break;
        }
    }
    Ok(before_all(&tokenizer.decode(&tokens)?, &stops).to_owned())
}

/// A text that ends an answer.
struct Stop<'a> {
    text: &'a str,
    /// The last tokens in which it is looked for.
    n_tokens: usize,
}

impl<'a> Stop<'a> {
    fn new(text: &'a str, tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        // Another split of the same text may begin a little earlier.
        Ok(Self { text, n_tokens: tokenizer.encode(text, false)?.len() + 2 })
    }

    fn is_behind(&self, tokens: &[u32], tokenizer: &Tokenizer) -> Result<bool, TokenizerError> {
        let last = &tokens[tokens.len().saturating_sub(self.n_tokens)..];
        // The tokenizer's own EOS is a special token.
        Ok(tokenizer.decode_with_special(last)?.contains(self.text))
    }
}

/// What is left when the text is cut at each of the stops, one after the other.
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

    /// A model whose tokens 20 to 30 are special, and one that ends texts with `end_tokens`.
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

    /// Greedy tokens of a model that no token ends, and the first place of a special and of a plain
    /// one that no earlier place has.
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

    /// Of some prompts, each with what follows it, and a token that is special or not.
    fn with_token(is_special: bool) -> Vec<(u32, Vec<u32>, usize)> {
        let found = (0..20).filter_map(|prompt| {
            let tokens = free(&[prompt]);
            let is_first = |place: &usize| !tokens[..*place].contains(&tokens[*place]);
            let mut places = (1..N_TOKENS).filter(is_first);
            let place = places.find(|&place| (tokens[place] >= 20) == is_special)?;
            Some((prompt, tokens, place))
        });
        let found: Vec<_> = found.collect();
        assert!(found.len() > 3);
        found
    }

    #[test]
    fn an_answer_ends_at_a_special_token_among_its_stops() {
        for (prompt, tokens, place) in with_token(true) {
            let (_, tokenizer) = model(Vec::new());
            let stop = tokenizer.token(tokens[place]).unwrap();
            let expected = tokenizer.decode(&tokens[..place]).unwrap();
            assert_eq!(answer(Vec::new(), &[prompt], &[stop]), expected);
        }
    }

    #[test]
    fn an_answer_ends_with_the_models_end_token() {
        for (prompt, tokens, place) in with_token(false) {
            let (_, tokenizer) = model(Vec::new());
            // An end token that is a word is a part of the answer.
            let expected = tokenizer.decode(&tokens[..=place]).unwrap();
            assert_eq!(answer(vec![tokens[place]], &[prompt], &[]), expected);
        }
    }
}
