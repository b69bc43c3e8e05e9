//! End-of-text tokens, and the separator between documents.
//!
//! The two come from different files: generation ends at the tokens of `generation_config.json`,
//! packed documents are separated by the EOS token of `config.json`.

use serde_json::Value;

use super::{ConfigError, ModelConfig};

/// The key of both files.
const KEY: &str = "eos_token_id";

impl ModelConfig {
    /// The tokens that end generation: those of `generation_config.json` if the model has that
    /// file, otherwise those of `config.json`. Some may lie outside the vocabulary and are never
    /// generated.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The same model with the end tokens of its `generation_config.json`, which override those of
    /// `config.json`: without `eos_token_id`, or if it is null, no token ends generation, as in
    /// transformers 4.57 and 5.
    ///
    /// # Errors
    /// [`ConfigError`] if this is not a JSON object, or its `eos_token_id` is not a number, a list
    /// of numbers, or null.
    pub fn with_generation_config(self, text: &str) -> Result<Self, ConfigError> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Json(error.to_string()))?;
        let Value::Object(json) = json else {
            return Err(ConfigError::Json("expected { … } at the top".to_owned()));
        };
        let end_tokens = read(json.get(KEY))?;
        Ok(self.with_end_tokens(end_tokens))
    }

    /// The same model with other end tokens than those in its `config.json`.
    #[must_use]
    pub fn with_end_tokens(self, end_tokens: Vec<u32>) -> Self {
        Self { end_tokens, ..self }
    }

    /// The end tokens, if they differ from those of `config.json`.
    pub fn other_end_tokens(&self) -> Option<&[u32]> {
        let own = read(self.json.get(KEY)).unwrap_or_default();
        (own != self.end_tokens).then_some(&self.end_tokens)
    }

    /// The first EOS token of `config.json`, which separates documents and may precede a text;
    /// `None` if the file has none.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is outside the model's vocabulary.
    pub fn eos_token(&self) -> Result<Option<u32>, ConfigError> {
        let Some(first) = first(self.json.get(KEY)) else { return Ok(None) };
        let token = first.as_u64().filter(|&token| token < self.vocab as u64);
        match token.and_then(|token| u32::try_from(token).ok()) {
            Some(token) => Ok(Some(token)),
            None => Err(ConfigError::Invalid {
                key: KEY,
                found: first.to_string(),
                expected: "a token id below vocab_size",
            }),
        }
    }
}

/// Negative and too large ids are ignored, as in transformers.
pub(super) fn read(value: Option<&Value>) -> Result<Vec<u32>, ConfigError> {
    let invalid = || ConfigError::Invalid {
        key: KEY,
        found: value.map(Value::to_string).unwrap_or_default(),
        expected: "a token id, a list of token ids, or null",
    };
    let ids: &[Value] = match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(ids)) => ids.as_slice(),
        Some(id) => std::slice::from_ref(id),
    };
    let is_whole = |id: &Value| id.is_u64() || id.is_i64();
    if !ids.iter().all(is_whole) {
        return Err(invalid());
    }
    Ok(ids.iter().filter_map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect())
}

fn first(value: Option<&Value>) -> Option<&Value> {
    match value? {
        Value::Null => None,
        Value::Array(ids) => ids.first(),
        id => Some(id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(eos: Value) -> Result<ModelConfig, ConfigError> {
        let mut json = json!({
            "model_type": "qwen3", "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 6,
        });
        if eos != "absent" {
            json[KEY] = eos;
        }
        ModelConfig::from_json(&json.to_string())
    }

    /// As in both transformers 4.57.6 and 5.24: `eos_token_id` of `config.json`, the contents of
    /// `generation_config.json`, and the tokens at which generation stops.
    #[test]
    fn a_text_ends_where_transformers_ends_it() {
        let cases: [(Value, Option<&str>, &[u32]); 13] = [
            (json!(5), None, &[5]),
            (json!([5, 6]), None, &[5, 6]),
            (json!(null), None, &[]),
            (json!([]), None, &[]),
            (json!(0), Some(r#"{"eos_token_id": [0, 30]}"#), &[0, 30]),
            (json!([0, 30]), Some(r#"{"eos_token_id": 7}"#), &[7]),
            (json!(5), Some(r#"{"eos_token_id": []}"#), &[]),
            (json!(5), Some(r#"{"eos_token_id": null}"#), &[]),
            (json!(5), Some("{}"), &[]),
            (json!(5), Some(r#"{"_from_model_config": true, "temperature": 0.6}"#), &[]),
            (json!("absent"), Some(r#"{"eos_token_id": 7}"#), &[7]),
            (json!(5), Some(r#"{"eos_token_id": -1}"#), &[]),
            (json!(1_000_000_000), None, &[1_000_000_000]),
        ];
        for (own, generation, expected) in cases {
            let mut config = config(own.clone()).unwrap();
            if let Some(text) = generation {
                config = config.with_generation_config(text).unwrap();
            }
            assert_eq!(config.end_tokens(), expected, "{own} and {generation:?}");
        }
    }

    #[test]
    fn invalid_ids_are_refused_in_both_files() {
        for odd in [json!("5"), json!(5.5), json!(true), json!([5, null]), json!([[5]]), json!({})]
        {
            let sentence = config(odd.clone()).unwrap_err().to_string();
            assert_eq!(
                sentence,
                format!(
                    "key \"eos_token_id\" is {odd}; expected a token id, a list of token ids, or null"
                )
            );
            let generation = json!({ "eos_token_id": odd }).to_string();
            let error = config(json!(5)).unwrap().with_generation_config(&generation).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
        for text in ["", "[1]", "{"] {
            let error = config(json!(5)).unwrap().with_generation_config(text).unwrap_err();
            assert!(matches!(error, ConfigError::Json(_)), "{text:?}");
        }
    }

    #[test]
    fn documents_are_separated_by_the_eos_of_the_config() {
        let eos = |own: Value| {
            let config = config(own).unwrap();
            config.with_generation_config(r#"{"eos_token_id": 9}"#).unwrap().eos_token()
        };
        assert_eq!(eos(json!([5, 6])).unwrap(), Some(5));
        assert_eq!(eos(json!(null)).unwrap(), None);
        for (own, shown) in [(json!(31), "31"), (json!([-1]), "-1")] {
            let sentence = eos(own).unwrap_err().to_string();
            assert!(
                sentence.contains(&format!("is {shown}; expected a token id below")),
                "{sentence}"
            );
        }
    }

    #[test]
    fn end_tokens_are_stored_separately_only_if_they_differ() {
        let config = config(json!(5)).unwrap();
        assert_eq!(config.other_end_tokens(), None);
        let same = config.clone().with_generation_config(r#"{"eos_token_id": 5}"#).unwrap();
        assert_eq!(same.other_end_tokens(), None);
        let none = config.with_generation_config("{}").unwrap();
        assert_eq!(none.other_end_tokens(), Some(&[][..]));
        assert_eq!(none.keeping(&[0]).end_tokens(), [] as [u32; 0]);
    }
}
