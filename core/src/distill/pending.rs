//! Loss terms until they are read back from the device, all at once.

use burn::tensor::Tensor;

use super::loss::LossWeights;
use super::report::{LossTerms, StepReport};
use super::settings::Reduction;

/// Loss terms that are still on the device, each `[1]`.
pub(super) struct PendingTerms {
    pub(super) total: Tensor<1>,
    cross_entropy: Option<Tensor<1>>,
    kl: Option<Tensor<1>>,
    alignment: Vec<Tensor<1>>,
}

impl PendingTerms {
    /// # Panics
    /// When every term is off.
    pub(super) fn weigh(
        cross_entropy: Option<Tensor<1>>,
        kl: Option<Tensor<1>>,
        alignment: Vec<Tensor<1>>,
        weights: &LossWeights,
    ) -> Self {
        let pair_weight = weights.alignment / alignment.len().max(1) as f64;
        let weighted = [(&cross_entropy, weights.cross_entropy), (&kl, weights.kl)];
        let weighted =
            weighted.into_iter().filter_map(|(term, weight)| Some(term.clone()? * weight));
        let total = weighted
            .chain(alignment.iter().map(|pair| pair.clone() * pair_weight))
            .reduce(|sum, term| sum + term)
            .expect("at least one loss term has a weight");
        Self { total, cross_entropy, kl, alignment }
    }

    /// Lets go of the graph, whose memory would otherwise live until the report is read.
    pub(super) fn detached(self) -> Self {
        Self {
            total: self.total.inner(),
            cross_entropy: self.cross_entropy.map(Tensor::inner),
            kl: self.kl.map(Tensor::inner),
            alignment: self.alignment.into_iter().map(Tensor::inner).collect(),
        }
    }

    fn scalars(&self) -> Vec<Tensor<1>> {
        let ends = [Some(&self.total), self.cross_entropy.as_ref(), self.kl.as_ref()];
        ends.into_iter().flatten().chain(&self.alignment).cloned().collect()
    }

    fn with_values(&self, values: &mut impl Iterator<Item = f64>) -> LossTerms {
        let mut next = || values.next().unwrap_or(f64::NAN);
        LossTerms {
            total: next(),
            cross_entropy: self.cross_entropy.as_ref().map(|_| next()),
            kl: self.kl.as_ref().map(|_| next()),
            alignment: self.alignment.iter().map(|_| next()).collect(),
        }
    }
}

/// Reads all terms of a step in one transfer.
pub(super) async fn read(
    pending: Vec<PendingTerms>,
    grad_norm: Tensor<1>,
    reduction: Reduction,
    learning_rate: f64,
    n_tokens: usize,
) -> StepReport {
    let mut scalars: Vec<Tensor<1>> = pending.iter().flat_map(PendingTerms::scalars).collect();
    scalars.push(grad_norm);
    let mut values = values_of(scalars).await.into_iter();
    let micro_batches: Vec<LossTerms> =
        pending.iter().map(|terms| terms.with_values(&mut values)).collect();
    let grad_norm = values.next().unwrap_or(f64::NAN);
    let terms = reduce(&micro_batches, reduction);
    StepReport { terms, micro_batches, grad_norm, learning_rate, n_tokens }
}

/// Reads the terms of a batch from which nothing is learnt.
pub(super) async fn read_alone(pending: &PendingTerms) -> LossTerms {
    let values = values_of(pending.scalars()).await;
    pending.with_values(&mut values.into_iter())
}

async fn values_of(scalars: Vec<Tensor<1>>) -> Vec<f64> {
    match Tensor::cat(scalars, 0).into_data_async().await {
        Ok(data) => data.iter::<f64>().collect(),
        // A device that is gone has no numbers; NaN stops the run with its own message.
        Err(_) => Vec::new(),
    }
}

fn reduce(micro_batches: &[LossTerms], reduction: Reduction) -> LossTerms {
    let scale = match reduction {
        Reduction::Mean => 1.0 / micro_batches.len().max(1) as f64,
        Reduction::Sum => 1.0,
    };
    let sum = |term: &dyn Fn(&LossTerms) -> Option<f64>| {
        let sum: Option<f64> = micro_batches.iter().map(term).sum();
        sum.map(|sum| sum * scale)
    };
    let n_pairs = micro_batches.first().map_or(0, |terms| terms.alignment.len());
    LossTerms {
        total: sum(&|terms| Some(terms.total)).unwrap_or(f64::NAN),
        cross_entropy: sum(&|terms| terms.cross_entropy),
        kl: sum(&|terms| terms.kl),
        alignment: (0..n_pairs)
            .map(|pair| sum(&|terms| terms.alignment.get(pair).copied()).unwrap_or(f64::NAN))
            .collect(),
    }
}
