//! Tests with small tokenizers of each kind.

use serde_json::json;

use super::split::QWEN2;
use super::*;

fn config(vocab: usize) -> ModelConfig {
    let json = json!({
        "model_type": "qwen3", "vocab_size": vocab, "hidden_size": 8, "intermediate_size": 6,
        "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 4, "eos_token_id": [3, 2],
    });
    ModelConfig::from_json(&json.to_string()).unwrap()
}

fn byte_level(pattern: &str) -> Value {
    json!({
        "added_tokens": [{"id": 3, "content": "<end>", "special": true}],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
             "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        ]},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    })
}

fn described(tokenizer: &Value, vocab: usize) -> Result<(Metadata<'static>, Vec<String>), String> {
    let json = tokenizer.to_string();
    let files = TokenizerFiles {
        tokenizer: json.as_bytes(),
        tokenizer_config: None,
        chat_template: Some("{{ text }}"),
        chat_template_json: None,
    };
    describe_tokenizer(&files, &config(vocab)).map_err(|error| error.to_string())
}

fn texts(metadata: &Metadata<'_>, key: &str) -> Vec<String> {
    let array = metadata.get(key).unwrap().as_array().unwrap();
    array.values().map(|value| value.as_text().unwrap().to_owned()).collect()
}

#[test]
fn a_byte_level_tokenizer_is_written_as_tokens_and_merges() {
    let (metadata, notes) = described(&byte_level(QWEN2), 6).unwrap();
    assert_eq!(metadata.text("tokenizer.ggml.model"), Some("gpt2"));
    assert_eq!(metadata.text("tokenizer.ggml.pre"), Some("qwen2"));
    let tokens = ["a", "b", "ab", "<end>", "[PAD4]", "[PAD5]"];
    assert_eq!(texts(&metadata, "tokenizer.ggml.tokens"), tokens);
    assert_eq!(texts(&metadata, "tokenizer.ggml.merges"), ["a b"]);
    let types = metadata.get("tokenizer.ggml.token_type").unwrap().as_array().unwrap().sizes();
    assert_eq!(types, Some(vec![1, 1, 1, 3, 5, 5]));
    assert_eq!(metadata.size("tokenizer.ggml.eos_token_id"), Some(3), "the first of the list");
    assert_eq!(metadata.text("tokenizer.chat_template"), Some("{{ text }}"));
    assert!(notes.is_empty());
}

#[test]
fn an_unknown_pre_tokenizer_is_a_warning() {
    let (metadata, notes) = described(&byte_level(r"\w+"), 6).unwrap();
    assert_eq!(metadata.text("tokenizer.ggml.pre"), Some("default"));
    assert_eq!(notes.len(), 1);
}

#[test]
fn a_sentence_piece_tokenizer_is_written_as_scores() {
    let tokenizer = json!({
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<unk>", "type_id": 0}}, {"Sequence": {"id": "A"}},
        ]},
        "model": {
            "type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
            "vocab": {"<unk>": 0, "<0x0A>": 1, "▁": 2, "a": 3, "▁a": 4, "aa": 5},
            "merges": [["a", "a"], ["▁", "a"]],
        },
    });
    let (metadata, _) = described(&tokenizer, 6).unwrap();
    let values = |key: &str| -> Vec<GgufValue<'_>> {
        metadata.get(key).unwrap().as_array().unwrap().values().collect()
    };
    let scores = [0.0, 0.0, 0.0, 0.0, -2.0, -1.0].map(GgufValue::F32);
    assert_eq!(values("tokenizer.ggml.scores"), scores);
    let types = [2, 6, 1, 1, 1, 1].map(GgufValue::I32);
    assert_eq!(values("tokenizer.ggml.token_type"), types);
    assert_eq!(metadata.get("tokenizer.ggml.add_bos_token"), Some(&GgufValue::Bool(true)));
    assert_eq!(metadata.get("tokenizer.ggml.add_space_prefix"), Some(&GgufValue::Bool(true)));
}

#[test]
fn unsupported_tokenizers_are_refused_with_the_reason() {
    let mut unigram = byte_level(QWEN2);
    unigram["model"]["type"] = "Unigram".into();
    assert!(described(&unigram, 6).unwrap_err().contains("Unigram"));
    let mut lowercase = byte_level(QWEN2);
    lowercase["normalizer"] = json!({"type": "Lowercase"});
    assert!(described(&lowercase, 6).unwrap_err().contains("Lowercase"));
    assert!(described(&byte_level(QWEN2), 3).unwrap_err().contains("3 rows"));
}

#[test]
fn a_chat_template_is_found_in_each_of_its_files() {
    let tokenizer = byte_level(QWEN2).to_string();
    let template = |settings: Option<&str>, template_file: Option<&str>| {
        let files = TokenizerFiles {
            tokenizer: tokenizer.as_bytes(),
            tokenizer_config: settings.map(str::as_bytes),
            chat_template: None,
            chat_template_json: template_file.map(str::as_bytes),
        };
        let (metadata, _) = describe_tokenizer(&files, &config(6)).unwrap();
        metadata.text("tokenizer.chat_template").map(str::to_owned)
    };
    let listed = r#"{"chat_template": [{"name": "tools", "template": "t"},
        {"name": "default", "template": "d"}]}"#;
    let template_file = r#"{"chat_template": "a"}"#;
    assert_eq!(template(Some(listed), Some(template_file)).as_deref(), Some("d"));
    assert_eq!(template(Some("{}"), Some(template_file)).as_deref(), Some("a"));
    assert_eq!(template(None, Some(listed)).as_deref(), Some("d"));
    assert_eq!(template(None, None), None);
}
