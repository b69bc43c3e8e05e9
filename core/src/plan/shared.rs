//! Leading layers that members share, for a text that changes from one size to another.

use super::{LayerPlan, Patch};

impl LayerPlan {
    /// The first student layer that is replaced by its block in one of two members only; `None` for
    /// the same member. What comes before it is the same in both: embedding and layers.
    pub fn first_difference(&self, one: &Patch, other: &Patch) -> Option<usize> {
        (0..self.n_student_layers()).find(|&layer| one.contains(layer) != other.contains(layer))
    }

    /// The number of leading layers that two members share; with them, the embedding.
    pub fn n_shared_layers(&self, one: &Patch, other: &Patch) -> usize {
        let boundary = self.first_difference(one, other).unwrap_or(self.n_student_layers());
        self.states_of(one)[boundary]
    }

    /// For a text that changes to another member at any time: the layers of this one that may be the
    /// first to differ, ascending. The states that enter them are all that the other can use. Without
    /// layer 0, whose input is the embedding of the text.
    pub fn branch_layers(&self, patch: &Patch) -> Vec<usize> {
        let all: Vec<usize> = (0..self.n_student_layers()).collect();
        self.starts_of(patch, &all)
    }

    /// As [`LayerPlan::branch_layers`] of each of these members, for a text that changes from one to
    /// the next in this order.
    pub fn branch_layers_along(&self, patches: &[Patch]) -> Vec<Vec<usize>> {
        let changes = patches.windows(2);
        let mut first: Vec<usize> =
            changes.filter_map(|pair| self.first_difference(&pair[0], &pair[1])).collect();
        first.sort_unstable();
        first.dedup();
        patches.iter().map(|patch| self.starts_of(patch, &first)).collect()
    }

    /// The layers of a member at which these student layers, or their blocks, begin, but for layer 0.
    fn starts_of(&self, patch: &Patch, student_layers: &[usize]) -> Vec<usize> {
        let states = self.states_of(patch);
        student_layers.iter().map(|&layer| states[layer]).filter(|&layer| layer > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PatchOrder;

    /// Blocks of teacher layers 0 to 1, 2 to 4, 5, and 6 to 7.
    fn plan() -> LayerPlan {
        LayerPlan::keep(&[0, 2, 5, 6], 8).unwrap()
    }

    fn all_patches() -> Vec<Patch> {
        let layers = |bits: u32| (0..4).filter(move |layer| bits >> layer & 1 == 1);
        (0..16).map(|bits| Patch::of(&layers(bits).collect::<Vec<_>>(), &plan()).unwrap()).collect()
    }

    #[test]
    fn shared_layers_are_the_common_beginning_of_two_recipes() {
        let plan = plan();
        for one in all_patches() {
            for other in all_patches() {
                let [mine, theirs] = [&one, &other].map(|patch| plan.recipe(patch));
                let pairs = mine.layers.iter().zip(&theirs.layers);
                let n_same = pairs.take_while(|(mine, theirs)| mine == theirs).count();
                assert_eq!(plan.n_shared_layers(&one, &other), n_same, "{one:?} {other:?}");
                assert!(n_same == 0 || mine.embedding == theirs.embedding);
            }
        }
    }

    #[test]
    fn a_change_to_any_member_is_at_a_branch_layer() {
        let plan = plan();
        for one in all_patches() {
            let branches = plan.branch_layers(&one);
            for other in all_patches().iter().filter(|other| **other != one) {
                let n_shared = plan.n_shared_layers(&one, other);
                assert!(n_shared == 0 || branches.contains(&n_shared), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_known_sequence_needs_the_states_of_its_own_changes_only() {
        let plan = plan();
        let path = PatchOrder::Last.path(&plan).unwrap();
        assert_eq!(plan.branch_layers(&path[0]), [1, 2, 3]);
        // S0 S1 S2 S3, then S0 S1 T5 T6 T7 ..., then S0 T2 T3 T4 T5 T6 T7.
        let stacks = path[..3].iter().map(|patch| patch.layers()).collect::<Vec<_>>();
        assert_eq!(stacks, [vec![], vec![2, 3], vec![1, 2, 3]]);
        let along = plan.branch_layers_along(&path[..3]);
        assert_eq!(along, [vec![1, 2], vec![1, 2], vec![1, 4]]);
    }

    #[test]
    fn members_of_a_growing_first_order_share_no_layer_with_the_student() {
        let plan = plan();
        let path = PatchOrder::First.path(&plan).unwrap();
        assert!(path[1..].iter().all(|patch| plan.n_shared_layers(&path[0], patch) == 0));
    }
}
