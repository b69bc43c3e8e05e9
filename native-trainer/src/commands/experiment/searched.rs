//! Patching orders, searched for each student, and the cost of the searches.

use std::collections::BTreeMap;

use boomerang_core::distill::Batch;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_core::search::{MeasuredMembers, Metric};

use crate::measure::order::{Method, find};
use crate::parallel::{in_parallel, n_workers};

/// Beam width, as in `boomerang search`.
const BEAM: usize = 4;

/// Searches of one method over all seeds.
pub(super) struct Searched {
    method: Method,
    metric: Metric,
    cost: LayerCalls,
    /// Orders with the number of seeds that gave them.
    found: BTreeMap<Vec<usize>, usize>,
}

impl Searched {
    pub(super) fn new(method: Method, metric: Metric) -> Self {
        Self { method, metric, cost: LayerCalls::default(), found: BTreeMap::new() }
    }

    /// The order for each student.
    pub(super) fn orders(
        &mut self,
        families: &[Family],
        batches: &[Batch],
    ) -> anyhow::Result<Vec<PatchOrder>> {
        let Some(first) = families.first() else { return Ok(Vec::new()) };
        let n_workers = n_workers(families.len(), &first.teacher().model().device());
        let found = in_parallel(families.len(), n_workers, |number| {
            let family = &families[number];
            let mut known = MeasuredMembers::new(family, batches, self.metric);
            let order = find(self.method, BEAM, family, batches, &mut known, &mut |_| {})?;
            Ok((order, known.n_layer_calls, known.n_layer_calls_alone))
        })?;
        let mut orders = Vec::with_capacity(found.len());
        for (order, n_layer_calls, n_layer_calls_alone) in found {
            self.cost.n_layer_calls += n_layer_calls;
            self.cost.n_layer_calls_alone += n_layer_calls_alone;
            *self.found.entry(order.clone()).or_default() += 1;
            orders.push(match self.method {
                Method::First => PatchOrder::First,
                Method::Last => PatchOrder::Last,
                _ => PatchOrder::Found(order),
            });
        }
        Ok(orders)
    }

    /// What was found; `None` where nothing was searched.
    pub(super) fn sentence(&self, line: &str) -> Option<String> {
        if matches!(self.method, Method::First | Method::Last) {
            return None;
        }
        let orders: Vec<String> =
            self.found.iter().map(|(order, n_seeds)| format!("{order:?} (×{n_seeds})")).collect();
        let mut sentence = format!("{line}: {}", orders.join(", "));
        if self.cost.n_layer_calls > 0 {
            sentence.push_str(&format!("; the search: {}", self.cost.sentence()));
        }
        Some(sentence)
    }
}

/// Layers run for each batch, with shared prefixes and one model after another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LayerCalls {
    pub(super) n_layer_calls: usize,
    pub(super) n_layer_calls_alone: usize,
}

impl LayerCalls {
    pub(super) fn sentence(self) -> String {
        let Self { n_layer_calls, n_layer_calls_alone } = self;
        format!(
            "{n_layer_calls} layer calls with shared prefixes, {n_layer_calls_alone} without ({:.2} \
             times fewer)",
            n_layer_calls_alone as f64 / n_layer_calls.max(1) as f64
        )
    }
}
