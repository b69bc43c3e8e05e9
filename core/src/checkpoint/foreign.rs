//! Recognizes unsupported kinds of checkpoints by their tensor names: quantized models, adapters,
//! and models with another head.

use safetensors::Dtype;

use super::CheckpointError;
use super::used::Described;

/// Tensors next to or instead of quantized weights, by the last part of the name.
const QUANTIZED: &[(&str, &[&str])] = &[
    ("8-bit floats and scales", &["weight_scale_inv"]),
    (
        "compressed-tensors, ModelOpt or torchao",
        &[
            "weight_scale",
            "weight_scale_2",
            "weight_global_scale",
            "weight_scales",
            "weight_zero_point",
            "weight_packed",
            "weight_shape",
            "weight_g_idx",
            "weight_qdata",
            "weight_scale_and_zero",
            "input_scale",
            "input_global_scale",
            "input_zero_point",
            "output_scale",
            "act_scale",
            "scale_weight",
            "scale_input",
            "q_scale",
            "k_scale",
            "v_scale",
            "kv_scale",
        ],
    ),
    ("GPTQ or AWQ", &["qweight", "qzeros", "g_idx", "scales"]),
    (
        "bitsandbytes",
        &[
            "absmax",
            "nested_absmax",
            "quant_map",
            "nested_quant_map",
            "quant_state",
            "SCB",
            "weight_format",
        ],
    ),
    ("MLX", &["biases"]),
    ("HQQ", &["W_q", "meta"]),
    ("ExLlama", &["q_weight", "q_groups", "q_invperm", "q_perm", "q_group_map", "trellis"]),
    ("AQLM", &["codes", "codebooks"]),
    ("QuIP#", &["Qidxs", "SU", "SV"]),
    ("Marlin", &["B", "s", "s_channel", "s_group"]),
    ("quanto", &["_data", "_scale", "_zeropoint"]),
    (
        "a method that stores scales",
        &["scale", "scale_inv", "zero", "zeros", "zero_point", "qscale"],
    ),
];

/// The same by suffix of the last part.
const QUANTIZED_SUFFIXES: [(&str, &str); 3] =
    [("MXFP4", "_blocks"), ("MXFP4", "_scales"), ("8-bit floats and scales", "_scale_inv")];

/// First name parts of regression and classification heads.
const HEADS: [&str; 7] =
    ["score", "classifier", "pre_classifier", "v_head", "value_head", "reward_head", "qa_outputs"];

/// Rejects a tensor that the model does not use, if its name reveals the kind of checkpoint.
///
/// # Errors
/// [`CheckpointError::Quantized`], [`CheckpointError::Adapter`] or [`CheckpointError::OtherHead`].
pub(super) fn refuse_foreign(tensor: &Described<'_>) -> Result<(), CheckpointError> {
    let name = tensor.name;
    if let Some(method) = quantization(name) {
        let marker = format!("tensor {name:?}");
        return Err(CheckpointError::Quantized { method: method.to_owned(), marker });
    }
    let parts = || name.split('.');
    if parts().any(|part| part.starts_with("lora_") || part == "modules_to_save") {
        return Err(CheckpointError::Adapter { name: name.to_owned() });
    }
    if parts().next().is_some_and(|first| HEADS.contains(&first)) {
        return Err(CheckpointError::OtherHead { name: name.to_owned() });
    }
    Ok(())
}

fn quantization(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.starts_with("bitsandbytes__") {
        return Some("bitsandbytes");
    }
    let of = |last: &str| QUANTIZED.iter().find(|row| row.1.contains(&last)).map(|row| row.0);
    let by_ending = || {
        let row = QUANTIZED_SUFFIXES.iter().find(|(_, end)| last.ends_with(end));
        row.map(|row| row.0)
    };
    of(last).or_else(|| of(last.trim_start_matches('_'))).or_else(by_ending)
}

/// Checks that a weight is stored in a supported number format.
///
/// # Errors
/// [`CheckpointError::Quantized`] for integers and for floats of less than 8 bits, which need
/// scales, and [`CheckpointError::Dtype`] for other unsupported formats.
pub(super) fn refuse_dtype(name: &str, dtype: Dtype) -> Result<(), CheckpointError> {
    match dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8_E4M3 | Dtype::F8_E5M2 => Ok(()),
        // Its scales are checked separately.
        Dtype::I8 => Ok(()),
        Dtype::F64 | Dtype::C64 => {
            Err(CheckpointError::Dtype { name: name.to_owned(), found: dtype })
        }
        _ => Err(CheckpointError::Quantized {
            method: format!("{dtype:?} codes"),
            marker: format!("tensor {name:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(name: &str) -> String {
        let tensor = Described { name, dtype: Dtype::F32, shape: &[1] };
        refuse_foreign(&tensor).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn tensors_of_quantized_checkpoints_name_the_method() {
        for (name, method) in [
            ("model.layers.0.mlp.up_proj.weight_scale_inv", "8-bit floats"),
            ("model.layers.0.mlp.up_proj.weight_packed", "compressed-tensors"),
            ("model.layers.0.mlp.up_proj.qweight", "GPTQ or AWQ"),
            ("model.layers.0.mlp.up_proj.weight.absmax", "bitsandbytes"),
            ("model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4", "bitsandbytes"),
            ("model.layers.0.mlp.up_proj.SCB", "bitsandbytes"),
            ("model.layers.0.mlp.up_proj.biases", "MLX"),
            ("model.layers.0.mlp.up_proj.weight._data", "quanto"),
            ("model.layers.0.mlp.up_proj._weight_qdata", "torchao"),
            ("model.layers.0.mlp.experts.up_proj_blocks", "MXFP4"),
        ] {
            let sentence = sentence(name);
            assert!(sentence.starts_with("quantized with "), "{name}: {sentence}");
            assert!(sentence.contains(method) && sentence.contains(name), "{sentence}");
        }
    }

    #[test]
    fn adapters_and_other_heads_are_named() {
        let adapter = sentence("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
        assert!(adapter.contains("merge_and_unload"), "{adapter}");
        assert!(sentence("score.weight").contains("classifier or reward model"));
        assert_eq!(sentence("model.layers.0.self_attn.sinks"), "");
    }
}
