//! LaCo (arXiv:2402.11187): neighboring layers are merged into one while the model's output stays
//! similar.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use crate::distill::{Batch, BatchTensors, loss::alignment_loss};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::parameters::{self, Parameter};
use crate::model::{DecoderLayer, LanguageModel};

/// Settings of LaCo.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCollapse {
    /// Layers per merge, at least 2.
    pub n_merged: usize,
    /// Layers that may be merged; the first merge ends at the end of the range.
    pub layers: Range<usize>,
    /// Minimum distance between the first layers of two merges, at least 1.
    pub interval: usize,
    /// A merge is accepted if the mean cosine similarity of the last hidden states, before and
    /// after merging, exceeds this.
    pub threshold: f64,
    /// Stop merging once the model has at most this many layers.
    pub n_layers_enough: usize,
}

/// An accepted merge and the resulting model.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The layer that absorbed those after it, by its index in the model before the merge.
    pub layer: usize,
    /// How many layers it absorbed.
    pub n_taken: usize,
    /// Mean cosine similarity between the last hidden states of the merged and of the original
    /// model.
    pub similarity: f64,
    pub model: LanguageModel,
}

/// Merges layers from the last to the first; merges that change the output too much are reverted.
///
/// Each merge starts from the result of the previous one.
///
/// # Errors
/// [`ReadBackError`] when the device is lost.
pub async fn collapse(
    model: &LanguageModel,
    settings: &LayerCollapse,
    batches: &[Batch],
) -> Result<Vec<Merge>, ReadBackError> {
    let device = model.device();
    let batches: Vec<BatchTensors> = batches.iter().map(|batch| batch.to_device(&device)).collect();
    let whole: Vec<Tensor<3>> = batches.iter().map(|batch| last_state(model, batch)).collect();
    let n_merged = settings.n_merged.max(2);
    let mut smaller = model.clone();
    let mut merges = Vec::new();
    let mut next = settings.layers.end.min(model.n_layers()).checked_sub(n_merged);
    while let Some(layer) = next {
        if layer < settings.layers.start || smaller.n_layers() <= settings.n_layers_enough {
            break;
        }
        let n_taken = (n_merged - 1).min(smaller.n_layers() - layer - 1);
        let candidate = merged(&smaller, layer, n_taken);
        let similarity = similarity(&candidate, &batches, &whole).await?;
        let step = if similarity > settings.threshold {
            smaller = candidate.clone();
            merges.push(Merge { layer, n_taken, similarity, model: candidate });
            settings.interval.max(1)
        } else {
            1
        };
        let highest = smaller.n_layers().checked_sub(n_merged);
        next = layer.checked_sub(step).zip(highest).map(|(layer, highest)| layer.min(highest));
    }
    Ok(merges)
}

/// The model in which `layer` has absorbed the `n_taken` layers after it.
fn merged(model: &LanguageModel, layer: usize, n_taken: usize) -> LanguageModel {
    let mut layers = model.layers().to_vec();
    let taken: Vec<DecoderLayer> = layers.drain(layer + 1..=layer + n_taken).collect();
    layers[layer] = merge_layers(model, &layers[layer], &taken);
    model.with_layers(layers)
}

fn merge_layers(
    model: &LanguageModel,
    layer: &DecoderLayer,
    taken: &[DecoderLayer],
) -> DecoderLayer {
    let (first, taken) = (values_of(layer), taken.iter().map(values_of).collect::<Vec<_>>());
    let value = |parameter: &Parameter| {
        let taken: Vec<&[f32]> = taken.iter().map(|values| &*values[&parameter.path]).collect();
        let values = merge_values(&first[&parameter.path], &taken);
        Ok::<_, Infallible>(TensorData::new(values, parameter.shape.clone()))
    };
    match DecoderLayer::build(model.config(), layer.kind(), "", &model.device(), value) {
        Ok(layer) => layer,
        Err(never) => match never {},
    }
}

/// All parameters of a layer, by path.
fn values_of(layer: &DecoderLayer) -> BTreeMap<String, Vec<f32>> {
    let mut values = BTreeMap::new();
    parameters::for_each(layer, |parameter, tensor| {
        values.insert(parameter.path.clone(), tensor.to_data().iter::<f32>().collect());
    });
    values
}

/// `first + Σ (taken − first)`: keeps the difference of each absorbed layer from the first.
///
/// All have the same length.
pub fn merge_values(first: &[f32], taken: &[&[f32]]) -> Vec<f32> {
    let merged = |(index, &value): (usize, &f32)| {
        value + taken.iter().map(|taken| taken[index] - value).sum::<f32>()
    };
    first.iter().enumerate().map(merged).collect()
}

/// Mean cosine similarity between the last hidden states of two models.
async fn similarity(
    model: &LanguageModel,
    batches: &[BatchTensors],
    whole: &[Tensor<3>],
) -> Result<f64, ReadBackError> {
    let distances = batches.iter().zip(whole).map(|(batch, whole)| {
        let state = last_state(model, batch);
        // Weighted by tokens below.
        alignment_loss(state, whole.clone(), batch.is_token.clone(), 1)
    });
    let distances =
        read_finite(Tensor::cat(distances.collect(), 0), "the cosine similarities").await?;
    let n_tokens: usize = batches.iter().map(|batch| batch.n_tokens).sum();
    Ok(1.0 - distances.into_iter().map(f64::from).sum::<f64>() / n_tokens.max(1) as f64)
}

/// The hidden state that the head reads.
fn last_state(model: &LanguageModel, batch: &BatchTensors) -> Tensor<3> {
    let states = model.hidden_states(batch.tokens.clone(), &batch.mask);
    states.into_iter().next_back().expect("a model has at least its embedding state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_adds_what_each_taken_layer_has_beyond_the_first() {
        assert_eq!(merge_values(&[1.0, -2.0], &[&[1.5, -2.0], &[0.0, 3.0]]), [0.5, 3.0]);
    }

    #[test]
    fn absorbing_a_copy_of_itself_changes_nothing() {
        assert_eq!(merge_values(&[0.25, 4.0], &[&[0.25, 4.0]]), [0.25, 4.0]);
    }
}
