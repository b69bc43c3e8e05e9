//! The paper's pruning rule, and the alignment that goes with it in the reference implementation.

use serde::{Deserialize, Serialize};

use super::Alignment;

/// The paper's pruning rule: the first layers, every n-th layer after them, and the last layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRule {
    /// Leading layers kept one by one, at least 1.
    pub first: usize,
    /// Trailing layers kept one by one.
    pub last: usize,
    /// One layer is kept of every `every` in between.
    pub every: usize,
}

impl Default for KeepRule {
    fn default() -> Self {
        Self { first: 1, last: 2, every: 2 }
    }
}

impl KeepRule {
    /// Keeps only the first `n_kept` layers.
    pub fn first_layers(n_kept: usize, n_teacher_layers: usize) -> Self {
        Self { first: n_kept, last: 0, every: n_teacher_layers.saturating_sub(n_kept) + 1 }
    }

    /// Keeps the last `n_kept` layers and layer 0, which reads the embedding.
    pub fn last_layers(n_kept: usize, n_teacher_layers: usize) -> Self {
        let every = n_teacher_layers.saturating_sub(n_kept).max(1);
        Self { first: 1, last: n_kept, every }
    }

    /// Whether the teacher layer is dropped: it is inside one of the blocks `first - 1 + every * m
    /// ..`, which end at or before `n - last`.
    pub(super) fn cuts(self, layer: usize, n_teacher_layers: usize) -> bool {
        if layer < self.first {
            return false;
        }
        let since_first = layer - (self.first - 1);
        let block_end = self.first - 1 + since_first.div_ceil(self.every) * self.every;
        let is_block_start = since_first.is_multiple_of(self.every);
        !is_block_start && block_end + self.last <= n_teacher_layers
    }

    /// The alignment of the reference implementation, with its off-by-one error at the tail
    /// whenever `(n - last - first + 1)` is not a multiple of `every`;
    /// [`LayerPlan::alignment`](super::LayerPlan::alignment) is correct.
    ///
    /// `n_student_states` is the number of student layers plus one.
    pub fn reference_alignment(
        self,
        n_teacher_layers: usize,
        n_student_states: usize,
    ) -> Alignment {
        let mut pairs: Alignment = (0..self.first).map(|state| (state, state)).collect();
        let block_ends = (1..)
            .map(|block| self.first + self.every * block - 1)
            .take_while(|end| end + self.last <= n_teacher_layers);
        pairs.extend(block_ends.enumerate().map(|(i, end)| (self.first + i, end)));
        let suffix = (n_teacher_layers + 1).saturating_sub(self.last)..n_teacher_layers;
        let next = pairs.len();
        pairs.extend(suffix.enumerate().map(|(i, state)| (next + i, state)));
        pairs.push((n_student_states - 1, n_teacher_layers));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerPlan;
    use super::*;

    #[test]
    fn only_the_first_layers_are_kept() {
        for n_kept in 1..=6 {
            let plan = LayerPlan::by_rule(KeepRule::first_layers(n_kept, 6), 6).unwrap();
            assert_eq!(plan.kept(), (0..n_kept).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_last_layers_are_kept_after_layer_0() {
        for n_kept in 0..=5 {
            let plan = LayerPlan::by_rule(KeepRule::last_layers(n_kept, 6), 6).unwrap();
            let expected: Vec<usize> = [0].into_iter().chain(6 - n_kept..6).collect();
            assert_eq!(plan.kept(), expected);
        }
        let all = LayerPlan::by_rule(KeepRule::last_layers(6, 6), 6).unwrap();
        assert_eq!(all.n_student_layers(), 6);
    }
}
