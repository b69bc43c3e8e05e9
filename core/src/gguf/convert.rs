//! Converts a model to GGUF: determines the tensors and the part of a stored tensor that each is
//! made from. No weights are read here.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::metadata::describe;
use super::rows::{ENDS, Form, Head, Row, Traits};
use super::tensor::{Converted, Source, StoredOutputs};
use super::{Encoding, GgufError, GgufValue, Metadata};
use crate::architecture::NormKind;
use crate::checkpoint::{Checkpoint, Names};
use crate::config::ModelConfig;
use crate::model::LanguageModel;

/// A GGUF file to be written.
#[derive(Debug)]
pub struct Conversion<'a> {
    pub metadata: Metadata<'static>,
    pub tensors: Vec<Converted<'a>>,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

impl<'a> Conversion<'a> {
    /// Plans the file for a model; without `encoding` each matrix keeps its format. Vectors are
    /// written in f32, which llama.cpp requires, and rows that are not a whole number of blocks in
    /// f16, as in its converter.
    ///
    /// # Errors
    /// [`GgufError`] names the `model_type`, the config key or the layer that GGUF cannot express,
    /// or the tensor that is missing.
    pub fn new(
        checkpoint: &'a Checkpoint<'_>,
        config: &ModelConfig,
        encoding: Option<Encoding>,
    ) -> Result<Self, GgufError> {
        let traits = Traits::of(config.architecture).ok_or_else(|| GgufError::Architecture {
            found: config.traits().model_type.to_owned(),
            supported: Traits::names(),
        })?;
        let described = describe(config, traits)?;
        let mut shapes = BTreeMap::new();
        LanguageModel::for_each_parameter(config, |parameter| {
            shapes.insert(parameter.path.clone(), parameter.shape.clone());
        });
        let mut builder = Builder { checkpoint, config, traits, encoding, tensors: Vec::new() };
        for row in ENDS {
            builder.add(row, None, &mut shapes)?;
        }
        if traits.head == Head::Always && config.tied {
            builder.add_embedding_as_head()?;
        }
        for (name, values) in described.factors {
            let (name, dims) = (name.to_owned(), vec![values.len()]);
            let source = Source::Values(values);
            builder.tensors.push(Converted { name, dims, encoding: Encoding::F32, source });
        }
        for layer in 0..config.n_layers() {
            for row in traits.layer.iter().copied().flatten() {
                builder.add(row, Some(layer), &mut shapes)?;
            }
        }
        if let Some(path) = shapes.into_keys().next() {
            return Err(GgufError::Uncarried { path, architecture: traits.name });
        }
        let tensors = builder.tensors;
        let mut metadata = Metadata::default();
        metadata.set("general.architecture", GgufValue::text(traits.name));
        metadata.set("general.type", GgufValue::text("model"));
        metadata.set("general.file_type", GgufValue::U32(main_encoding(&tensors).file_type()));
        metadata.set("general.quantization_version", GgufValue::U32(2));
        metadata.extend(described.metadata);
        Ok(Self { metadata, tensors, notes: described.notes })
    }
}

/// The encoding of most of the bytes.
fn main_encoding(tensors: &[Converted<'_>]) -> Encoding {
    let n_bytes = |encoding: Encoding| -> usize {
        let of_it = tensors.iter().filter(|tensor| tensor.encoding == encoding);
        of_it.map(Converted::n_bytes).sum()
    };
    Encoding::ALL.into_iter().max_by_key(|&encoding| n_bytes(encoding)).unwrap_or(Encoding::F32)
}

struct Builder<'a, 'bytes, 'config> {
    checkpoint: &'a Checkpoint<'bytes>,
    config: &'config ModelConfig,
    traits: &'static Traits,
    encoding: Option<Encoding>,
    tensors: Vec<Converted<'a>>,
}

impl<'a> Builder<'a, '_, '_> {
    /// Adds the tensor of a row and removes its parameters from `shapes`; skips it if the model
    /// does not have it.
    fn add(
        &mut self,
        (name, parts, form): &Row,
        layer: Option<usize>,
        shapes: &mut BTreeMap<String, Vec<usize>>,
    ) -> Result<(), GgufError> {
        let full = |part: &str| match layer {
            Some(layer) => format!("layers.{layer}.{part}"),
            None => part.to_owned(),
        };
        let paths: Vec<String> = parts.iter().map(|part| full(part)).collect();
        if !paths.iter().all(|path| shapes.contains_key(path)) {
            return Ok(());
        }
        for path in &paths {
            shapes.remove(path);
        }
        let stored = self.stored(&paths, parts, *form)?;
        let name = match layer {
            Some(layer) => format!("blk.{layer}.{name}"),
            None => (*name).to_owned(),
        };
        self.push(name, stored, *form);
        Ok(())
    }

    /// Duplicates the embedding as the head, for architectures that always store a head.
    fn add_embedding_as_head(&mut self) -> Result<(), GgufError> {
        let path = "embedding.tokens.weight";
        let stored = self.stored(&[path.to_owned()], &[path], Form::Table)?;
        self.push("output.weight".to_owned(), stored, Form::Table);
        Ok(())
    }

    fn push(&mut self, name: String, stored: StoredOutputs<'a>, form: Form) {
        let n_outputs = stored.outputs.iter().map(Range::len).sum();
        let dims = match form {
            Form::Vector => vec![n_outputs],
            Form::Matrix | Form::Table => vec![stored.n_inputs, n_outputs],
        };
        let encoding = self.encoding(&name, &dims, stored.view.dtype());
        self.tensors.push(Converted { name, dims, encoding, source: Source::Stored(stored) });
    }

    fn stored(
        &self,
        paths: &[String],
        parts: &[&str],
        form: Form,
    ) -> Result<StoredOutputs<'a>, GgufError> {
        let names = Names::of(self.config);
        let mut found: Option<(String, &'a TensorView<'a>, bool)> = None;
        let mut outputs = Vec::new();
        for (path, part) in paths.iter().zip(parts) {
            let uncarried =
                || GgufError::Uncarried { path: path.clone(), architecture: self.traits.name };
            let location = names.find(path).ok_or_else(uncarried)?;
            let (stored_name, view) = self.checkpoint.locate(&location)?;
            let by_rows = form != Form::Matrix || location.storage.transposed;
            let n_stored = match (view.shape(), by_rows) {
                ([n_rows, _], true) => *n_rows,
                ([_, n_columns], false) => *n_columns,
                ([n_values], _) => *n_values,
                _ => return Err(uncarried()),
            };
            // Parameters that share a GGUF tensor must also share a stored tensor.
            let is_other = |(_, other, _): &(_, &TensorView<'_>, _)| {
                other.data().as_ptr() != view.data().as_ptr()
            };
            if found.as_ref().is_some_and(is_other) {
                return Err(uncarried());
            }
            found = Some((stored_name.to_owned(), view, by_rows));
            let own = location.storage.share.ranges(n_stored);
            match n_paired_heads(self.traits, self.config, part) {
                Some(n_heads) => outputs.extend(paired(own.collect(), n_heads)),
                None => outputs.extend(own),
            }
        }
        let (stored_name, view, by_rows) = found.ok_or_else(|| GgufError::Uncarried {
            path: paths.join(", "),
            architecture: self.traits.name,
        })?;
        let n_inputs = match (view.shape(), by_rows) {
            ([_, n_columns], true) => *n_columns,
            ([n_rows, _], false) => *n_rows,
            _ => 1,
        };
        let is_around_zero = self.config.traits().norm.kind == NormKind::RmsAroundOne
            && parts.iter().all(|part| part.ends_with(".gamma"));
        let offset = if is_around_zero { 1.0 } else { 0.0 };
        Ok(StoredOutputs { stored_name, view, outputs: joined(outputs), n_inputs, by_rows, offset })
    }

    fn encoding(&self, name: &str, dims: &[usize], dtype: Dtype) -> Encoding {
        if dims.len() < 2 || name == "position_embd.weight" {
            return Encoding::F32;
        }
        let kept = match dtype {
            Dtype::BF16 => Encoding::Bf16,
            // Floats of 8 bits are exact in f16.
            Dtype::F16 | Dtype::F8_E4M3 | Dtype::F8_E5M2 => Encoding::F16,
            _ => Encoding::F32,
        };
        let encoding = self.encoding.unwrap_or(kept);
        let fits = dims[0].is_multiple_of(encoding.kind().block());
        if fits { encoding } else { Encoding::F16 }
    }
}

/// The number of heads of a projection whose outputs are permuted; `None` for other projections.
pub(super) fn n_paired_heads(traits: &Traits, config: &ModelConfig, part: &str) -> Option<usize> {
    match part.rsplit_once('.')?.0 {
        "attention.query" if traits.pairs => Some(config.n_heads),
        "attention.key" if traits.pairs => Some(config.n_kv_heads),
        _ => None,
    }
}

/// Interleaves the two halves of each head's outputs: 0, d/2, 1, d/2 + 1, …
fn paired(outputs: Vec<Range<usize>>, n_heads: usize) -> Vec<Range<usize>> {
    let outputs: Vec<usize> = outputs.into_iter().flatten().collect();
    let half = outputs.len() / n_heads.max(1) / 2;
    let pairs = outputs.chunks(2 * half.max(1)).flat_map(|head| {
        let (first, second) = head.split_at(half.min(head.len()));
        first.iter().zip(second).flat_map(|(&first, &second)| [first, second])
    });
    pairs.map(|output| output..output + 1).collect()
}

/// Merges adjacent ranges.
fn joined(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_head_are_interleaved() {
        let order: Vec<usize> = paired(vec![0..8, 20..24], 2).into_iter().flatten().collect();
        assert_eq!(order, [0, 3, 1, 4, 2, 5, 6, 21, 7, 22, 20, 23]);
    }

    #[test]
    fn adjacent_ranges_are_merged() {
        assert_eq!(joined(vec![0..2, 2..3, 5..6, 4..5]), [0..3, 5..6, 4..5]);
    }
}
