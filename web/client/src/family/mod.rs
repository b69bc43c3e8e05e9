//! What the page knows of a family from its manifest alone: its sizes, the path through them, and the
//! measurements.

pub mod order;
mod sizes;

use std::collections::HashSet;
use std::ops::Range;

use boomerang_core::bundle::{BundleError, Manifest};
use boomerang_core::config::ModelConfig;
use boomerang_core::corpus::FAMILY_NAME;
use boomerang_core::curve::{CurveStop, Series};
use boomerang_core::plan::Patch;

pub use sizes::MemberSize;

use crate::family::order::OrderChoice;

/// A family, as its manifest describes it.
///
/// Invariant: the path is not empty; it starts with the student and ends with the teacher.
#[derive(Clone, Debug)]
pub struct FamilyCard {
    manifest: Manifest,
    config: ModelConfig,
    /// Every size in the chosen order.
    path: Vec<Patch>,
    order: OrderChoice,
    /// Every size in the bundle's order, in which it was measured and recorded.
    measured_path: Vec<Patch>,
    measured: Vec<CurveStop>,
    fingerprint: String,
}

/// One student layer and the teacher layers that can replace it.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub layer: usize,
    pub teacher_layers: Range<usize>,
    /// Cosine of the student layer's output with the block's, where it was measured.
    pub similarity: Option<f64>,
}

impl FamilyCard {
    /// # Errors
    /// [`BundleError`] when the text is not a usable manifest.
    pub fn from_json(manifest: &str) -> Result<Self, BundleError> {
        let manifest = Manifest::from_json(manifest)?;
        let config = manifest.config()?;
        let path = manifest.order.path(&manifest.plan)?;
        let measured = manifest.curve.stops(Series::Boomerang);
        let fingerprint = manifest.fingerprint();
        let (measured_path, order) = (path.clone(), OrderChoice::Bundle);
        Ok(Self { manifest, config, path, order, measured_path, measured, fingerprint })
    }

    /// The same family in another order, if it has that order.
    pub fn in_order(&self, choice: OrderChoice) -> Self {
        let order = choice.order(&self.manifest.order, &self.manifest.similarity);
        let order = order.filter(|order| *order != self.manifest.order);
        let path = order.and_then(|order| order.path(&self.manifest.plan).ok());
        let order = if path.is_some() { choice } else { OrderChoice::Bundle };
        let path = path.unwrap_or_else(|| self.measured_path.clone());
        Self { path, order, ..self.clone() }
    }

    /// Every size in the bundle's order, in which files are loaded and memory is counted.
    pub fn measured_path(&self) -> &[Patch] {
        &self.measured_path
    }

    pub fn order(&self) -> OrderChoice {
        self.order
    }

    /// The index of a patch among those that were measured and recorded.
    pub fn recorded_index(&self, patch: &Patch) -> Option<usize> {
        self.measured_path.iter().position(|measured| measured == patch)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Identifies this family, see [`Manifest::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether its teacher was trained on the generated corpus, about an invented world.
    pub fn is_of_corpus(&self) -> bool {
        self.manifest.name.starts_with(FAMILY_NAME)
    }

    /// Tokens that fit in the model's context window.
    pub fn max_seq(&self) -> usize {
        self.config.max_seq
    }

    /// Every size on the dial, student first, teacher last.
    pub fn path(&self) -> &[Patch] {
        &self.path
    }

    pub fn last_stop(&self) -> usize {
        self.path.len() - 1
    }

    /// The stop of the dial that is exactly this patch.
    pub fn stop_of(&self, patch: &Patch) -> Option<usize> {
        self.path.iter().position(|on_path| on_path == patch)
    }

    /// The largest stop that is not larger than this patch.
    pub fn stop_below(&self, patch: &Patch) -> usize {
        let n_layers = |patch: &Patch| self.manifest.plan.recipe(patch).layers.len();
        let size = n_layers(patch);
        self.path.iter().rposition(|on_path| n_layers(on_path) <= size).unwrap_or(0)
    }

    /// What was measured, size by size.
    pub fn measured(&self) -> &[CurveStop] {
        &self.measured
    }

    /// What was measured of this patch; only patches on the bundle's path were.
    pub fn score(&self, patch: &Patch) -> Option<&CurveStop> {
        self.recorded_index(patch)?;
        let n_layers = self.manifest.plan.recipe(patch).layers.len();
        self.measured.iter().find(|stop| stop.n_layers == n_layers)
    }

    /// The stop of the dial with that many layers.
    pub fn stop_with_layers(&self, n_layers: usize) -> Option<usize> {
        let has_size = |patch: &Patch| self.manifest.plan.recipe(patch).layers.len() == n_layers;
        self.path.iter().position(has_size)
    }

    /// Bytes of a member's files that are not among the loaded ones.
    pub fn n_missing_bytes(&self, patch: &Patch, loaded: &HashSet<String>) -> u64 {
        let files = self.manifest.files_of(patch);
        files.into_iter().filter(|file| !loaded.contains(&file.path)).map(|file| file.bytes).sum()
    }

    /// Bytes that are fetched before the smallest size can generate.
    pub fn n_first_bytes(&self) -> u64 {
        self.n_missing_bytes(&self.path[0], &HashSet::new())
    }

    pub fn blocks(&self) -> Vec<Block> {
        let plan = &self.manifest.plan;
        let block = |layer: usize| Block {
            layer,
            teacher_layers: plan.block(layer),
            similarity: self.manifest.similarity.get(layer).copied(),
        };
        (0..plan.n_student_layers()).map(block).collect()
    }

    /// Which blocks of a member are the teacher's, first to last.
    pub fn flags(&self, patch: &Patch) -> Vec<bool> {
        let n_blocks = self.manifest.plan.n_student_layers();
        (0..n_blocks).map(|layer| patch.contains(layer)).collect()
    }

    /// The member's layers in short, first to last: `S0 T2 T3 S2`.
    pub fn stack(&self, patch: &Patch) -> String {
        let layers = self.manifest.plan.recipe(patch).layers;
        let names: Vec<String> = layers.iter().map(ToString::to_string).collect();
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::{Precision, StoredAs};

    use super::*;
    use crate::testing::{card, family, pruned_family};

    #[test]
    fn sizes_are_those_of_the_models_themselves() {
        for tied in [true, false] {
            let family = family(tied);
            let card = card(&family, Precision::F32);
            let plan = family.plan().clone();
            let subsets = [vec![], vec![0], vec![3], vec![0, 3], vec![1, 2], vec![0, 1, 2, 3]];
            for patch in subsets.map(|layers| Patch::of(&layers, &plan).unwrap()) {
                let member = family.member(&patch);
                let size = card.size(&patch);
                assert_eq!(size.n_params, member.n_params(), "{patch:?}, tied: {tied}");
                assert_eq!(size.n_layers, member.n_layers());
            }
        }
    }

    #[test]
    fn a_size_takes_the_bytes_of_its_files() {
        let family = family(true);
        let formats = [Precision::F32.into(), Precision::F16.into(), StoredAs::Q8_0];
        let sizes = formats.map(|stored_as| {
            let card = card(&family, stored_as);
            let whole = Patch::all(family.plan());
            let files = card.manifest().files_of(&whole);
            let weights = files.iter().filter(|file| file.path.ends_with(".safetensors"));
            let n_bytes = card.size(&whole).n_bytes;
            assert_eq!(n_bytes, weights.map(|file| file.bytes).sum::<u64>(), "{stored_as}");
            n_bytes
        });
        assert!(sizes[0] > sizes[1] && sizes[0] > sizes[2], "{sizes:?}");
    }

    #[test]
    fn a_patch_off_the_path_is_between_two_stops() {
        let family = family(true);
        let card = card(&family, Precision::F32);
        let off_path = Patch::of(&[0], family.plan()).unwrap();
        assert_eq!(card.stop_of(&off_path), None);
        assert_eq!(card.stop_below(&off_path), 1);
        assert_eq!(card.stop_of(&card.path()[card.last_stop()]), Some(2));
    }

    #[test]
    fn sizes_become_complete_in_the_order_of_the_files() {
        let card = card(&family(false), Precision::F32);
        let mut loaded = HashSet::new();
        let mut n_complete = Vec::new();
        for file in card.manifest().files() {
            loaded.insert(file.path.clone());
            let is_complete = |patch: &&Patch| card.n_missing_bytes(patch, &loaded) == 0;
            n_complete.push(card.path().iter().filter(is_complete).count());
        }
        assert!(n_complete.is_sorted());
        // Tokenizer, both ends, four student layers, and the teacher's six.
        assert_eq!(n_complete.len(), 13);
        assert_eq!([n_complete[5], n_complete[12]], [1, 3]);
    }

    #[test]
    fn a_tied_matrix_of_both_models_counts_once() {
        let family = pruned_family(true);
        let card = card(&family, Precision::F32);
        let teacher = card.size(&Patch::all(family.plan()));
        for layers in [vec![], vec![0], vec![3], vec![0, 3], vec![1, 2]] {
            let size = card.size(&Patch::of(&layers, family.plan()).unwrap());
            assert!(
                size.n_params <= teacher.n_params && size.n_bytes <= teacher.n_bytes,
                "{layers:?}"
            );
            let (n_layers, config) = (size.n_layers, family.teacher().model().config());
            assert_eq!(size.n_params, config.n_params_of(n_layers, true), "{layers:?}");
        }
        let both = family.student().model().n_layers() + family.teacher().model().n_layers();
        let n_params = family.teacher().model().config().n_params_of(both, true);
        assert_eq!(card.bytes_in_memory(card.path().len()), 4 * n_params);
    }

    #[test]
    fn another_order_has_the_same_ends_and_other_sizes_between_them() {
        let bundle = card(&family(true), Precision::F32);
        let first = bundle.in_order(OrderChoice::First);
        let ends = |card: &FamilyCard| [card.path()[0].clone(), card.path()[2].clone()];
        assert_eq!(ends(&first), ends(&bundle));
        assert_ne!(first.path()[1], bundle.path()[1]);
        assert_eq!(first.fingerprint(), bundle.fingerprint());
        assert_eq!(first.recorded_index(&first.path()[1]), None);
        assert_eq!(first.recorded_index(&first.path()[2]), Some(2));
        assert_eq!(first.in_order(OrderChoice::Bundle).path(), bundle.path());
    }

    #[test]
    fn the_stack_names_every_layer() {
        let family = family(true);
        let patch = Patch::of(&[1], family.plan()).unwrap();
        assert_eq!(card(&family, Precision::F32).stack(&patch), "S0 T2 T3 S2 S3");
    }
}
