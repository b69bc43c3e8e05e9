//! How positions are stretched, in a GGUF file: keys of the metadata, and tensors of factors.

use serde_json::{Value, json};

use super::metadata::llama3_factors;
use super::rows::{Rope, Traits};
use super::settings::{Keys, shortest};
use super::{Gguf, GgufError, GgufValue, dequantize};
use crate::config::{ModelConfig, RopeScaling};

const TYPE: &str = "rope.scaling.type";
const FACTOR: &str = "rope.scaling.factor";
/// The name of [`FACTOR`] in old files.
const OLD_FACTOR: &str = "rope.scale_linear";
const MAGNITUDE: &str = "rope.scaling.attn_factor";

/// `rope_scaling` as transformers has it; `None` without any.
///
/// A factor without a type is linear, as in llama.cpp.
///
/// # Errors
/// [`GgufError::Key`] for what is not understood, or would not have an effect.
pub(super) fn of_metadata(keys: &Keys<'_>, traits: &Traits) -> Result<Option<Value>, GgufError> {
    let kind = keys.text(TYPE)?.unwrap_or("linear");
    let factor = match keys.float(FACTOR)? {
        Some(factor) => Some(factor),
        None => keys.float(OLD_FACTOR)?,
    };
    // 0 means none in llama.cpp.
    let factor = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
    if traits.rope == Rope::Long {
        return long(keys, kind, factor);
    }
    refuse_magnitude(keys)?;
    match (kind, factor) {
        ("none", _) | ("linear", None) => Ok(None),
        ("linear", Some(factor)) => Ok(Some(json!({"rope_type": "linear", "factor": factor}))),
        (other, _) => Err(GgufError::Key {
            key: TYPE.to_owned(),
            found: GgufValue::text(other).describe(),
            expected: "none or linear",
        }),
    }
}

fn long(keys: &Keys<'_>, kind: &str, factor: Option<f64>) -> Result<Option<Value>, GgufError> {
    if !matches!((kind, factor), ("none", _) | ("linear" | "longrope", None)) {
        return Err(GgufError::Key {
            key: TYPE.to_owned(),
            found: format!("{} with a factor", GgufValue::text(kind).describe()),
            expected: "none, or longrope without a factor",
        });
    }
    let [long, short] = ["rope_factors_long.weight", "rope_factors_short.weight"];
    let decimal = |list: Vec<f32>| list.into_iter().map(shortest).collect::<Vec<_>>();
    let found = (factors(keys.file, long)?, factors(keys.file, short)?);
    match found {
        (None, None) => refuse_magnitude(keys).map(|()| None),
        (Some(long), Some(short)) => {
            // Without one, llama.cpp does not scale; transformers would derive it from the lengths.
            let magnitude = keys.float(MAGNITUDE)?.unwrap_or(1.0);
            Ok(Some(json!({"type": "longrope", "long_factor": decimal(long),
                "short_factor": decimal(short), "attention_factor": magnitude})))
        }
        (None, Some(_)) => Err(GgufError::MissingTensor { name: long.to_owned() }),
        (Some(_), None) => Err(GgufError::MissingTensor { name: short.to_owned() }),
    }
}

/// # Errors
/// When rotated queries and keys are to be scaled, which only LongRoPE does here.
fn refuse_magnitude(keys: &Keys<'_>) -> Result<(), GgufError> {
    match keys.float(MAGNITUDE)?.filter(|&magnitude| magnitude != 1.0) {
        None => Ok(()),
        Some(magnitude) => Err(GgufError::Key {
            key: MAGNITUDE.to_owned(),
            found: magnitude.to_string(),
            expected: "1",
        }),
    }
}

/// The values of a small tensor; `None` where there is none.
pub(super) fn factors(file: &Gguf<'_>, name: &str) -> Result<Option<Vec<f32>>, GgufError> {
    file.tensor(name).map(|tensor| dequantize(tensor, tensor.data)).transpose()
}

/// The config with Llama 3's scaling, whose settings are those that give these factors.
pub(super) fn with_llama3(
    mut json: Value,
    found: &[f32],
    parse: impl Fn(&Value) -> Result<ModelConfig, GgufError>,
) -> Result<ModelConfig, GgufError> {
    let unknown = || GgufError::Key {
        key: "rope_freqs.weight".to_owned(),
        found: format!("{} values, {:?} …", found.len(), found.get(..8).unwrap_or(found)),
        expected: "factors of Llama 3's scaling",
    };
    if json.get("rope_scaling").is_some() {
        return Err(GgufError::Key {
            key: TYPE.to_owned(),
            found: "linear".to_owned(),
            expected: "none beside the tensor rope_freqs.weight",
        });
    }
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
        let expected = llama3_factors(rotary);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * b.abs();
        if expected.len() == found.len() && found.iter().zip(&expected).all(near) {
            return Ok(config);
        }
    }
    Err(unknown())
}
