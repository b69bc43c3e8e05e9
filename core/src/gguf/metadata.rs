//! Converts a model config to GGUF metadata; a config that cannot be fully expressed is rejected.

use super::rows::{Biases, Head, Kinds, Rope, Scale, Softcaps, Traits};
use super::value::shown;
use super::{Gguf, GgufArray, GgufError, GgufValue, Metadata};
use crate::architecture::{Bias, NormKind, ResidualRule};
use crate::config::{ModelConfig, RopeScaling, Rotary};
use crate::plan::LayerPlan;
use crate::prune::{StudentConfig, StudentConfigError};

/// The window of every second layer of Gemma 2 in llama.cpp, for a file that names none.
pub(super) const GEMMA_2_WINDOW: usize = 4096;
pub(super) const COPIED: &str = "boomerang.copied_teacher_layers";
pub(super) const PRUNED: &str = "boomerang.pruned_teacher_layers";

/// Stores the plan of a student in the metadata of its file.
pub fn plan_to_metadata(plan: &LayerPlan, metadata: &mut Metadata<'_>) {
    for (key, layers) in [(COPIED, plan.kept()), (PRUNED, plan.dropped())] {
        let layers = GgufArray::of_u32(layers.into_iter().map(|layer| layer as u32));
        metadata.set(key, GgufValue::Array(layers));
    }
}

/// The plan in the metadata of a student's file; `None` if there is none.
///
/// # Errors
/// [`StudentConfigError`] if it is invalid.
pub fn plan_of_metadata(metadata: &Metadata<'_>) -> Result<Option<LayerPlan>, StudentConfigError> {
    let layers = |key: &str| metadata.get(key)?.as_array()?.sizes();
    let (Some(copied_teacher_layers), Some(pruned_teacher_layers)) =
        (layers(COPIED), layers(PRUNED))
    else {
        return Ok(None);
    };
    let config = StudentConfig { pruned_teacher_layers, copied_teacher_layers };
    StudentConfig::plan_from_json(&config.to_json()).map(Some)
}

/// The GGUF metadata of a config.
pub(super) struct Described {
    pub(super) metadata: Metadata<'static>,
    /// Tensors that are not in the checkpoint: name and values.
    pub(super) factors: Vec<(&'static str, Vec<f32>)>,
    /// Warnings for the user.
    pub(super) notes: Vec<String>,
}

/// The architecture of a file.
///
/// # Errors
/// [`GgufError::Architecture`] names it.
pub(super) fn traits_of(file: &Gguf<'_>) -> Result<&'static Traits, GgufError> {
    if let Some((part, count)) = file.part() {
        return Err(GgufError::Part { part, count });
    }
    let found = file.architecture().unwrap_or_default();
    Traits::named(found)
        .ok_or_else(|| GgufError::Architecture { found: shown(found), supported: Traits::names() })
}

/// # Errors
/// [`GgufError::Unsupported`] names the key that cannot be expressed, [`GgufError::Kind`] the
/// layer.
pub(super) fn describe(config: &ModelConfig, traits: &Traits) -> Result<Described, GgufError> {
    refuse(config, traits)?;
    let mut described =
        Described { metadata: Metadata::default(), factors: Vec::new(), notes: Vec::new() };
    let context = context(config, traits, &mut described.notes)?;
    let mut set = |key: &str, value: GgufValue<'static>| {
        described.metadata.set(format!("{}.{key}", traits.name), value);
    };
    let sizes = [
        ("block_count", config.n_layers()),
        ("context_length", context),
        ("embedding_length", config.d_model),
        ("feed_forward_length", config.d_ff),
        ("attention.head_count", config.n_heads),
        ("attention.head_count_kv", config.n_kv_heads),
        ("attention.key_length", config.d_head),
        ("attention.value_length", config.d_head),
        ("vocab_size", config.vocab),
    ];
    for (key, size) in sizes {
        set(key, GgufValue::U32(size as u32));
    }
    let epsilon = match config.traits().norm.kind {
        NormKind::Rms | NormKind::RmsAroundOne => "attention.layer_norm_rms_epsilon",
        NormKind::Layer => "attention.layer_norm_epsilon",
    };
    set(epsilon, GgufValue::F32(config.norm_epsilon as f32));
    if matches!(config.traits().residual, ResidualRule::ParallelUnless(_)) {
        set("use_parallel_residual", GgufValue::Bool(config.parallel));
    }
    let caps = [
        ("attn_logit_softcapping", config.attention_softcap),
        ("final_logit_softcapping", config.logit_softcap),
    ];
    for (key, cap) in caps {
        if let Some(cap) = cap {
            set(key, GgufValue::F32(cap as f32));
        }
    }
    let window = config.layers.iter().find_map(|layer| layer.window);
    match (traits.kinds, traits.rope) {
        (Kinds::WindowedButEach(_), _) => {
            if let Some(window) = window {
                set("attention.sliding_window", GgufValue::U32(window as u32));
            }
        }
        // Older versions do not open the file without this key; 0 means no window.
        (_, Rope::Long) => {
            set("attention.sliding_window", GgufValue::U32(window.unwrap_or(0) as u32));
            // Overwritten below for LongRoPE.
            set("rope.scaling.original_context_length", GgufValue::U32(config.max_seq as u32));
        }
        _ => {}
    }
    if let Some(rotary) = config.rotary.first() {
        set("rope.dimension_count", GgufValue::U32(rotary.d_rotated as u32));
        set("rope.freq_base", GgufValue::F32(rotary.theta as f32));
        match &rotary.scaling {
            // Refused before.
            RopeScaling::None | RopeScaling::Dynamic { .. } | RopeScaling::Yarn { .. } => {}
            RopeScaling::Linear { factor } => {
                set("rope.scaling.type", GgufValue::text("linear"));
                set("rope.scaling.factor", GgufValue::F32(*factor as f32));
            }
            RopeScaling::Llama3 { .. } => {
                described.factors.push(("rope_freqs.weight", llama3_factors(rotary)));
            }
            RopeScaling::LongRope { short, long, original_seq, magnitude } => {
                set("rope.scaling.original_context_length", GgufValue::U32(*original_seq as u32));
                set("rope.scaling.attn_factor", GgufValue::F32(*magnitude as f32));
                let factors = |list: &[f64]| list.iter().map(|&factor| factor as f32).collect();
                described.factors.push(("rope_factors_long.weight", factors(long)));
                described.factors.push(("rope_factors_short.weight", factors(short)));
            }
        }
    }
    if let Some(local) = config.rotary.get(1) {
        set("rope.freq_base_swa", GgufValue::F32(local.theta as f32));
    }
    Ok(described)
}

/// The divisors of each pair's frequency in llama.cpp; 1 for high frequencies.
pub(super) fn llama3_factors(rotary: &Rotary) -> Vec<f32> {
    let RopeScaling::Llama3 { factor, low, high, original_seq } = rotary.scaling else {
        return Vec::new();
    };
    let plain = Rotary { scaling: RopeScaling::None, ..rotary.clone() };
    let (factor, low, high) = (factor as f32, low as f32, high as f32);
    let divisor = |frequency: f32| {
        let turns = original_seq as f32 * frequency / std::f32::consts::TAU;
        match ((turns - low) / (high - low)).clamp(0.0, 1.0) {
            0.0 => factor,
            1.0 => 1.0,
            share => 1.0 / ((1.0 - share) / factor + share),
        }
    };
    plain.frequencies(1).into_iter().map(divisor).collect()
}

/// The context length of the file. It is limited to the window for architectures without
/// sliding-window support in llama.cpp, where shorter texts are computed identically.
fn context(
    config: &ModelConfig,
    traits: &Traits,
    notes: &mut Vec<String>,
) -> Result<usize, GgufError> {
    let window = config.layers.iter().find_map(|layer| layer.window);
    for (number, layer) in config.layers.iter().enumerate() {
        let (is_windowed, is_rotated) = match traits.kinds {
            // All layers are the same, as in the model.
            Kinds::Alike => (window.is_some(), traits.rope != Rope::None),
            // A Gemma with windows disabled in its config.
            Kinds::WindowedButEach(_) if window.is_none() && traits.softcaps != Softcaps::Both => {
                (false, true)
            }
            kinds => kinds.of_layer(number),
        };
        let table = usize::from(is_windowed && config.rotary.len() > 1);
        let expected = (window.filter(|_| is_windowed), is_rotated.then_some(table));
        if (layer.window, layer.rotary) != expected && traits.kinds == Kinds::Alike {
            return Err(GgufError::Unsupported {
                key: "layer_types".to_owned(),
                value: "layers of different kinds".to_owned(),
                expected: "the same kind for all layers".to_owned(),
                architecture: traits.name,
            });
        }
        if (layer.window, layer.rotary) != expected {
            let found = (layer.window.is_some(), layer.rotary.is_some());
            return Err(kind_error(number, found, (is_windowed, is_rotated), traits));
        }
    }
    // llama.cpp takes Gemma 2's own window where the file has none.
    if traits.softcaps == Softcaps::Both && window.is_none() && config.max_seq > GEMMA_2_WINDOW {
        return Err(GgufError::Unsupported {
            key: "sliding_window".to_owned(),
            value: "none".to_owned(),
            expected: format!("one, for more than {GEMMA_2_WINDOW} positions"),
            architecture: traits.name,
        });
    }
    let shortened = window.filter(|&window| window < config.max_seq);
    let Some(window) = shortened.filter(|_| traits.kinds == Kinds::Alike) else {
        return Ok(config.max_seq);
    };
    notes.push(format!(
        "llama.cpp has no sliding-window attention for {}: the context length of the file is the \
         window of {window} positions instead of {}",
        traits.name, config.max_seq
    ));
    Ok(window)
}

/// The error for a layer of another kind than llama.cpp expects; a kind is `(is_windowed,
/// is_rotated)`.
pub(super) fn kind_error(
    layer: usize,
    found: (bool, bool),
    expected: (bool, bool),
    traits: &Traits,
) -> GgufError {
    let describe = |(is_windowed, is_rotated): (bool, bool)| {
        let window = if is_windowed { "a window" } else { "no window" };
        let rotation = if is_rotated { "rotary positions" } else { "no rotary positions" };
        format!("{window} and {rotation}")
    };
    GgufError::Kind {
        layer,
        found: describe(found),
        expected: describe(expected),
        architecture: traits.name,
    }
}

/// The error for a value that llama.cpp has no key for.
fn unsupported(traits: &Traits, key: &str, value: String, expected: &str) -> Result<(), GgufError> {
    Err(GgufError::Unsupported {
        key: key.to_owned(),
        value,
        expected: expected.to_owned(),
        architecture: traits.name,
    })
}

/// Rejects configs that cannot be expressed.
fn refuse(config: &ModelConfig, traits: &Traits) -> Result<(), GgufError> {
    let unsupported =
        |key: &str, value: String, expected: &str| unsupported(traits, key, value, expected);
    let ours = config.traits();
    if !traits.activations.contains(&config.activation) {
        let expected = format!("{:?}", traits.activations[0]);
        return unsupported(ours.keys.activation, format!("{:?}", config.activation), &expected);
    }
    let biases = [
        (ours.query_key_value_bias, config.query_key_value_bias),
        (ours.attention_output_bias, config.attention_output_bias),
        (ours.mlp_bias, config.mlp_bias),
    ];
    for ((rule, is_there), biases) in biases.into_iter().zip(traits.biases) {
        let expected = match biases {
            Biases::Either => continue,
            Biases::Never => false,
            Biases::Always => true,
        };
        if is_there != expected {
            let key = match rule {
                Bias::Keys(keys) => keys[0],
                Bias::Unless(key) => key,
                Bias::Always | Bias::Never => "bias",
            };
            return unsupported(key, is_there.to_string(), &expected.to_string());
        }
    }
    if traits.heads_fill_width && config.n_heads * config.d_head != config.d_model {
        let expected = format!("{} / {}", ours.keys.d_model, ours.keys.n_heads);
        return unsupported("head_dim", config.d_head.to_string(), &expected);
    }
    let divisor = match traits.scale {
        Scale::WidthFor(n_layers) if n_layers == config.n_layers() => {
            config.d_model / config.n_heads
        }
        _ => config.d_head,
    } as f64;
    if (config.attention_scale - divisor.powf(-0.5)).abs() > 1e-9 {
        let found = config.attention_scale.powi(-2).round().to_string();
        let expected = format!("{divisor} for {} layers", config.n_layers());
        return unsupported("query_pre_attn_scalar", found, &expected);
    }
    let is_capped = (config.attention_softcap.is_some(), config.logit_softcap.is_some());
    let is_supported = match traits.softcaps {
        Softcaps::None => is_capped == (false, false),
        Softcaps::Logits => !is_capped.0,
        Softcaps::Both => is_capped == (true, true),
    };
    if !is_supported {
        let found = format!("{:?}, {:?}", config.attention_softcap, config.logit_softcap);
        let expected = match traits.softcaps {
            Softcaps::Both => "a number for each",
            Softcaps::Logits => "none for scores",
            Softcaps::None => "none",
        };
        return unsupported("attn_logit_softcapping, final_logit_softcapping", found, expected);
    }
    if traits.head == Head::Never && !config.tied {
        return Err(GgufError::TiedOnly { architecture: traits.name });
    }
    refuse_rotary(config, traits)
}

fn refuse_rotary(config: &ModelConfig, traits: &Traits) -> Result<(), GgufError> {
    let unsupported =
        |key: &str, value: String, expected: &str| unsupported(traits, key, value, expected);
    for (number, rotary) in config.rotary.iter().enumerate() {
        let may_be_partial = matches!(traits.rope, Rope::Long | Rope::Partial);
        if rotary.d_rotated != config.d_head && !may_be_partial {
            let key = config.traits().keys.rotary_fraction.unwrap_or("rotary_fraction");
            let found = format!("{} of {} dimensions", rotary.d_rotated, config.d_head);
            return unsupported(key, found, "all of them");
        }
        let scaling = match &rotary.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => continue,
            RopeScaling::Linear { .. } if number == 0 => continue,
            RopeScaling::Llama3 { .. } if traits.rope == Rope::Factors => continue,
            RopeScaling::LongRope { .. } if traits.rope == Rope::Long => continue,
            RopeScaling::Linear { .. } => "linear, for windowed layers",
            RopeScaling::Llama3 { .. } => "llama3",
            RopeScaling::LongRope { .. } => "longrope",
            RopeScaling::Yarn { .. } => "yarn",
        };
        return unsupported("rope_scaling", scaling.to_owned(), "none or linear");
    }
    Ok(())
}
