//! ShortGPT (arXiv:2403.03853): a layer that hardly changes the direction of the residual stream
//! can be removed.

use crate::distill::Batch;
use crate::evaluate::ReadBackError;
use crate::model::LanguageModel;
use crate::similarity::compare_states;

/// Block influence: 1 − cosine similarity between a layer's input and output, averaged over all
/// tokens; 0 for a layer that changes nothing, at most 2. First layer first.
///
/// The last layer's output is taken before the final norm, which is not part of the layer.
///
/// # Errors
/// [`ReadBackError`] when the device is lost.
pub async fn block_influence(
    model: &LanguageModel,
    batches: &[Batch],
) -> Result<Vec<f64>, ReadBackError> {
    let alike = compare_states(model, None, batches, &mut |_| {}).await?.within;
    Ok((0..model.n_layers()).map(|layer| 1.0 - alike[layer][layer + 1]).collect())
}

/// The layers that remain when the `n_dropped` least influential ones are removed, ascending.
///
/// Of layers with the same influence, the later one is removed first.
pub fn without_least_influential(influence: &[f64], n_dropped: usize) -> Vec<usize> {
    let mut layers: Vec<usize> = (0..influence.len()).rev().collect();
    layers.sort_by(|&a, &b| influence[a].total_cmp(&influence[b]));
    let mut kept = layers.split_off(n_dropped.min(layers.len()));
    kept.sort_unstable();
    kept
}

/// The model with only these of its layers, in this order; copies no weights.
///
/// # Panics
/// If the model has no such layer.
pub fn keeping(model: &LanguageModel, kept: &[usize]) -> LanguageModel {
    model.with_layers(kept.iter().map(|&layer| model.layers()[layer].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_influential_layers_are_removed() {
        let influence = [0.9, 0.1, 0.5, 0.2, 0.7];
        assert_eq!(without_least_influential(&influence, 2), [0, 2, 4]);
        assert_eq!(without_least_influential(&influence, 9), [0; 0]);
    }

    #[test]
    fn of_equal_layers_the_later_is_removed_first() {
        assert_eq!(without_least_influential(&[0.3, 0.3, 0.3], 1), [0, 1]);
    }
}
