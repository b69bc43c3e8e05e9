//! Measurements of a family's members, so that none is measured twice.

use std::collections::BTreeMap;

use super::divergence::{Divergence, divergences};
use crate::distill::Batch;
use crate::evaluate::{PrefixTree, ReadBackError, Stack};
use crate::plan::{LayerPlan, Patch};
use crate::prune::Family;

/// The metric by which members are compared; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `KL(teacher ‖ member)`
    Kl,
    /// The member's own negative log-likelihood, whose exponential is the perplexity.
    Nats,
    /// The share of positions at which the member would choose another token than its teacher, and KL
    /// where that is the same.
    Answers,
}

/// How much KL counts where members give the same answers: less than one position of a million.
const TIE_BREAK: f64 = 1e-8;

/// The divergences of a family's members on some texts, measured on demand.
pub struct MeasuredMembers<'a> {
    family: &'a Family,
    batches: &'a [Batch],
    metric: Metric,
    found: BTreeMap<Patch, Divergence>,
    /// Layers run per batch.
    pub n_layer_calls: usize,
    /// Layers that would have run if each member were evaluated individually.
    pub n_layer_calls_alone: usize,
}

/// A description of a member, for errors.
fn described(patch: &Patch) -> String {
    let layers: Vec<String> = patch.layers().iter().map(ToString::to_string).collect();
    match layers.len() {
        0 => "the student".to_owned(),
        1 => format!("the member that patches student layer {}", layers[0]),
        _ => format!("the member that patches student layers {}", layers.join(", ")),
    }
}

impl<'a> MeasuredMembers<'a> {
    pub fn new(family: &'a Family, batches: &'a [Batch], metric: Metric) -> Self {
        Self {
            family,
            batches,
            metric,
            found: BTreeMap::new(),
            n_layer_calls: 0,
            n_layer_calls_alone: 0,
        }
    }

    pub fn plan(&self) -> &'a LayerPlan {
        self.family.plan()
    }

    /// Measures the members that are not measured yet, in one walk of their prefix tree.
    ///
    /// # Errors
    /// [`ReadBackError`] if the device is lost, or with the member whose divergence is not finite.
    pub async fn measure(&mut self, patches: &[Patch]) -> Result<(), ReadBackError> {
        let mut new: Vec<Patch> =
            patches.iter().filter(|patch| !self.found.contains_key(*patch)).cloned().collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Ok(());
        }
        let stack = |patch: &Patch| Stack::new(&self.plan().recipe(patch), 0, 1);
        let tree = PrefixTree::new(&new.iter().map(stack).collect::<Vec<_>>());
        let models = [self.family.teacher().model(), self.family.student().model()];
        let found = divergences(&models, &tree, 0, self.batches, &mut |_| {}).await;
        let found = found.map_err(|error| error.describing(|number| described(&new[number])))?;
        self.n_layer_calls += tree.n_layer_calls();
        self.n_layer_calls_alone += tree.n_layer_calls_alone();
        self.found.extend(new.into_iter().zip(found));
        Ok(())
    }

    /// The divergence of a measured member.
    ///
    /// # Panics
    /// If the member was not measured.
    pub fn divergence(&self, patch: &Patch) -> Divergence {
        self.found[patch]
    }

    /// All measured members.
    pub fn measured(&self) -> impl Iterator<Item = (&Patch, Divergence)> {
        self.found.iter().map(|(patch, divergence)| (patch, *divergence))
    }

    /// The value of the metric.
    pub(super) fn loss(&self, patch: &Patch) -> f64 {
        let divergence = self.divergence(patch);
        match self.metric {
            Metric::Kl => divergence.kl.mean,
            Metric::Nats => divergence.nats.mean,
            // Shares are multiples of one position, far above what is added.
            Metric::Answers => divergence.disagreement.mean + TIE_BREAK * divergence.kl.mean,
        }
    }

    /// Number of layers of a member.
    pub(super) fn n_layers(&self, patch: &Patch) -> usize {
        self.plan().recipe(patch).layers.len()
    }

    /// The best measured member of each size, smallest first.
    pub fn best_by_size(&self) -> Vec<Patch> {
        let mut best: BTreeMap<usize, &Patch> = BTreeMap::new();
        for patch in self.found.keys() {
            let entry = best.entry(self.n_layers(patch)).or_insert(patch);
            if self.loss(patch) < self.loss(entry) {
                *entry = patch;
            }
        }
        best.into_values().cloned().collect()
    }
}
