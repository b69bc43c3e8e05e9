//! Orders of patching that are found by measuring members on texts.

use boomerang_core::distill::Batch;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_core::search::{self, MeasuredMembers};
use boomerang_core::similarity::{block_similarity, similarity_order};
use futures_lite::future::block_on;

/// How an order is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// From the last layer to the first
    Last,
    /// From the first layer to the last
    First,
    /// The layer that is least like its block first
    Similarity,
    /// The layer that brings the member nearest to the teacher first
    Klpatch,
    /// As klpatch, keeping several sets of each size
    Beam,
    /// Every set, for students of up to 12 layers
    Exact,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Similarity => "similarity",
            Self::Klpatch => "klpatch",
            Self::Beam => "beam",
            Self::Exact => "exact",
        }
    }
}

/// The order that a method finds; `beam` is the width of a beam search.
///
/// # Errors
/// When the student is too large for an exact search, or the device is lost.
pub fn find(
    method: Method,
    beam: usize,
    family: &Family,
    batches: &[Batch],
    known: &mut MeasuredMembers<'_>,
    progress: &mut dyn FnMut(usize),
) -> anyhow::Result<Vec<usize>> {
    let order = match method {
        Method::Last => PatchOrder::Last.layers(family.plan())?,
        Method::First => PatchOrder::First.layers(family.plan())?,
        Method::Similarity => similarity_order(&block_on(block_similarity(family, batches))?),
        Method::Klpatch => block_on(search::greedy(known, progress))?,
        Method::Beam => block_on(search::beam(known, beam, progress))?,
        Method::Exact => block_on(search::exact(known, progress))?,
    };
    Ok(order)
}
