//! What a `config.json` is read as, and what is refused.

use super::*;

const SMALL: &str = r#"{"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 12,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "num_hidden_layers": 3,
    "vocab_size": 11, "rope_theta": 1000000, "layer_types":
    ["full_attention", "full_attention", "full_attention"]}"#;

fn with(pairs: &[(&str, Value)]) -> String {
    let mut json: Map<String, Value> = serde_json::from_str(SMALL).unwrap();
    for (key, value) in pairs {
        json.insert((*key).to_owned(), value.clone());
    }
    Value::Object(json).to_string()
}

fn windows(config: &ModelConfig) -> Vec<Option<usize>> {
    config.layers.iter().map(|layer| layer.window).collect()
}

fn again(config: &ModelConfig) -> ModelConfig {
    ModelConfig::from_json(&config.to_json()).unwrap()
}

#[test]
fn the_size_of_a_head_need_not_divide_the_model() {
    assert_eq!(ModelConfig::from_json(SMALL).unwrap().d_head, 6);
}

#[test]
fn both_spellings_of_rope_theta_are_read() {
    let v5 = with(&[(
        "rope_parameters",
        serde_json::json!({"rope_theta": 5.0, "rope_type": "default"}),
    )]);
    assert_eq!(ModelConfig::from_json(SMALL).unwrap().rotary[0].theta, 1e6);
    assert_eq!(ModelConfig::from_json(&v5).unwrap().rotary[0].theta, 5.0);
}

#[test]
fn an_unknown_architecture_is_answered_with_the_known_ones() {
    let error = ModelConfig::from_json(&with(&[("model_type", "mamba".into())])).unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("model_type \"mamba\" is not supported; supported: llama, mistral")
    );
}

#[test]
fn a_rope_that_is_not_implemented_is_refused() {
    let yarn = with(&[("rope_scaling", serde_json::json!({"rope_type": "yarn", "factor": 8.0}))]);
    assert!(matches!(
        ModelConfig::from_json(&yarn),
        Err(ConfigError::Unsupported { key: "rope_scaling", .. })
    ));
}

#[test]
fn quantized_weights_are_refused_by_name() {
    let json = with(&[("quantization_config", serde_json::json!({"quant_method": "awq"}))]);
    let error = ModelConfig::from_json(&json).unwrap_err().to_string();
    assert!(error.starts_with("quantization_config = \"awq\" is not supported"), "{error}");
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_reserved() {
    for key in ["vocab_size", "num_hidden_layers"] {
        let error = ModelConfig::from_json(&with(&[(key, 16_000_000_000_u64.into())])).unwrap_err();
        assert!(matches!(error, ConfigError::Invalid { .. }), "{key}");
    }
}

#[test]
fn lists_by_layer_follow_the_number_of_layers() {
    let kept = ModelConfig::from_json(SMALL).unwrap().keeping(&[0, 2]);
    assert_eq!(again(&kept), kept);
    assert_eq!(kept.json["layer_types"].as_array().unwrap().len(), 2);
}

#[test]
fn a_kept_layer_keeps_its_window() {
    let json = with(&[
        ("model_type", "gemma2".into()),
        ("num_hidden_layers", 4.into()),
        ("sliding_window", 7.into()),
        ("layer_types", Value::Null),
    ]);
    let config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(windows(&config), [Some(7), None, Some(7), None]);
    let kept = config.keeping(&[0, 2, 3]);
    assert_eq!(windows(&again(&kept)), [Some(7), Some(7), None]);
}

#[test]
fn a_kept_layer_keeps_its_place_without_rotation() {
    let json = with(&[
        ("model_type", "smollm3".into()),
        ("num_hidden_layers", 4.into()),
        ("layer_types", Value::Null),
    ]);
    let config = ModelConfig::from_json(&json).unwrap();
    let kept = again(&config.keeping(&[0, 3]));
    assert_eq!(kept.layers.iter().map(|layer| layer.rotary).collect::<Vec<_>>(), [Some(0), None]);
}

#[test]
fn windows_begin_at_max_window_layers() {
    let json = with(&[
        ("use_sliding_window", true.into()),
        ("sliding_window", 5.into()),
        ("max_window_layers", 1.into()),
        ("layer_types", Value::Null),
    ]);
    let config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(windows(&config), [None, Some(5), Some(5)]);
    assert_eq!(config.keeping(&[1, 2]).json["max_window_layers"], 0);
}

#[test]
fn a_window_of_null_is_none() {
    let mistral =
        |window: Value| with(&[("model_type", "mistral".into()), ("sliding_window", window)]);
    let read = |window| windows(&ModelConfig::from_json(&mistral(window)).unwrap())[0];
    assert_eq!((read(Value::Null), read(3.into())), (None, Some(3)));
}

#[test]
fn parameters_of_large_models_are_counted_whole() {
    let of = |pairs: &[(&str, u64)]| {
        let pairs: Vec<(&str, Value)> =
            pairs.iter().map(|&(key, size)| (key, size.into())).collect();
        let config = with(&[&pairs[..], &[("layer_types", Value::Null)]].concat());
        ModelConfig::from_json(&config).unwrap()
    };
    let large = of(&[
        ("hidden_size", 8192),
        ("intermediate_size", 28672),
        ("num_attention_heads", 64),
        ("num_key_value_heads", 8),
        ("head_dim", 128),
        ("num_hidden_layers", 80),
        ("vocab_size", 128_256),
    ]);
    // Attention, MLP and the norms of a layer, those of its heads among them.
    let layer: u64 = 8192 * 128 * (64 + 8) * 2 + 3 * 8192 * 28672 + 2 * 8192 + 2 * 128;
    assert_eq!(large.n_layer_params(), layer);
    let ends: u64 = 2 * 128_256 * 8192 + 8192;
    assert_eq!(large.n_params_of(80, false), 80 * layer + ends);
    assert!(large.n_params_of(80, false) > u64::from(u32::MAX));

    const MOST: u64 = keys::MAX_SIZE;
    let largest = of(&[
        ("hidden_size", MOST),
        ("intermediate_size", MOST),
        ("num_attention_heads", MOST / 2),
        ("num_key_value_heads", MOST / 2),
        ("head_dim", 2),
        ("num_hidden_layers", 4096),
        ("vocab_size", MOST),
    ]);
    // In matrices of that size: four and three in a layer, and two at the ends.
    assert_eq!(largest.n_params_of(4096, false) / (MOST * MOST), 4096 * 7 + 2);
}
