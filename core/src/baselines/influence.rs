//! ShortGPT (arXiv:2403.03853): a layer that hardly turns the residual stream can be left out.

use burn::tensor::Tensor;

use crate::distill::{Batch, loss::alignment_loss};
use crate::evaluate::{PrefixTree, ReadBackError, Stack, walk};
use crate::model::LanguageModel;

/// Mean of 1 − cosine between a layer's input and its output, over all tokens: 0 for a layer that
/// changes nothing, at most 2. First layer first.
///
/// The last layer's output is taken before the final norm, which is no part of the layer.
///
/// # Errors
/// [`ReadBackError`] when the device is lost.
pub async fn block_influence(
    model: &LanguageModel,
    batches: &[Batch],
) -> Result<Vec<f64>, ReadBackError> {
    let device = model.device();
    // The model cut after each of its layers: what the walk shows is the stream as it is there.
    let cut_after = |n_layers: usize| Stack {
        layers: (0..n_layers).map(|layer| (0, layer)).collect(),
        ..Stack::whole(0, model)
    };
    let stacks: Vec<Stack> = (0..=model.n_layers()).map(cut_after).collect();
    let tree = PrefixTree::new(&stacks);
    let mut sums = vec![0.0; model.n_layers()];
    let mut n_tokens = 0;
    for batch in batches {
        let batch = batch.to_device(&device);
        let [_, seq] = batch.tokens.dims();
        let context = model.context(seq, &batch.mask);
        let mut states: Vec<Tensor<3>> = Vec::with_capacity(stacks.len());
        walk(&[model], &tree, &batch.tokens, &context, &mut |_, x| states.push(x));
        let turned = states.windows(2).map(|pair| {
            let (input, output) = (pair[0].clone(), pair[1].clone());
            alignment_loss(output, input, batch.is_token.clone(), batch.n_tokens)
        });
        let turned = Tensor::cat(turned.collect(), 0).into_data_async().await;
        let turned = turned.map_err(ReadBackError::new)?;
        for (sum, turned) in sums.iter_mut().zip(turned.iter::<f64>()) {
            *sum += turned * batch.n_tokens as f64;
        }
        n_tokens += batch.n_tokens;
    }
    Ok(sums.into_iter().map(|sum| sum / n_tokens.max(1) as f64).collect())
}

/// The layers that stay when the `n_dropped` of least influence are left out, ascending.
///
/// Of layers with the same influence the later one goes first.
pub fn without_least_influential(influence: &[f64], n_dropped: usize) -> Vec<usize> {
    let mut layers: Vec<usize> = (0..influence.len()).rev().collect();
    layers.sort_by(|&a, &b| influence[a].total_cmp(&influence[b]));
    let mut kept = layers.split_off(n_dropped.min(layers.len()));
    kept.sort_unstable();
    kept
}

/// The model with these of its layers alone, in this order; copies no weights.
///
/// # Panics
/// When the model has no such layer.
pub fn keeping(model: &LanguageModel, kept: &[usize]) -> LanguageModel {
    model.with_layers(kept.iter().map(|&layer| model.layers()[layer].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_of_least_influence_are_left_out() {
        let influence = [0.9, 0.1, 0.5, 0.2, 0.7];
        assert_eq!(without_least_influential(&influence, 2), [0, 2, 4]);
        assert_eq!(without_least_influential(&influence, 9), [0; 0]);
    }

    #[test]
    fn of_equal_layers_the_later_goes_first() {
        assert_eq!(without_least_influential(&[0.3, 0.3, 0.3], 1), [0, 1]);
    }
}
