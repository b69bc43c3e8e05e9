//! Checks which tensors of a checkpoint its model uses. Unused tensors are accepted only if they
//! are known to have no effect; any other means that config and weights do not match.

use std::collections::BTreeSet;

use safetensors::Dtype;

use super::eight_bits::scales_name;
use super::foreign::refuse_foreign;
use super::{CheckpointError, Names};
use crate::architecture::Architecture;
use crate::config::ModelConfig;
use crate::model::LanguageModel;

/// A tensor as described by a header.
#[derive(Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: Dtype,
    pub(super) shape: &'a [usize],
}

/// All names under which a model's parameters may be stored.
pub(super) struct Used<'config> {
    config: &'config ModelConfig,
    names: Names<'config>,
    /// Names inside a layer.
    layer: BTreeSet<String>,
    ends: BTreeSet<String>,
}

/// Unused tensors listed in an error.
const N_NAMED: usize = 4;

impl<'config> Used<'config> {
    pub(super) fn by(config: &'config ModelConfig) -> Self {
        let names = Names::of(config);
        let (mut layer, mut ends) = (BTreeSet::new(), BTreeSet::new());
        // All layers have the same parameters; a file with only the ends has none.
        let first = config.layers.first().copied().into_iter().collect();
        let first = config.with_layers(first, config.tied);
        LanguageModel::for_each_parameter(&first, |parameter| {
            let location = names.find(&parameter.path);
            for name in location.iter().flat_map(|location| location.names()) {
                match names.in_layer(name) {
                    Some((_, part)) => layer.insert(part.to_owned()),
                    None => ends.insert(name.clone()),
                };
            }
        });
        Self { config, names, layer, ends }
    }

    /// Whether a parameter of a layer is stored under this name inside the layer, as values or as
    /// their scales.
    pub(super) fn in_layer(&self, part: &str) -> bool {
        self.layer.contains(part) || without_scales(part).is_some_and(|of| self.layer.contains(of))
    }

    /// Checks the names of an entire checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensors that the model does not use, or the unsupported kind
    /// of checkpoint.
    pub(super) fn refuse_others<'a>(
        &self,
        tensors: impl Iterator<Item = Described<'a>>,
    ) -> Result<(), CheckpointError> {
        let mut unused = Vec::new();
        let (mut n_unused, mut n_layers) = (0, 0);
        for tensor in tensors {
            let (layer, known) = match self.names.in_layer(tensor.name) {
                Some((layer, part)) => (Some(layer), self.in_layer(part)),
                None => (None, self.at_the_ends(tensor.name)),
            };
            if !known && !is_harmless(self.config.architecture, &tensor) {
                refuse_foreign(&tensor)?;
                n_unused += 1;
                if unused.len() < N_NAMED {
                    unused.push(tensor.name.to_owned());
                }
            } else if known {
                n_layers = n_layers.max(layer.map_or(0, |layer| layer.saturating_add(1)));
            }
        }
        let expected = self.config.n_layers();
        if n_layers > expected {
            let key = self.config.traits().keys.n_layers;
            return Err(CheckpointError::MoreLayers { key, expected, found: n_layers });
        }
        refuse_unused(unused, n_unused)
    }

    /// As [`Self::refuse_others`], for a file that holds a single layer.
    ///
    /// # Errors
    /// As there.
    pub(super) fn refuse_others_in_layer<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), CheckpointError> {
        let others: Vec<String> =
            names.filter(|part| !self.in_layer(part)).map(str::to_owned).collect();
        let n_unused = others.len();
        refuse_unused(others.into_iter().take(N_NAMED).collect(), n_unused)
    }

    fn at_the_ends(&self, name: &str) -> bool {
        let is_used = |name: &str| {
            // Some programs store a tied head again; it is compared when values are read.
            let is_head = || self.config.tied && self.names.part(name) == Some("head");
            self.ends.contains(name) || is_head()
        };
        is_used(name) || without_scales(name).is_some_and(is_used)
    }
}

fn without_scales(name: &str) -> Option<&str> {
    name.strip_suffix(&*scales_name(""))
}

fn refuse_unused(named: Vec<String>, n_unused: usize) -> Result<(), CheckpointError> {
    if n_unused == 0 {
        return Ok(());
    }
    let more = if n_unused > named.len() { ", …" } else { "" };
    let names: Vec<String> = named.iter().map(|name| format!("{name:?}")).collect();
    Err(CheckpointError::Unused { n_unused, names: format!("{}{more}", names.join(", ")) })
}

/// Shape of a tensor that some programs store but none reads.
#[derive(Clone, Copy)]
enum Form {
    Any,
    /// `[1, 1, n, n]`: attention mask.
    Mask,
    /// A single value.
    Scalar,
    /// `[1, n]`: a value per position.
    Row,
}

/// Name suffixes and shapes of tensors without effect.
type Harmless = &'static [(&'static str, Form)];

/// Computed from the config, and stored by older versions of transformers.
const FREQUENCIES: Harmless = &[("rotary_emb.inv_freq", Form::Any)];

const GPT_NEOX: Harmless =
    &[(".attention.bias", Form::Mask), (".attention.masked_bias", Form::Scalar)];

const GPT2: Harmless = &[(".attn.bias", Form::Mask), (".attn.masked_bias", Form::Scalar)];

/// Position ids, and the pooler and next-sentence head of BERT's pretraining.
const BERT: Harmless = &[
    ("embeddings.position_ids", Form::Row),
    ("embeddings.token_type_ids", Form::Row),
    ("pooler.dense.weight", Form::Any),
    ("pooler.dense.bias", Form::Any),
    ("cls.seq_relationship.weight", Form::Any),
    ("cls.seq_relationship.bias", Form::Any),
];

fn is_harmless(architecture: Architecture, tensor: &Described<'_>) -> bool {
    let own: Harmless = match architecture {
        Architecture::GptNeox => GPT_NEOX,
        Architecture::Gpt2 => GPT2,
        Architecture::Bert | Architecture::DistilBert => BERT,
        _ => &[],
    };
    FREQUENCIES.iter().chain(own).any(|&(end, form)| {
        let has_form = match (form, tensor.shape) {
            (Form::Any, _) => true,
            (Form::Mask, &[1, 1, rows, columns]) => rows == columns,
            (Form::Scalar, shape) => shape.iter().product::<usize>() == 1,
            (Form::Row, shape) => matches!(shape, [1, _] | [_]),
            (Form::Mask, _) => false,
        };
        tensor.name.ends_with(end) && has_form
    })
}
