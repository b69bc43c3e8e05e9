//! Which members of a family are selected.

use anyhow::bail;
use boomerang_core::estimate::Estimate;
use boomerang_core::plan::{HeadPolicy, LayerPlan, Patch, PatchOrder};

use super::budget::Budget;

/// Which member.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct ChoiceArgs {
    /// The size with this many student layers patched: 0 is the student, the largest is the teacher
    #[arg(long, alias = "num_layers_to_patch")]
    pub k: Option<usize>,
    /// The size with this many layers
    #[arg(long)]
    pub layers: Option<usize>,
    /// The size with exactly these student layers patched, e.g. 3,7,8
    #[arg(long, value_delimiter = ',')]
    pub patched: Option<Vec<usize>>,
    /// The largest size with at most this many parameters, e.g. 1.1B
    #[arg(long, value_parser = crate::args::numbers::parse_amount, value_name = "N")]
    pub params: Option<u64>,
    /// The largest size with at most this many bytes of weights, e.g. 1.2GB
    #[arg(long, value_parser = crate::args::numbers::parse_amount, value_name = "N")]
    pub bytes: Option<u64>,
    /// All sizes of the order
    #[arg(long)]
    pub all: bool,
}

/// A size of the family, before it is written.
#[derive(Clone, Debug)]
pub struct Size {
    pub patch: Patch,
    pub head: HeadPolicy,
    pub n_layers: usize,
    pub n_params: u64,
    pub n_bytes: u64,
    /// Of the KV cache that counts towards the budget.
    pub cache_bytes: u64,
    /// Divergence from the teacher, where members were compared on texts.
    pub kl: Option<Estimate>,
}

/// The size of a path that has this many layers.
///
/// # Errors
/// Names the sizes that exist.
pub fn with_layers(n_layers: usize, plan: &LayerPlan, path: &[Patch]) -> anyhow::Result<Patch> {
    let sizes: Vec<usize> = path.iter().map(|patch| plan.recipe(patch).layers.len()).collect();
    match sizes.iter().position(|&size| size == n_layers) {
        Some(index) => Ok(path[index].clone()),
        None => bail!("no size of this order has {n_layers} layers; there are {sizes:?}"),
    }
}

impl ChoiceArgs {
    /// The patches that are to be considered: one for a choice by name, all for a budget.
    ///
    /// # Errors
    /// Names the sizes that exist.
    pub fn patches(&self, plan: &LayerPlan, order: &PatchOrder) -> anyhow::Result<Vec<Patch>> {
        let path = order.path(plan)?;
        if let Some(layers) = &self.patched {
            return Ok(vec![Patch::of(layers, plan)?]);
        }
        if let Some(n_layers) = self.layers {
            return Ok(vec![with_layers(n_layers, plan, &path)?]);
        }
        match self.k {
            // As in the reference implementation, more than all layers gives the teacher.
            Some(k) => Ok(vec![path[k.min(path.len() - 1)].clone()]),
            None => Ok(path),
        }
    }

    /// The sizes that are written, and a sentence on a budget's neighbors.
    ///
    /// # Errors
    /// When even the smallest size exceeds the budget.
    pub fn choose(&self, sizes: Vec<Size>) -> anyhow::Result<(Vec<Size>, Option<String>)> {
        let Some(budget) = Budget::of(self.params, self.bytes) else { return Ok((sizes, None)) };
        let chosen = budget.choose(sizes)?;
        let sentence = budget.sentence(&chosen);
        Ok((vec![chosen.best], Some(sentence)))
    }
}
