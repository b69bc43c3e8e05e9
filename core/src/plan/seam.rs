//! Seams: where a layer receives a state that only approximates the one it was trained on.

use std::ops::Range;

use super::{LayerPlan, LayerSource, Patch};

/// A state of a smaller model whose next layer was trained on another state, the teacher's.
///
/// State `l` of a model is the input of its layer `l`; the last one is the output of the last
/// layer, before the final norm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seam {
    /// The smaller model's state, at least 1: the output of layer `state - 1`.
    pub state: usize,
    /// The teacher layers that are approximated or missing: the next layer expects the teacher's
    /// state `end`. Of a pruned model, they are the dropped layers, and the state `start` is their
    /// input.
    pub layers: Range<usize>,
}

impl LayerPlan {
    /// The seams of a member, first to last: where a teacher layer reads the output of a student
    /// layer.
    ///
    /// The final norm and the head have the same owner as the last layer, so that there is none
    /// after it.
    pub fn seams(&self, patch: &Patch) -> Vec<Seam> {
        let layers = self.recipe(patch).layers;
        let pairs = layers.windows(2).enumerate();
        let seams = pairs.filter_map(|(index, pair)| match *pair {
            [LayerSource::Student(layer), LayerSource::Teacher(_)] => {
                Some(Seam { state: index + 1, layers: self.block(layer) })
            }
            _ => None,
        });
        seams.collect()
    }
}

/// The seams of a teacher that was pruned to the layers `kept`, first to last: where layers were
/// dropped after a kept one. Layers before the first kept one have none, because no layer computes
/// the embedding.
pub fn pruned_seams(kept: &[usize], n_teacher_layers: usize) -> Vec<Seam> {
    let next = kept.iter().skip(1).copied().chain([n_teacher_layers]);
    let layers = kept.iter().map(|&layer| layer + 1).zip(next).enumerate();
    let seams = layers.map(|(index, (start, end))| Seam { state: index + 1, layers: start..end });
    seams.filter(|seam| !seam.layers.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PatchOrder;

    /// Blocks of teacher layers 0 to 1, 2 to 4, and 5.
    fn plan() -> LayerPlan {
        LayerPlan::keep(&[0, 2, 5], 6).unwrap()
    }

    #[test]
    fn a_seam_is_where_a_teacher_layer_follows_a_student_layer() {
        let plan = plan();
        // S0, T2, T3, T4, S2.
        let member = Patch::of(&[1], &plan).unwrap();
        assert_eq!(plan.seams(&member), [Seam { state: 1, layers: 0..2 }]);
        // T0, T1, S1, T5.
        let member = Patch::of(&[0, 2], &plan).unwrap();
        assert_eq!(plan.seams(&member), [Seam { state: 3, layers: 2..5 }]);
    }

    #[test]
    fn members_of_the_first_order_have_no_seam() {
        for patch in PatchOrder::First.path(&plan()).unwrap() {
            assert_eq!(plan().seams(&patch), []);
        }
    }

    #[test]
    fn a_pruned_model_has_a_seam_where_layers_were_dropped() {
        let seams = [Seam { state: 1, layers: 1..3 }, Seam { state: 3, layers: 5..6 }];
        assert_eq!(pruned_seams(&[0, 3, 4], 6), seams);
        assert_eq!(pruned_seams(&[0, 1, 2], 3), []);
    }

    #[test]
    fn at_a_seam_the_aligned_state_of_the_teacher_is_expected() {
        let plan = plan();
        for layers in [vec![1], vec![2], vec![1, 2], vec![0, 2]] {
            let patch = Patch::of(&layers, &plan).unwrap();
            let alignment = plan.alignment_of(&patch);
            for seam in plan.seams(&patch) {
                assert!(alignment.contains(&(seam.state, seam.layers.end)), "{seam:?}");
            }
        }
    }
}
