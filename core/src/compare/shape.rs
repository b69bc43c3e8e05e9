//! Shape of a curve of quality over size: whether it is monotone, and how evenly it rises.

use serde::{Deserialize, Serialize};

/// Statistics of one curve, from the smallest to the largest size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The largest drop of a size below a smaller one; `None` if the curve is monotone.
    pub largest_fall: Option<Fall>,
    /// Number of steps to the next size on which quality falls, and number of all steps.
    pub n_falls: usize,
    pub n_steps: usize,
    /// Kendall's rank correlation (tau-b) of size and quality: 1 if every larger size is better, -1
    /// if every larger size is worse; `None` if all sizes are equally good.
    pub kendall_tau: Option<f64>,
    /// The area between the curve and the straight line from its first point to its last, as a share of
    /// the rectangle that the two points span: 0 for a straight line, above 0 when the middle sizes are
    /// better than the line, 0.5 when they are all as good as the last; `None` when the ends are equally
    /// good, and negative values mean the other side whichever way quality goes.
    pub area_above_line: Option<f64>,
    /// The largest step of quality to the next size as a share of the rise from the first to the last:
    /// `1 / n_steps` for a straight line of equal steps; `None` without a rise.
    pub largest_jump: Option<f64>,
}

/// A drop between two sizes, by their indices in the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fall {
    pub from: usize,
    pub to: usize,
    /// Size of the drop, above 0.
    pub by: f64,
}

impl Shape {
    /// `points` are `(size, quality)` by ascending size; higher quality is better.
    pub fn of(points: &[(f64, f64)]) -> Self {
        let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        let rise = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.1 - first.1);
        let largest_step = steps.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            largest_fall: largest_fall(points),
            n_falls: steps.iter().filter(|&&step| step < 0.0).count(),
            n_steps: steps.len(),
            kendall_tau: kendall_tau(points),
            area_above_line: area_above_line(points),
            largest_jump: (rise > 0.0).then(|| largest_step / rise),
        }
    }
}

fn largest_fall(points: &[(f64, f64)]) -> Option<Fall> {
    let mut best = 0;
    let mut found: Option<Fall> = None;
    for (to, &(_, quality)) in points.iter().enumerate() {
        if quality > points[best].1 {
            best = to;
        }
        let by = points[best].1 - quality;
        if by > found.map_or(0.0, |fall| fall.by) {
            found = Some(Fall { from: best, to, by });
        }
    }
    found
}

fn kendall_tau(points: &[(f64, f64)]) -> Option<f64> {
    let sign = |difference: f64| match difference {
        difference if difference > 0.0 => 1_i64,
        difference if difference < 0.0 => -1,
        _ => 0,
    };
    let (mut score, mut n_sizes, mut n_qualities) = (0, 0, 0);
    for (index, one) in points.iter().enumerate() {
        for other in &points[index + 1..] {
            let (size, quality) = (sign(other.0 - one.0), sign(other.1 - one.1));
            score += size * quality;
            n_sizes += size.abs();
            n_qualities += quality.abs();
        }
    }
    let scale = (n_sizes as f64 * n_qualities as f64).sqrt();
    (scale > 0.0).then(|| score as f64 / scale)
}

fn area_above_line(points: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let (width, rise) = (last.0 - first.0, last.1 - first.1);
    let trapezoid = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0;
    let area: f64 = points.windows(2).map(trapezoid).sum();
    let straight = width * (first.1 + last.1) / 2.0;
    let rectangle = width * rise.abs();
    (rectangle > 0.0).then(|| (area - straight) / rectangle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(qualities: &[f64]) -> Shape {
        let points = qualities.iter().enumerate().map(|(size, &quality)| (size as f64, quality));
        Shape::of(&points.collect::<Vec<_>>())
    }

    #[test]
    fn a_straight_line_has_no_area_and_equal_steps() {
        let shape = shape(&[0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!((shape.largest_fall, shape.n_falls, shape.kendall_tau), (None, 0, Some(1.0)));
        assert!(shape.area_above_line.unwrap().abs() < 1e-12);
        assert!((shape.largest_jump.unwrap() - 0.25).abs() < 1e-12);
    }

    /// `scipy.stats.kendalltau([1, 2, 3, 4, 5], [.1, .3, .2, .2, .5])`, scipy 1.17.1.
    #[test]
    fn tau_is_scipys() {
        let tau = shape(&[0.1, 0.3, 0.2, 0.2, 0.5]).kendall_tau.unwrap();
        assert!((tau - 0.5270462766947298).abs() < 1e-12);
    }

    #[test]
    fn a_drop_is_measured_from_the_best_smaller_size() {
        let fall = shape(&[0.2, 0.6, 0.5, 0.4, 0.7, 0.65]).largest_fall.unwrap();
        assert_eq!((fall.from, fall.to), (1, 3));
        assert!((fall.by - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_curve_that_is_at_the_top_at_once_has_half_the_rectangle() {
        let points: Vec<(f64, f64)> = [(0.0, 0.0), (1e-9, 1.0), (1.0, 1.0)].to_vec();
        assert!((Shape::of(&points).area_above_line.unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn ends_that_are_equal_have_no_area_and_no_rise() {
        let shape = shape(&[0.5, 0.6, 0.5]);
        assert_eq!((shape.area_above_line, shape.largest_jump), (None, None));
    }

    #[test]
    fn a_curve_of_one_point_or_none_has_no_shape() {
        for shape in [shape(&[]), shape(&[0.5])] {
            assert_eq!((shape.largest_fall, shape.kendall_tau, shape.n_steps), (None, None, 0));
        }
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(qualities in prop::collection::vec(0.0..1.0_f64, 2..20)) {
            let shape = shape(&qualities);
            prop_assert!(shape.n_falls <= shape.n_steps);
            prop_assert!(shape.kendall_tau.is_none_or(|tau| (-1.0..=1.0).contains(&tau)));
            prop_assert!(shape.largest_jump.is_none_or(|jump| jump * shape.n_steps as f64 >= 1.0 - 1e-9));
            prop_assert_eq!(shape.largest_fall.is_none(), shape.n_falls == 0);
        }
    }
}
