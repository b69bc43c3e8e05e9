//! Loss terms until they are read back from the device, all at once.

use burn::tensor::Tensor;

use super::loss::{LossTerm, LossTerms, LossWeights};
use super::peers::{PeerError, Peers};
use super::settings::Reduction;

/// Loss terms that are still on the device.
pub(super) struct PendingTerms {
    /// `[1]`
    pub(super) total: Tensor<1>,
    /// The parts of each term that is on, each `[1]`.
    parts: Vec<(LossTerm, Vec<Tensor<1>>)>,
}

impl PendingTerms {
    /// The weight of a term is shared equally by its parts.
    ///
    /// # Panics
    /// When every term is off.
    pub(super) fn weigh(parts: Vec<(LossTerm, Vec<Tensor<1>>)>, weights: &LossWeights) -> Self {
        let weighted = parts.iter().flat_map(|(term, parts)| {
            let weight = term.weight(weights) / parts.len() as f64;
            parts.iter().map(move |part| part.clone() * weight)
        });
        let total =
            weighted.reduce(|sum, part| sum + part).expect("at least one loss term has a weight");
        Self { total, parts }
    }

    /// Those of two parts of a micro-batch together.
    fn plus(self, other: Self) -> Self {
        let parts = self.parts.into_iter().zip(other.parts).map(|((term, parts), (_, others))| {
            (term, parts.into_iter().zip(others).map(|(part, other)| part + other).collect())
        });
        Self { total: self.total + other.total, parts: parts.collect() }
    }

    /// The terms of each micro-batch, from those of its parts.
    pub(super) fn of_micro_batches(parts: Vec<(usize, Self)>) -> Vec<Self> {
        let mut sums: Vec<(usize, Self)> = Vec::new();
        for (micro_batch, terms) in parts {
            match sums.pop() {
                Some((last, sum)) if last == micro_batch => sums.push((last, sum.plus(terms))),
                before => sums.extend(before.into_iter().chain([(micro_batch, terms)])),
            }
        }
        sums.into_iter().map(|(_, sum)| sum).collect()
    }

    fn scalars(&self) -> Vec<Tensor<1>> {
        let parts = self.parts.iter().flat_map(|(_, parts)| parts);
        [&self.total].into_iter().chain(parts).cloned().collect()
    }

    fn with_values(&self, values: &mut impl Iterator<Item = f64>) -> LossTerms {
        let mut next = || values.next().unwrap_or(f64::NAN);
        let mut terms = LossTerms { total: next(), ..LossTerms::default() };
        for (term, parts) in &self.parts {
            term.set_parts(&mut terms, parts.iter().map(|_| next()).collect());
        }
        terms
    }
}

/// Reads all terms of a step in one transfer, and the gradient's norm; with `peers` also the terms of
/// their micro-batches, `n_micro_batches` together.
pub(super) async fn read(
    pending: Vec<PendingTerms>,
    grad_norm: Tensor<1>,
    peers: Option<&mut (dyn Peers + 'static)>,
    n_micro_batches: usize,
) -> Result<(Vec<LossTerms>, f64), PeerError> {
    let mut scalars: Vec<Tensor<1>> = pending.iter().flat_map(PendingTerms::scalars).collect();
    scalars.push(grad_norm);
    let mut values = values_of(scalars).await;
    let grad_norm = values.pop().unwrap_or(f64::NAN);
    let Some(peers) = peers else {
        let mut values = values.into_iter();
        return Ok((
            pending.iter().map(|terms| terms.with_values(&mut values)).collect(),
            grad_norm,
        ));
    };
    let Some(first) = pending.first() else {
        let rank = peers.rank();
        let message = format!("{n_micro_batches} micro-batches leave none for replica {rank}");
        return Err(PeerError(message));
    };
    let n_terms = first.scalars().len();
    let mut all = vec![0.0; n_micro_batches * n_terms];
    let places = (peers.rank()..n_micro_batches).step_by(peers.n_ranks());
    for (place, values) in places.zip(values.chunks(n_terms)) {
        let own = all[place * n_terms..].iter_mut();
        own.zip(values).for_each(|(number, value)| *number = *value as f32);
    }
    peers.sum(&mut all)?;
    let mut all = all.into_iter().map(f64::from);
    Ok(((0..n_micro_batches).map(|_| first.with_values(&mut all)).collect(), grad_norm))
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

/// The terms of a step from those of its micro-batches.
pub(super) fn reduce(micro_batches: &[LossTerms], reduction: Reduction) -> LossTerms {
    let scale = match reduction {
        Reduction::Mean => 1.0 / micro_batches.len().max(1) as f64,
        Reduction::Sum => 1.0,
    };
    let reduce =
        |value: &dyn Fn(&LossTerms) -> f64| micro_batches.iter().map(value).sum::<f64>() * scale;
    let mut reduced = LossTerms { total: reduce(&|terms| terms.total), ..LossTerms::default() };
    for term in LossTerm::ALL {
        let n_parts = micro_batches.first().map_or(0, |terms| term.parts(terms).len());
        let part = |number: usize| {
            reduce(&|terms| term.parts(terms).get(number).copied().unwrap_or(f64::NAN))
        };
        term.set_parts(&mut reduced, (0..n_parts).map(part).collect());
    }
    reduced
}
