//! The models of an experiment's lines, as stacks of layers.

use std::collections::BTreeMap;

use boomerang_core::baselines::{LayerCollapse, collapse};
use boomerang_core::distill::Batch;
use boomerang_core::evaluate::Stack;
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, LayerSource, Patch, PatchOrder, Seam, pruned_seams};
use boomerang_core::prune::Family;
use futures_lite::future::block_on;

use crate::embedded::DistillRun;
use crate::measure::order::Method;

/// A model to evaluate.
pub(super) struct LineMember {
    pub(super) line: usize,
    pub(super) seed: u64,
    pub(super) n_patched: Option<usize>,
    pub(super) n_params: u64,
    pub(super) stack: Stack,
    /// Where it can be corrected.
    pub(super) seams: Vec<Seam>,
}

/// All models so far; the teacher is the first.
pub(super) struct Models {
    pub(super) models: Vec<LanguageModel>,
    pub(super) members: Vec<LineMember>,
}

impl Models {
    pub(super) fn add(
        &mut self,
        line: usize,
        seed: u64,
        n_patched: Option<usize>,
        n_params: u64,
        stack: Stack,
    ) {
        let seams = Vec::new();
        self.members.push(LineMember { line, seed, n_patched, n_params, stack, seams });
    }

    pub(super) fn add_family(
        &mut self,
        line: usize,
        seed: u64,
        family: &Family,
        student: usize,
        order: &PatchOrder,
    ) -> anyhow::Result<()> {
        let plan = family.plan();
        for patch in order.path(plan)? {
            let n_params = family.member(&patch).n_params();
            let stack = Stack::new(&plan.recipe(&patch), 0, student);
            self.add(line, seed, Some(patch.layers().len()), n_params, stack);
            self.set_seams(plan.seams(&patch));
        }
        Ok(())
    }

    pub(super) fn add_naive(
        &mut self,
        line: usize,
        plan: &LayerPlan,
        order: Method,
    ) -> anyhow::Result<()> {
        for patch in fixed(order).path(plan)? {
            self.add_kept(line, &teacher_layers(plan, &patch));
        }
        Ok(())
    }

    /// The teacher with only these layers.
    pub(super) fn add_kept(&mut self, line: usize, kept: &[usize]) {
        let n_params = self.models[0].config().keeping(kept).n_params();
        let layers = kept.iter().map(|&layer| (0, layer)).collect();
        let stack = Stack { layers, ..Stack::whole(0, &self.models[0]) };
        self.add(line, 0, None, n_params, stack);
        self.set_seams(pruned_seams(kept, self.models[0].n_layers()));
    }

    /// Of the member that was added last.
    fn set_seams(&mut self, seams: Vec<Seam>) {
        if let Some(member) = self.members.last_mut() {
            member.seams = seams;
        }
    }
}

/// One run for each size of a run's family but the teacher: the same layers, all of them
/// trained.
pub(super) fn individual(run: &DistillRun, order: Method) -> anyhow::Result<Vec<DistillRun>> {
    let plan = &run.plan;
    let path = fixed(order).path(plan)?;
    let kept = path.iter().map(|patch| teacher_layers(plan, patch));
    let smaller = kept.filter(|kept| kept.len() < plan.n_teacher_layers());
    smaller
        .map(|kept| {
            let plan = LayerPlan::keep(&kept, plan.n_teacher_layers())?;
            Ok(DistillRun { plan, ..run.clone() })
        })
        .collect()
}

/// The teacher layers that correspond to a member's layers.
fn teacher_layers(plan: &LayerPlan, patch: &Patch) -> Vec<usize> {
    let recipe = plan.naive(&plan.recipe(patch));
    let number = |source: &LayerSource| source.place().1;
    recipe.layers.iter().map(number).collect()
}

/// An order that needs no search.
fn fixed(order: Method) -> PatchOrder {
    if order == Method::First { PatchOrder::First } else { PatchOrder::Last }
}

/// Cosines below which a merge is undone, the strictest first.
const THRESHOLDS: [f64; 10] = [0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.3, -1.1];
/// Layers per merge.
const MERGED: [usize; 3] = [2, 3, 4];

/// The teacher with layers merged, down to `n_layers_enough`: of each size the model whose last
/// states are most similar to the teacher's, of all settings tried, with a sentence on how it was
/// made.
pub(super) fn collapsed(
    teacher: &LanguageModel,
    n_layers_enough: usize,
    batches: &[Batch],
) -> anyhow::Result<Vec<(LanguageModel, String)>> {
    let mut best: BTreeMap<usize, (f64, LanguageModel, String)> = BTreeMap::new();
    for (n_merged, threshold) in MERGED.into_iter().flat_map(|n| THRESHOLDS.map(|least| (n, least)))
    {
        let settings = LayerCollapse {
            n_merged,
            layers: 0..teacher.n_layers(),
            interval: 1,
            threshold,
            n_layers_enough,
        };
        let mut layers = Vec::new();
        for merge in block_on(collapse(teacher, &settings, batches))? {
            layers.push(merge.layer);
            let n_layers = merge.model.n_layers();
            // A merge of several layers may go below the size that was asked for.
            let is_best =
                best.get(&n_layers).is_none_or(|(similarity, ..)| merge.similarity > *similarity);
            if is_best && n_layers >= n_layers_enough {
                let sentence = format!(
                    "LaCo at {n_layers} layers: {n_merged} layers merged at {layers:?}, cosine of the \
                     last states {:.3}",
                    merge.similarity
                );
                best.insert(n_layers, (merge.similarity, merge.model, sentence));
            }
        }
    }
    Ok(best.into_values().map(|(_, model, sentence)| (model, sentence)).collect())
}
