//! The config of a GGUF file, as transformers writes it: the reverse of `metadata.rs`.

use serde_json::{Map, Value, json};

use super::rows::{Head, Kinds, Rope, Traits};
use super::{Gguf, GgufError, GgufValue, dequantize};
use crate::config::{ModelConfig, RopeScaling};

/// # Errors
/// [`GgufError`] names a key that is missing, or whose value is not understood.
pub(super) fn config_of(file: &Gguf<'_>, traits: &Traits) -> Result<ModelConfig, GgufError> {
    let json = Value::Object(settings(file, traits)?);
    let parse = |json: &Value| {
        ModelConfig::from_json(&json.to_string())
            .map_err(|error| GgufError::Config { reason: error.to_string() })
    };
    let config = parse(&json)?;
    match factors(file, "rope_freqs.weight")? {
        None => Ok(config),
        Some(found) => with_llama3(json, &found, parse),
    }
}

/// Reads keys of the file's architecture.
struct Keys<'a> {
    file: &'a Gguf<'a>,
}

impl Keys<'_> {
    fn missing(&self, key: &str) -> GgufError {
        GgufError::MissingKey {
            key: format!("{}.{key}", self.file.architecture().unwrap_or_default()),
        }
    }

    fn size(&self, key: &str) -> Result<Option<usize>, GgufError> {
        match self.file.get(key) {
            None => Ok(None),
            Some(value) => value.as_size().map(Some).ok_or_else(|| GgufError::Key {
                key: key.to_owned(),
                found: value.describe(),
                expected: "one whole number",
            }),
        }
    }

    fn required(&self, key: &str) -> Result<usize, GgufError> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    fn float(&self, key: &str) -> Result<Option<f64>, GgufError> {
        match self.file.get(key) {
            None => Ok(None),
            Some(GgufValue::F32(value)) => Ok(Some(shortest(*value))),
            Some(GgufValue::F64(value)) => Ok(Some(*value)),
            Some(other) => Err(GgufError::Key {
                key: key.to_owned(),
                found: other.describe(),
                expected: "a float",
            }),
        }
    }
}

/// The decimal number that an f32 was written from: 1e-6, not 9.999999974752427e-7.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn settings(file: &Gguf<'_>, traits: &Traits) -> Result<Map<String, Value>, GgufError> {
    let keys = Keys { file };
    let has = |name: &str| file.tensor(name).is_some();
    let embedding = file
        .tensor("token_embd.weight")
        .ok_or_else(|| GgufError::MissingTensor { name: "token_embd.weight".to_owned() })?;
    let vocab = embedding.dims.get(1).copied().unwrap_or(0);
    let n_layers = keys.required("block_count")?;
    if n_layers > file.tensors().len() {
        return Err(GgufError::Key {
            key: "block_count".to_owned(),
            found: n_layers.to_string(),
            expected: "no more layers than tensors",
        });
    }
    let width = keys.required("embedding_length")?;
    let n_heads = keys.required("attention.head_count")?;
    let n_kv = keys.size("attention.head_count_kv")?.unwrap_or(n_heads);
    let d_head = keys.size("attention.key_length")?.unwrap_or(width / n_heads.max(1));
    let context = keys.required("context_length")?;
    let inner = keys.required("feed_forward_length")?;
    let theta = keys.float("rope.freq_base")?.unwrap_or(10000.0);
    let rotated = keys.size("rope.dimension_count")?.unwrap_or(d_head);
    let epsilon = match keys.float("attention.layer_norm_rms_epsilon")? {
        Some(epsilon) => Some(epsilon),
        None => keys.float("attention.layer_norm_epsilon")?,
    };
    let epsilon = epsilon.ok_or_else(|| keys.missing("attention.layer_norm_rms_epsilon"))?;
    if rotated != d_head && !matches!(traits.rope, Rope::Long | Rope::Partial | Rope::None) {
        return Err(GgufError::Key {
            key: "rope.dimension_count".to_owned(),
            found: rotated.to_string(),
            expected: "all dimensions of a head",
        });
    }
    let tied = match traits.head {
        Head::Never => true,
        Head::IfUntied | Head::Always => !has("output.weight"),
    };
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| {
        config.insert(key.to_owned(), value);
    };
    set("torch_dtype", json!("float32"));
    set("vocab_size", json!(vocab));
    set("tie_word_embeddings", json!(tied));
    for (key, name) in
        [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")]
    {
        if let Some(id) = file.metadata.size(&format!("tokenizer.ggml.{name}_token_id")) {
            set(key, json!(id));
        }
    }
    if traits.name == "gpt2" {
        set("model_type", json!("gpt2"));
        set("architectures", json!(["GPT2LMHeadModel"]));
        set("n_layer", json!(n_layers));
        set("n_embd", json!(width));
        set("n_head", json!(n_heads));
        set("n_inner", json!(inner));
        set("n_positions", json!(context));
        set("layer_norm_epsilon", json!(epsilon));
        set("activation_function", json!("gelu_new"));
        return Ok(config);
    }
    set("num_hidden_layers", json!(n_layers));
    set("hidden_size", json!(width));
    set("intermediate_size", json!(inner));
    set("num_attention_heads", json!(n_heads));
    set("max_position_embeddings", json!(context));
    set("rope_theta", json!(theta));
    if traits.name == "gptneox" {
        set("model_type", json!("gpt_neox"));
        set("architectures", json!(["GPTNeoXForCausalLM"]));
        set("layer_norm_eps", json!(epsilon));
        set("hidden_act", json!("gelu"));
        set("rotary_pct", json!(rotated as f64 / d_head as f64));
        set("rotary_emb_base", json!(theta));
        let parallel = matches!(file.get("use_parallel_residual"), Some(GgufValue::Bool(true)));
        set("use_parallel_residual", json!(parallel));
        return Ok(config);
    }
    set("num_key_value_heads", json!(n_kv));
    set("head_dim", json!(d_head));
    set("rms_norm_eps", json!(epsilon));
    let (model_type, class) = match traits.name {
        "llama" => ("llama", "LlamaForCausalLM"),
        "qwen2" => ("qwen2", "Qwen2ForCausalLM"),
        "qwen3" => ("qwen3", "Qwen3ForCausalLM"),
        "smollm3" => ("smollm3", "SmolLM3ForCausalLM"),
        "olmo2" => ("olmo2", "Olmo2ForCausalLM"),
        "phi3" => ("phi3", "Phi3ForCausalLM"),
        "gemma2" => ("gemma2", "Gemma2ForCausalLM"),
        "gemma3" => ("gemma3_text", "Gemma3ForCausalLM"),
        "internlm2" => ("internlm2", "InternLM2ForCausalLM"),
        other => {
            return Err(GgufError::Architecture {
                found: other.to_owned(),
                supported: Traits::names(),
            });
        }
    };
    set("model_type", json!(model_type));
    set("architectures", json!([class]));
    let is_gemma = traits.name.starts_with("gemma");
    let activation = if is_gemma { "gelu_pytorch_tanh" } else { "silu" };
    set(if is_gemma { "hidden_activation" } else { "hidden_act" }, json!(activation));
    if traits.name == "llama" {
        set("attention_bias", json!(has("blk.0.attn_q.bias")));
        set("mlp_bias", json!(has("blk.0.ffn_up.bias")));
    }
    if traits.name == "internlm2" {
        set("bias", json!(has("blk.0.attn_output.bias")));
    }
    let window = keys.size("attention.sliding_window")?.filter(|&window| window > 0);
    match traits.kinds {
        Kinds::WindowedButEach(n) => {
            let kind = |layer: usize| match window.is_some() && traits.kinds.of_layer(layer).0 {
                true => "sliding_attention",
                false => "full_attention",
            };
            set("layer_types", json!((0..n_layers).map(kind).collect::<Vec<_>>()));
            set("sliding_window", json!(window));
            if traits.name == "gemma3" {
                set("sliding_window_pattern", json!(n));
            }
        }
        Kinds::RotatedButEach(n) => {
            let rotated = |layer: usize| u8::from(traits.kinds.of_layer(layer).1);
            set("no_rope_layers", json!((0..n_layers).map(rotated).collect::<Vec<_>>()));
            set("no_rope_layer_interval", json!(n));
        }
        Kinds::Alike if traits.rope == Rope::Long => set("sliding_window", json!(window)),
        Kinds::Alike if window.is_some() => {
            return Err(GgufError::Key {
                key: "attention.sliding_window".to_owned(),
                found: format!("{window:?}"),
                expected: "none, as llama.cpp has it for this architecture",
            });
        }
        Kinds::Alike => {}
    }
    if is_gemma {
        let scale = match traits.scale {
            super::rows::Scale::WidthFor(layers) if layers == n_layers => width / n_heads.max(1),
            _ => d_head,
        };
        set("query_pre_attn_scalar", json!(scale));
        set("attn_logit_softcapping", json!(keys.float("attn_logit_softcapping")?));
        set("final_logit_softcapping", json!(keys.float("final_logit_softcapping")?));
    }
    if traits.name == "gemma3" {
        let local = keys.float("rope.freq_base_swa")?.unwrap_or(10000.0);
        set("rope_local_base_freq", json!(local));
    }
    if traits.rope == Rope::Long {
        set("partial_rotary_factor", json!(rotated as f64 / d_head as f64));
        let original = keys.size("rope.scaling.original_context_length")?;
        set("original_max_position_embeddings", json!(original.unwrap_or(context)));
        let long = factors(file, "rope_factors_long.weight")?;
        let short = factors(file, "rope_factors_short.weight")?;
        if let (Some(long), Some(short)) = (long, short) {
            let decimal = |list: Vec<f32>| list.into_iter().map(shortest).collect::<Vec<_>>();
            set(
                "rope_scaling",
                json!({"type": "longrope", "long_factor": decimal(long), "short_factor": decimal(short)}),
            );
        }
    } else if let Some(kind) = file.get("rope.scaling.type").and_then(GgufValue::as_text)
        && kind != "none"
    {
        let factor = keys.float("rope.scaling.factor")?;
        match (kind, factor) {
            ("linear", Some(factor)) => {
                set("rope_scaling", json!({"rope_type": "linear", "factor": factor}));
            }
            _ => {
                return Err(GgufError::Key {
                    key: "rope.scaling.type".to_owned(),
                    found: kind.to_owned(),
                    expected: "none or linear",
                });
            }
        }
    }
    Ok(config)
}

/// The values of a small tensor; `None` where there is none.
fn factors(file: &Gguf<'_>, name: &str) -> Result<Option<Vec<f32>>, GgufError> {
    file.tensor(name).map(|tensor| dequantize(tensor, tensor.data)).transpose()
}

/// The config with Llama 3's scaling, whose settings are those that give these factors.
fn with_llama3(
    mut json: Value,
    found: &[f32],
    parse: impl Fn(&Value) -> Result<ModelConfig, GgufError>,
) -> Result<ModelConfig, GgufError> {
    let unknown = || GgufError::Key {
        key: "rope_freqs.weight".to_owned(),
        found: format!("{found:?}"),
        expected: "factors of Llama 3's scaling",
    };
    let factor = found.iter().copied().fold(1.0_f32, f32::max);
    // Published models have 8192; any other is tried by doubling.
    let lengths = [8192].into_iter().chain((3..20).map(|power| 1 << power));
    for original in lengths {
        json["rope_scaling"] = json!({"rope_type": "llama3", "factor": shortest(factor),
            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": original});
        let config = parse(&json)?;
        let rotary = config.rotary.first().ok_or_else(unknown)?;
        debug_assert!(matches!(rotary.scaling, RopeScaling::Llama3 { .. }));
        let expected = super::metadata::llama3_factors(rotary);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * b.abs();
        if expected.len() == found.len() && found.iter().zip(&expected).all(near) {
            return Ok(config);
        }
    }
    Err(unknown())
}
