//! Tests of reading and rejecting a `config.json`.

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

fn refusal(json: &str) -> String {
    ModelConfig::from_json(json).unwrap_err().to_string()
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
    let parameters = serde_json::json!({"rope_theta": 5.0, "rope_type": "default"});
    let v5 = with(&[("rope_parameters", parameters.clone()), ("rope_theta", Value::Null)]);
    assert_eq!(ModelConfig::from_json(SMALL).unwrap().rotary[0].theta, 1e6);
    assert_eq!(ModelConfig::from_json(&v5).unwrap().rotary[0].theta, 5.0);
    let both = refusal(&with(&[("rope_parameters", parameters)]));
    let expected = "rope_theta is 1000000 for transformers 4 and 5 for transformers 5";
    assert!(both.starts_with(expected), "{both}");
}

#[test]
fn a_scaling_under_one_key_is_not_lost_to_another_key() {
    let plain = serde_json::json!({"rope_theta": 1e6, "rope_type": "default"});
    let linear = serde_json::json!({"rope_type": "linear", "factor": 2.0});
    let yarn = serde_json::json!({"rope_type": "yarn", "factor": 2.0});
    let both = |older: &Value, newer: &Value| {
        with(&[("rope_scaling", older.clone()), ("rope_parameters", newer.clone())])
    };
    assert!(refusal(&both(&yarn, &plain)).contains("yarn"));
    let linear_and_plain = refusal(&both(&linear, &plain));
    assert!(linear_and_plain.starts_with("rope_scaling and rope_parameters disagree"));
    assert!(refusal(&both(&plain, &yarn)).contains("yarn"));
    let alike = ModelConfig::from_json(&both(&linear, &linear)).unwrap();
    assert_eq!(alike.rotary[0].scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn rope_parameters_by_layer_type_need_an_architecture_that_has_them() {
    let by_kind =
        serde_json::json!({"full_attention": {"rope_theta": 5.0, "rope_type": "default"}});
    let flat = serde_json::json!({"rope_theta": 5.0, "rope_type": "default"});
    assert!(refusal(&with(&[("rope_parameters", by_kind)])).contains("rope_parameters"));
    let gemma3 = [("model_type", "gemma3_text".into()), ("rope_parameters", flat)];
    assert!(refusal(&with(&gemma3)).contains("sliding_attention"));
}

#[test]
fn a_key_is_read_by_the_architectures_that_have_it() {
    let pairs: [(&str, Value); 6] = [
        ("partial_rotary_factor", 0.5.into()),
        ("attn_logit_softcapping", 5.0.into()),
        ("final_logit_softcapping", 5.0.into()),
        ("query_pre_attn_scalar", 7.into()),
        ("scale_attn_weights", false.into()),
        ("mlp_bias", true.into()),
    ];
    let plain = ModelConfig::from_json(SMALL).unwrap();
    let with_more = ModelConfig::from_json(&with(&pairs)).unwrap();
    assert_eq!(with_more, ModelConfig { json: with_more.json.clone(), ..plain });
    let mut phi3 = vec![("model_type", Value::from("phi3")), ("head_dim", 8.into())];
    phi3.extend(pairs);
    assert_eq!(ModelConfig::from_json(&with(&phi3)).unwrap().rotary[0].d_rotated, 4);
    // Gemma 2 has windows in every second layer, whatever this key says.
    let gemma2 = [
        ("model_type", "gemma2".into()),
        ("sliding_window_pattern", 3.into()),
        ("layer_types", Value::Null),
    ];
    let gemma2 = ModelConfig::from_json(&with(&gemma2)).unwrap();
    assert_eq!(windows(&gemma2), [Some(4096), None, Some(4096)]);
}

#[test]
fn internlm3_has_biases_under_the_keys_of_either_generation() {
    let internlm3 = |pairs: &[(&str, Value)]| {
        let own = [("model_type", "internlm3".into()), ("rms_norm_eps", 1e-6.into())];
        with(&[&own[..], pairs].concat())
    };
    let biases = |json: &str| {
        let config = ModelConfig::from_json(json).unwrap();
        [config.query_key_value_bias, config.attention_output_bias, config.mlp_bias]
    };
    assert_eq!(biases(&internlm3(&[])), [false; 3]);
    let newer = [("attention_bias", true.into()), ("mlp_bias", true.into())];
    assert_eq!(biases(&internlm3(&newer)), [true; 3]);
    assert_eq!(biases(&internlm3(&[("qkv_bias", true.into())])), [true, false, false]);
    let disagreeing = [("qkv_bias", true.into()), ("attention_bias", false.into())];
    let sentence = refusal(&internlm3(&disagreeing));
    assert!(sentence.starts_with("qkv_bias and attention_bias disagree: true and false"));
    let sentence = refusal(&internlm3(&[("head_dim", Value::Null)]));
    assert!(sentence.starts_with("key \"head_dim\" is missing"), "{sentence}");
}

#[test]
fn other_names_of_a_key_are_read_and_written_as_the_key() {
    let gpt2 = |pairs: &[(&str, Value)]| {
        let own = [("model_type", "gpt2".into()), ("n_embd", 8.into()), ("n_head", 4.into())];
        let layers = [("num_attention_heads", Value::Null), ("hidden_size", Value::Null)];
        with(&[&own[..], &layers, pairs].concat())
    };
    let config = ModelConfig::from_json(&gpt2(&[])).unwrap();
    assert_eq!((config.n_layers(), config.d_model), (3, 8));
    let kept = config.keeping(&[1]);
    assert_eq!((&kept.json["n_layer"], kept.json.get("num_hidden_layers")), (&1.into(), None));
    let sentence = refusal(&gpt2(&[("hidden_size", 16.into())]));
    assert!(sentence.starts_with("hidden_size and n_embd disagree: 16 and 8"), "{sentence}");
}

#[test]
fn mistral_has_windows_in_the_layers_that_it_lists() {
    let types = serde_json::json!(["full_attention", "sliding_attention", "full_attention"]);
    let json = with(&[
        ("model_type", "mistral".into()),
        ("sliding_window", 4.into()),
        ("layer_types", types),
    ]);
    let config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(windows(&config), [None, Some(4), None]);
    assert_eq!(windows(&again(&config.keeping(&[0, 1]))), [None, Some(4)]);
    let all = with(&[
        ("model_type", "mistral".into()),
        ("sliding_window", 4.into()),
        ("layer_types", Value::Null),
    ]);
    assert_eq!(windows(&ModelConfig::from_json(&all).unwrap()), [Some(4); 3]);
}

#[test]
fn windows_that_are_listed_have_a_size() {
    let types = serde_json::json!(["full_attention", "sliding_attention", "full_attention"]);
    let listed =
        |pairs: &[(&str, Value)]| with(&[&[("layer_types", types.clone())][..], pairs].concat());
    let off = refusal(&listed(&[("use_sliding_window", false.into())]));
    assert!(off.starts_with("use_sliding_window = false is not supported"), "{off}");
    let null = [("model_type", "gemma2".into()), ("sliding_window", Value::Null)];
    assert!(refusal(&listed(&null)).starts_with("key \"sliding_window\" is null"));
    for model_type in ["llama", "phi3"] {
        let sentence = refusal(&listed(&[("model_type", model_type.into())]));
        assert!(sentence.starts_with("layer_types = \"sliding_attention\""), "{sentence}");
    }
}

#[test]
fn a_layer_with_a_window_is_written_into_a_config_without_windows() {
    let windowed = with(&[
        ("use_sliding_window", true.into()),
        ("sliding_window", 5.into()),
        ("max_window_layers", 0.into()),
        ("layer_types", Value::Null),
    ]);
    let windowed = ModelConfig::from_json(&windowed).unwrap().layers;
    for (model_type, window) in [("qwen3", Value::from(4096)), ("mistral", Value::Null)] {
        let json = with(&[
            ("model_type", model_type.into()),
            ("sliding_window", window),
            ("layer_types", Value::Null),
        ]);
        let config = ModelConfig::from_json(&json).unwrap();
        let layers = vec![config.layers[0], windowed[1], config.layers[2]];
        let mixed = config.with_layers(layers.clone(), false);
        assert_eq!(again(&mixed).layers, layers, "{model_type}");
        assert_eq!(windows(&mixed), [None, Some(5), None]);
    }
}

#[test]
fn incompatible_configs_are_described_with_both_values() {
    let difference = |pairs: &[(&str, Value)], others: &[(&str, Value)]| {
        let [one, other] =
            [pairs, others].map(|pairs| ModelConfig::from_json(&with(pairs)).unwrap());
        one.difference(&other).unwrap_or_default()
    };
    let eps = [("rms_norm_eps", 1e-5.into())];
    assert_eq!(difference(&[], &eps), "rms_norm_eps 0.000001 and 0.00001");
    let activation = [("hidden_act", "gelu".into())];
    assert_eq!(difference(&[], &activation), "hidden_act Silu and Gelu");
    let scaled = [("rope_scaling", serde_json::json!({"rope_type": "linear", "factor": 2.0}))];
    let expected = "rotary embeddings theta 1000000, 6 rotated dimensions and theta 1000000, 6 \
                    rotated dimensions, linear by 2";
    assert_eq!(difference(&[], &scaled), expected);
    let window = |size: u64| {
        [
            ("use_sliding_window", true.into()),
            ("sliding_window", size.into()),
            ("max_window_layers", 0.into()),
            ("layer_types", Value::Null),
        ]
    };
    assert_eq!(difference(&window(4), &window(3)), "sliding_window 4 and 3");
    // Each layer keeps its own.
    assert_eq!(difference(&window(4), &[]), "");
    let phi3 = |window: Value| {
        let own = [("model_type", "phi3".into()), ("layer_types", Value::Null)];
        [&own[..], &[("sliding_window", window)]].concat()
    };
    assert_eq!(difference(&phi3(4.into()), &phi3(Value::Null)), "sliding_window 4 and none");
}

#[test]
fn models_without_a_head_over_the_vocabulary_are_named() {
    for (class, found) in [
        ("LlamaForSequenceClassification", "a sequence classifier or reward model"),
        ("InternLM2ForRewardModel", "a reward model"),
        ("BertForTokenClassification", "a token classifier"),
    ] {
        let sentence = refusal(&with(&[("architectures", serde_json::json!([class]))]));
        assert!(sentence.starts_with(&format!("this is {found}")), "{sentence}");
        assert!(sentence.contains(class), "{sentence}");
    }
}

#[test]
fn settings_of_single_layers_are_refused() {
    let own = serde_json::json!({"1": {"sliding_window": 4}});
    assert!(refusal(&with(&[("per_layer_config", own)])).starts_with("per_layer_config = "));
    assert!(ModelConfig::from_json(&with(&[("per_layer_config", Value::Null)])).is_ok());
}

#[test]
fn the_error_for_an_unknown_architecture_lists_the_supported_ones() {
    let error = ModelConfig::from_json(&with(&[("model_type", "mamba".into())])).unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("model_type \"mamba\" is not supported; supported: llama, mistral")
    );
}

#[test]
fn a_scaling_without_a_name_is_refused() {
    for key in ["rope_scaling", "rope_parameters"] {
        let nameless = with(&[(key, serde_json::json!({"factor": 2.0}))]);
        assert!(refusal(&nameless).contains("factor"), "{}", refusal(&nameless));
    }
    let unscaled = serde_json::json!({"rope_theta": 1e6});
    let unscaled = with(&[("rope_parameters", unscaled), ("rope_theta", Value::Null)]);
    assert!(ModelConfig::from_json(&unscaled).is_ok());
}

#[test]
fn a_rope_that_is_not_implemented_is_refused() {
    let other = with(&[("rope_scaling", serde_json::json!({"rope_type": "xpos", "factor": 8.0}))]);
    assert!(matches!(
        ModelConfig::from_json(&other),
        Err(ConfigError::RopeType { key: "rope_scaling", .. })
    ));
}

#[test]
fn quantized_weights_are_refused_by_name() {
    let awq = serde_json::json!({"quant_method": "awq"});
    for key in ["quantization_config", "compression_config", "quantization"] {
        let error = refusal(&with(&[(key, awq.clone())]));
        let expected = format!("quantized with awq (found: {key} in config.json)");
        assert!(error.starts_with(&expected), "{error}");
    }
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
fn a_kept_layer_without_rotary_embedding_keeps_none() {
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
    let mistral = |window: Value| {
        let family = ("model_type", "mistral".into());
        with(&[family, ("layer_types", Value::Null), ("sliding_window", window)])
    };
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
