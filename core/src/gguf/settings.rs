//! The config of a GGUF file, as transformers writes it: the reverse of `metadata.rs`.

use serde_json::{Map, Value, json};

use super::metadata::GEMMA_2_WINDOW;
use super::rows::{Head, Kinds, Rope, Softcaps, Traits};
use super::tokenizer::special_id;
use super::{Gguf, GgufError, GgufValue, scaling};
use crate::config::ModelConfig;

/// # Errors
/// [`GgufError`] names a key that is missing, or whose value is not understood.
pub(super) fn config_of(file: &Gguf<'_>, traits: &Traits) -> Result<ModelConfig, GgufError> {
    let json = Value::Object(settings(file, traits)?);
    let parse = |json: &Value| {
        ModelConfig::from_json(&json.to_string())
            .map_err(|error| GgufError::Config { reason: error.to_string() })
    };
    let config = parse(&json)?;
    match scaling::factors(file, "rope_freqs.weight")? {
        None => Ok(config),
        Some(found) => scaling::with_llama3(json, &found, parse),
    }
}

/// Reads keys of the file's architecture.
pub(super) struct Keys<'a> {
    pub(super) file: &'a Gguf<'a>,
}

impl Keys<'_> {
    fn missing(&self, key: &str) -> GgufError {
        GgufError::MissingKey {
            key: format!("{}.{key}", self.file.architecture().unwrap_or_default()),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>, GgufError> {
        match self.file.get(key) {
            None => Ok(None),
            Some(value) => {
                value.as_size().map(Some).ok_or_else(|| refused(key, value, "one whole number"))
            }
        }
    }

    fn required(&self, key: &str) -> Result<usize, GgufError> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f64>, GgufError> {
        let Some(value) = self.file.get(key) else { return Ok(None) };
        let number = match value {
            GgufValue::F32(number) => Some(shortest(*number)),
            GgufValue::F64(number) => Some(*number),
            _ => None,
        };
        // JSON has no other numbers, and would take them for a missing value.
        let number = number.filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| refused(key, value, "a finite float"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        let Some(value) = self.file.get(key) else { return Ok(None) };
        value.as_text().map(Some).ok_or_else(|| refused(key, value, "a text in UTF-8"))
    }

    fn required_flag(&self, key: &str) -> Result<bool, GgufError> {
        match self.file.get(key) {
            Some(GgufValue::Bool(flag)) => Ok(*flag),
            Some(other) => Err(refused(key, other, "true or false")),
            None => Err(self.missing(key)),
        }
    }
}

fn refused(key: &str, found: &GgufValue<'_>, expected: &'static str) -> GgufError {
    GgufError::Key { key: key.to_owned(), found: found.describe(), expected }
}

/// The decimal number that an f32 was written from: 1e-6, not 9.999999974752427e-7.
pub(super) fn shortest(value: f32) -> f64 {
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
    let epsilon = match traits.name {
        "gpt2" | "gptneox" => "attention.layer_norm_epsilon",
        _ => "attention.layer_norm_rms_epsilon",
    };
    let epsilon = keys.float(epsilon)?.ok_or_else(|| keys.missing(epsilon))?;
    if rotated != d_head && !matches!(traits.rope, Rope::Long | Rope::Partial | Rope::None) {
        return Err(GgufError::Key {
            key: "rope.dimension_count".to_owned(),
            found: format!("{rotated}, and a head has {d_head} (attention.key_length)"),
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
        if let Some(id) = special_id(&file.metadata, name) {
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
        set("use_parallel_residual", json!(keys.required_flag("use_parallel_residual")?));
        if let Some(scaling) = scaling::of_metadata(&keys, traits)? {
            set("rope_scaling", scaling);
        }
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
    let window = match (keys.size("attention.sliding_window")?, traits.softcaps) {
        // Shorter texts are the same without one.
        (None, Softcaps::Both) => Some(GEMMA_2_WINDOW).filter(|&window| window < context),
        (Some(0), Softcaps::Both) => {
            return Err(refused("attention.sliding_window", &GgufValue::U32(0), "at least 1"));
        }
        (window, _) => window.filter(|&window| window > 0),
    };
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
        Kinds::Alike => {
            if let Some(window) = window {
                return Err(GgufError::Key {
                    key: "attention.sliding_window".to_owned(),
                    found: window.to_string(),
                    expected: "none, as llama.cpp has it for this architecture",
                });
            }
        }
    }
    if is_gemma {
        let scale = match traits.scale {
            super::rows::Scale::WidthFor(layers) if layers == n_layers => width / n_heads.max(1),
            _ => d_head,
        };
        set("query_pre_attn_scalar", json!(scale));
        // Without one, the architecture's: 50 and 30 for Gemma 2, as in llama.cpp.
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(cap) = keys.float(key)? {
                set(key, json!(cap));
            }
        }
    }
    if traits.name == "gemma3" {
        let local = keys.float("rope.freq_base_swa")?.unwrap_or(10000.0);
        set("rope_local_base_freq", json!(local));
    }
    if traits.rope == Rope::Long {
        set("partial_rotary_factor", json!(rotated as f64 / d_head as f64));
        let original = keys.size("rope.scaling.original_context_length")?;
        set("original_max_position_embeddings", json!(original.unwrap_or(context)));
    }
    if let Some(scaling) = scaling::of_metadata(&keys, traits)? {
        set("rope_scaling", scaling);
    }
    Ok(config)
}
