//! Hugging Face's tensor names for our parameters, one row each.

use crate::architecture::Architecture;

/// How a parameter is stored under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    AsStored,
    /// Linear weights are `[d_output, d_input]` in a checkpoint and `[d_input, d_output]` here.
    Transposed,
}

use Orientation::{AsStored, Transposed};

/// A parameter inside a layer: our path, theirs, and how it is stored.
type Row = (&'static str, &'static str, Orientation);

/// Names shared by Llama, Qwen2 and Qwen3.
const LLAMA_LAYER: &[Row] = &[
    ("attention_norm.gamma", "input_layernorm.weight", AsStored),
    ("attention.query.weight", "self_attn.q_proj.weight", Transposed),
    ("attention.query.bias", "self_attn.q_proj.bias", AsStored),
    ("attention.key.weight", "self_attn.k_proj.weight", Transposed),
    ("attention.key.bias", "self_attn.k_proj.bias", AsStored),
    ("attention.value.weight", "self_attn.v_proj.weight", Transposed),
    ("attention.value.bias", "self_attn.v_proj.bias", AsStored),
    ("attention.output.weight", "self_attn.o_proj.weight", Transposed),
    ("attention.output.bias", "self_attn.o_proj.bias", AsStored),
    ("attention.query_norm.gamma", "self_attn.q_norm.weight", AsStored),
    ("attention.key_norm.gamma", "self_attn.k_norm.weight", AsStored),
    ("mlp_norm.gamma", "post_attention_layernorm.weight", AsStored),
    ("mlp.gate.weight", "mlp.gate_proj.weight", Transposed),
    ("mlp.gate.bias", "mlp.gate_proj.bias", AsStored),
    ("mlp.up.weight", "mlp.up_proj.weight", Transposed),
    ("mlp.up.bias", "mlp.up_proj.bias", AsStored),
    ("mlp.down.weight", "mlp.down_proj.weight", Transposed),
    ("mlp.down.bias", "mlp.down_proj.bias", AsStored),
];

const LLAMA_ENDS: &[Row] = &[
    ("embedding.weight", "model.embed_tokens.weight", AsStored),
    ("norm.gamma", "model.norm.weight", AsStored),
    ("head.weight", "lm_head.weight", AsStored),
];

/// The names of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    layer_prefix: &'static str,
    layer: &'static [Row],
    ends: &'static [Row],
}

impl Names {
    pub fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Llama | Architecture::Qwen2 | Architecture::Qwen3 => {
                Self { layer_prefix: "model.layers", layer: LLAMA_LAYER, ends: LLAMA_ENDS }
            }
        }
    }

    /// The tensor's name in a checkpoint, and how it is stored there.
    ///
    /// `path` is a parameter of a model (`layers.3.mlp.up.weight`, `norm.gamma`) or, for the file
    /// of a single layer, of a layer (`mlp.up.weight`). `None` for a path that no model has.
    pub fn in_checkpoint(&self, path: &str) -> Option<(String, Orientation)> {
        let look_up = |rows: &[Row], path: &str| {
            rows.iter().find(|row| row.0 == path).map(|&(_, name, orientation)| (name, orientation))
        };
        if let Some((number, part)) =
            path.strip_prefix("layers.").and_then(|rest| rest.split_once('.'))
        {
            let (name, orientation) = look_up(self.layer, part)?;
            return Some((format!("{}.{number}.{name}", self.layer_prefix), orientation));
        }
        let (name, orientation) = look_up(self.layer, path).or_else(|| look_up(self.ends, path))?;
        Some((name.to_owned(), orientation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_tensor() {
        let names = Names::of(Architecture::Qwen3);
        let found = names.in_checkpoint("layers.12.mlp.up.weight").unwrap();
        assert_eq!(found, ("model.layers.12.mlp.up_proj.weight".to_owned(), Transposed));
        assert_eq!(names.in_checkpoint("norm.gamma").unwrap().0, "model.norm.weight");
        assert_eq!(names.in_checkpoint("layers.0.mlp.sideways"), None);
    }
}
