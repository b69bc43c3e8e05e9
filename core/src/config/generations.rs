//! Writes keys that transformers 5 renamed under their old names as well, so that both versions
//! read the same config.

use serde_json::{Map, Value};

use crate::architecture::{Bias, PositionRule, Traits};

/// Adds the keys of transformers 4 where only those of transformers 5 are present; existing keys
/// are kept.
pub(super) fn write_older_keys(json: &mut Map<String, Value>, traits: &Traits) {
    if let Some(dtype) = json.get("dtype").cloned() {
        json.entry("torch_dtype").or_insert(dtype);
    }
    for bias in [traits.query_key_value_bias, traits.attention_output_bias, traits.mlp_bias] {
        let Bias::Keys(&[oldest, ref others @ ..]) = bias else { continue };
        if let Some(value) = others.iter().find_map(|key| json.get(*key)).cloned() {
            json.entry(oldest).or_insert(value);
        }
    }
    write_older_rope(json, traits);
}

fn write_older_rope(json: &mut Map<String, Value>, traits: &Traits) {
    const ORIGINAL: &str = "original_max_position_embeddings";
    let Some(Value::Object(parameters)) = json.get("rope_parameters").cloned() else { return };
    let by_kind = |kind: &str| parameters.get(kind).and_then(Value::as_object);
    let global = by_kind("full_attention").unwrap_or(&parameters);
    let mut older = |key: &str, value: Option<&Value>| {
        let is_missing = json.get(key).is_none_or(Value::is_null);
        if let Some(value) = value.filter(|_| is_missing) {
            json.insert(key.to_owned(), value.clone());
        }
    };
    older(traits.keys.rope_theta, global.get("rope_theta"));
    if let Some(key) = traits.keys.rotary_fraction {
        older(key, global.get("partial_rotary_factor"));
    }
    if traits.positions == PositionRule::RotaryByWindow {
        let local = by_kind("sliding_attention").and_then(|local| local.get("rope_theta"));
        older("rope_local_base_freq", local);
    }
    let kind = global.get("rope_type").or(global.get("type")).and_then(Value::as_str);
    let Some(kind) = kind.filter(|kind| *kind != "default") else { return };
    let mut scaling = global.clone();
    scaling.retain(|key, _| key != "rope_theta" && key != "partial_rotary_factor");
    if kind == "longrope" {
        // transformers 4 reads the factor only from this key.
        if scaling.contains_key("factor") {
            return;
        }
        older(ORIGINAL, scaling.remove(ORIGINAL).as_ref());
        // Its Phi-3 requires these three.
        scaling.remove("rope_type");
        scaling.insert("type".to_owned(), kind.into());
    }
    older("rope_scaling", Some(&Value::Object(scaling)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::architecture::Architecture;

    fn written(architecture: Architecture, config: Value) -> Value {
        let Value::Object(mut json) = config else { panic!("a config is an object") };
        write_older_keys(&mut json, architecture.traits());
        Value::Object(json)
    }

    #[test]
    fn transformers_4_reads_the_same_from_a_config_of_transformers_5() {
        let parameters = json!({"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0});
        let config = json!({"dtype": "bfloat16", "rope_parameters": parameters});
        let written = written(Architecture::Llama, config);
        assert_eq!(written["torch_dtype"], "bfloat16");
        assert_eq!(written["rope_theta"], 5e5);
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0});
        assert_eq!(written["rope_scaling"], scaling);
        assert_eq!(written["rope_parameters"], parameters);
    }

    #[test]
    fn biases_have_their_older_names_too() {
        let config = json!({"attention_bias": true, "mlp_bias": true});
        let internlm3 = written(Architecture::InternLm3, config.clone());
        assert_eq!((&internlm3["qkv_bias"], &internlm3["bias"]), (&json!(true), &json!(true)));
        assert_eq!(written(Architecture::Llama, config.clone()), config);
    }

    #[test]
    fn bases_by_kind_of_layer_have_keys_of_their_own() {
        let config = json!({"rope_parameters": {
            "full_attention": {"rope_theta": 1e6, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
        }});
        let written = written(Architecture::Gemma3, config);
        assert_eq!(
            (&written["rope_theta"], &written["rope_local_base_freq"]),
            (&1e6.into(), &1e4.into())
        );
        assert_eq!(written.get("rope_scaling"), None);
    }

    #[test]
    fn a_config_of_transformers_4_stays_as_it_is() {
        let config = json!({"torch_dtype": "float16", "rope_theta": 1e4, "rope_scaling": null});
        assert_eq!(written(Architecture::Llama, config.clone()), config);
    }
}
