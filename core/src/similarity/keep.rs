//! Which layers to keep so that the dropped layers change the hidden states least.

/// The `n_layers` teacher layers to keep that minimize the total angular distance across the
/// dropped layers, with `angular_distance` as in [`Analysis`](super::Analysis). Exact, by dynamic
/// programming over all partitions into blocks.
///
/// Blocks are at most one layer longer than equal blocks would be: a family has one size per block
/// of several layers, and a single long block would leave few sizes.
pub fn keep_advice(angular_distance: &[Vec<f64>], n_layers: usize) -> Vec<usize> {
    let n_teacher_layers = angular_distance.len();
    let n_layers = n_layers.clamp(1, n_teacher_layers.max(1));
    let longest = n_teacher_layers.div_ceil(n_layers) + 1;
    // By end of the blocks so far: the minimum sum and the block starts that reach it.
    let mut best: Vec<Option<(f64, Vec<usize>)>> = vec![None; n_teacher_layers + 1];
    best[0] = Some((0.0, Vec::new()));
    for _ in 0..n_layers {
        let one_more = |end: usize| {
            let starts = best.iter().enumerate().take(end).skip(end.saturating_sub(longest));
            let sums = starts.filter_map(|(start, so_far)| {
                let (sum, cuts) = so_far.as_ref()?;
                Some((sum + block_turned(angular_distance, start, end), cuts, start))
            });
            let (sum, cuts, start) = sums.min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some((sum, [cuts.as_slice(), &[start]].concat()))
        };
        best = (0..=n_teacher_layers).map(one_more).collect();
    }
    best.pop().flatten().map_or_else(Vec::new, |(_, cuts)| cuts)
}

pub(super) fn turned(angular_distance: &[Vec<f64>], kept: &[usize]) -> f64 {
    let ends = kept.iter().skip(1).copied().chain([angular_distance.len()]);
    kept.iter().zip(ends).map(|(&start, end)| block_turned(angular_distance, start, end)).sum()
}

/// The angular distance across the dropped layers of a block, whose first layer is kept.
fn block_turned(angular_distance: &[Vec<f64>], start: usize, end: usize) -> f64 {
    let n_dropped = end - start - 1;
    if n_dropped == 0 { 0.0 } else { angular_distance[n_dropped - 1][start + 1] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::advice::tests::distances;
    use super::*;

    #[test]
    fn the_layer_with_the_smallest_distance_is_dropped_first() {
        assert_eq!(keep_advice(&distances(), 3), [0, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_other_plan_has_a_smaller_distance(
            values in prop::collection::vec(0.0..1.0_f64, 28),
            n_layers in 1..8_usize,
        ) {
            let mut values = values.into_iter();
            let distances: Vec<Vec<f64>> =
                (1..=7).rev().map(|len| values.by_ref().take(len).collect()).collect();
            let advised = keep_advice(&distances, n_layers);
            prop_assert_eq!(advised.len(), n_layers);
            let longest = 7_usize.div_ceil(n_layers) + 1;
            for bits in 0_u32..1 << 6 {
                let kept: Vec<usize> =
                    (0..7).filter(|&layer| layer == 0 || bits >> (layer - 1) & 1 == 1).collect();
                let ends = kept.iter().skip(1).copied().chain([7]);
                let is_short = kept.iter().zip(ends).all(|(start, end)| end - start <= longest);
                if kept.len() == n_layers && is_short {
                    prop_assert!(turned(&distances, &advised) <= turned(&distances, &kept) + 1e-12);
                }
            }
        }
    }
}
