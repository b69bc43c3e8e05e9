//! Searches for patch orders by measuring members.
//!
//! An order is a path from the student to the teacher through sets of patched layers that grow by
//! one layer per step.

use std::collections::BTreeMap;

use thiserror::Error;

use super::measured::MeasuredMembers;
use crate::evaluate::ReadBackError;
use crate::plan::Patch;

/// Why no order was found.
#[derive(Debug, Error)]
pub enum SearchError {
    #[error(
        "an exact search measures all {n_sets} subsets of the {n_student_layers} student layers; \
         it supports at most {most} layers: use klpatch or beam"
    )]
    TooLarge { n_student_layers: usize, n_sets: String, most: usize },
    #[error("{0}")]
    ReadBack(#[from] ReadBackError),
}

/// Maximum number of student layers of an exact search: 4096 members.
pub const MOST_LAYERS_EXACT: usize = 12;

/// Greedy search (KLPatch, arXiv:2607.08170): patches at each step the layer that minimizes the
/// metric.
///
/// # Errors
/// [`SearchError::ReadBack`] if the device is lost.
pub async fn greedy(
    measured: &mut MeasuredMembers<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<usize>, SearchError> {
    beam(measured, 1, progress).await
}

/// Beam search for a path with a small sum of losses: of all sets of one size, the `width` sets
/// that end the best paths are kept.
///
/// # Errors
/// [`SearchError::ReadBack`] if the device is lost.
pub async fn beam(
    measured: &mut MeasuredMembers<'_>,
    width: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<usize>, SearchError> {
    let n_layers = measured.plan().n_student_layers();
    measured.measure(&[Patch::none(measured.plan())]).await?;
    let mut paths = vec![Path::start(measured)];
    for step in 0..n_layers {
        let next: Vec<Patch> =
            paths.iter().flat_map(Path::successors).map(|(_, set)| set).collect();
        measured.measure(&next).await?;
        paths = extend(measured, &paths);
        paths.truncate(width.max(1));
        progress(step + 1);
    }
    Ok(paths.swap_remove(0).order)
}

/// The path with the minimum sum of losses, by measuring every set.
///
/// # Errors
/// [`SearchError::TooLarge`] for a student of more than [`MOST_LAYERS_EXACT`] layers.
pub async fn exact(
    measured: &mut MeasuredMembers<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<usize>, SearchError> {
    let n_student_layers = measured.plan().n_student_layers();
    if n_student_layers > MOST_LAYERS_EXACT {
        let n_sets = format!("2^{n_student_layers}");
        return Err(SearchError::TooLarge { n_student_layers, n_sets, most: MOST_LAYERS_EXACT });
    }
    // A beam as wide as the number of sets drops no path that could be optimal.
    beam(measured, 1 << n_student_layers, progress).await
}

/// A partial path.
#[derive(Clone, Debug)]
struct Path {
    order: Vec<usize>,
    set: Patch,
    n_student_layers: usize,
    /// Sum of the losses of its sets. A step that patches a block of one layer does not change the
    /// size but counts like any other, so that the sum also prefers a good set there.
    loss: f64,
}

impl Path {
    fn start(measured: &MeasuredMembers<'_>) -> Self {
        let set = Patch::none(measured.plan());
        let n_student_layers = measured.plan().n_student_layers();
        Self { order: Vec::new(), loss: measured.loss(&set), set, n_student_layers }
    }

    fn successors(&self) -> impl Iterator<Item = (usize, Patch)> + '_ {
        let open = (0..self.n_student_layers).filter(|&layer| !self.set.contains(layer));
        open.map(|layer| (layer, self.set.toggled(layer)))
    }
}

/// Extends all paths by one step; keeps the best path to each set, sorted by loss.
fn extend(measured: &MeasuredMembers<'_>, paths: &[Path]) -> Vec<Path> {
    let mut by_set: BTreeMap<Patch, Path> = BTreeMap::new();
    for path in paths {
        for (layer, set) in path.successors() {
            let loss = path.loss + measured.loss(&set);
            if by_set.get(&set).is_some_and(|other| other.loss <= loss) {
                continue;
            }
            let order = [path.order.as_slice(), &[layer]].concat();
            by_set.insert(set.clone(), Path { order, set, loss, ..*path });
        }
    }
    let mut paths: Vec<Path> = by_set.into_values().collect();
    paths.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    paths
}
