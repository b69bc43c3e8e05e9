//! The measurements, with standard errors over the two things sampled: students and questions.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::estimate::{Estimate, mean, stderr};

use super::design::Sizes;

/// One model of a line, measured on every part of the examination.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Index of the line in the design.
    pub(super) line: usize,
    /// Of the distillation; 0 where there is none.
    pub(super) seed: u64,
    /// `None` for models that are not patched students.
    pub(super) n_patched: Option<usize>,
    pub(super) n_layers: usize,
    pub(super) n_params: u64,
    /// Mean accuracy over tasks, one for each part.
    pub(super) accuracy: Vec<f64>,
    /// Of each task, by its name; one map for each part.
    pub(super) by_task: Vec<BTreeMap<String, f64>>,
    /// Nats/token, one for each part.
    pub(super) nats: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Accuracy,
    Nats,
}

/// The measured points of all lines.
pub(super) struct Sample {
    pub(super) points: Vec<Point>,
}

impl Measure {
    pub(super) const BOTH: [Self; 2] = [Self::Accuracy, Self::Nats];

    pub(super) fn of(self, point: &Point) -> &[f64] {
        match self {
            Self::Accuracy => &point.accuracy,
            Self::Nats => &point.nats,
        }
    }

    /// Turns a difference so that more is better.
    pub(super) fn upwards(self) -> f64 {
        match self {
            Self::Accuracy => 1.0,
            Self::Nats => -1.0,
        }
    }
}

/// From one row for each seed, with one value for each part of the examination.
///
/// The error is that of sampling other students (over seeds) and other questions (over parts).
pub(super) fn estimate(rows: &[Vec<f64>]) -> Estimate {
    let seeds: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
    let n_parts = rows.iter().map(Vec::len).min().unwrap_or(0);
    let column = |part: usize| mean(&rows.iter().map(|row| row[part]).collect::<Vec<_>>());
    let parts: Vec<f64> = (0..n_parts).map(column).collect();
    Estimate { mean: mean(&seeds), stderr: stderr(&seeds).hypot(stderr(&parts)) }
}

impl Sample {
    /// The same points with the accuracy on some tasks only.
    pub(super) fn on_tasks(&self, names: &[&str]) -> Self {
        let of_part = |tasks: &BTreeMap<String, f64>| {
            let found = names.iter().filter_map(|name| tasks.get(*name).copied());
            mean(&found.collect::<Vec<_>>())
        };
        let points = self.points.iter().map(|point| Point {
            accuracy: point.by_task.iter().map(of_part).collect(),
            ..point.clone()
        });
        Self { points: points.collect() }
    }

    /// Sizes of a line in layers, ascending.
    pub(super) fn sizes(&self, line: usize) -> Vec<usize> {
        let sizes: BTreeSet<usize> = self.of(line).map(|point| point.n_layers).collect();
        sizes.into_iter().collect()
    }

    pub(super) fn of(&self, line: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.line == line)
    }

    pub(super) fn estimate(&self, line: usize, n_layers: usize, measure: Measure) -> Estimate {
        estimate(&self.rows(line, n_layers, measure))
    }

    /// The mean over the whole curve, trapezoid by trapezoid from its smallest to its largest size.
    pub(super) fn area(&self, line: usize, measure: Measure) -> Option<Estimate> {
        let sizes = self.sizes(line);
        let (first, last) = (*sizes.first()?, *sizes.last()?);
        let weights: Vec<(usize, f64)> = sizes
            .iter()
            .enumerate()
            .map(|(index, &size)| {
                let before = if index > 0 { size - sizes[index - 1] } else { 0 };
                let after = sizes.get(index + 1).map_or(0, |next| next - size);
                (size, (before + after) as f64 / 2.0 / (last - first).max(1) as f64)
            })
            .collect();
        (last > first).then(|| estimate(&self.weighted(line, &weights, measure)))
    }

    /// How much better `line` is than `than`; both have the same students where both have students,
    /// and the same questions. `None` without a size in common.
    pub(super) fn lead(
        &self,
        line: usize,
        than: usize,
        sizes: Sizes,
        measure: Measure,
    ) -> Option<Estimate> {
        let common = self.between(line, than);
        let common = match sizes {
            Sizes::All => common,
            Sizes::Largest => common.last().copied().into_iter().collect(),
            Sizes::Student | Sizes::Teacher => {
                let (mut own, others) = (self.sizes(line), self.sizes(than));
                if sizes == Sizes::Teacher {
                    own.reverse();
                }
                own.into_iter().take(1).filter(|size| others.contains(size)).collect()
            }
        };
        self.lead_at(line, than, &common, measure)
    }

    /// By how much the lead at the smallest size in common exceeds that at the largest.
    pub(super) fn growth_of_lead(
        &self,
        line: usize,
        than: usize,
        measure: Measure,
    ) -> Option<Estimate> {
        let common = self.between(line, than);
        let (first, last) = (*common.first()?, *common.last()?);
        let weights = [(first, 1.0), (last, -1.0)];
        (first < last).then(|| {
            let rows = differences(
                &self.weighted(line, &weights, measure),
                &self.weighted(than, &weights, measure),
            );
            estimate(&scaled(&rows, measure.upwards()))
        })
    }

    /// How much better each size is than the one before it.
    pub(super) fn steps(&self, line: usize, measure: Measure) -> Vec<Estimate> {
        let sizes = self.sizes(line);
        let step = |pair: &[usize]| {
            let weights = [(pair[1], 1.0), (pair[0], -1.0)];
            estimate(&scaled(&self.weighted(line, &weights, measure), measure.upwards()))
        };
        sizes.windows(2).map(step).collect()
    }

    /// Mean distance of sizes from the middle between their neighbors, over seeds.
    pub(super) fn roughness(&self, line: usize, measure: Measure) -> Vec<Vec<f64>> {
        let sizes = self.sizes(line);
        let mut seeds: Vec<Vec<f64>> = Vec::new();
        for triple in sizes.windows(3) {
            let weights = [(triple[0], -0.5), (triple[1], 1.0), (triple[2], -0.5)];
            for (seed, row) in self.weighted(line, &weights, measure).iter().enumerate() {
                seeds.resize(seeds.len().max(seed + 1), Vec::new());
                seeds[seed].push(mean(row).abs());
            }
        }
        // One value per seed: the error over questions is not needed here.
        seeds.iter().map(|bends| vec![mean(bends)]).collect()
    }

    fn lead_at(
        &self,
        line: usize,
        than: usize,
        sizes: &[usize],
        measure: Measure,
    ) -> Option<Estimate> {
        let weight = 1.0 / sizes.len() as f64;
        let weights: Vec<(usize, f64)> = sizes.iter().map(|&size| (size, weight)).collect();
        (!sizes.is_empty()).then(|| {
            let rows = differences(
                &self.weighted(line, &weights, measure),
                &self.weighted(than, &weights, measure),
            );
            estimate(&scaled(&rows, measure.upwards()))
        })
    }

    /// Sizes that both lines have, without the smallest and the largest of the first line.
    pub(super) fn between(&self, line: usize, than: usize) -> Vec<usize> {
        let (sizes, others) = (self.sizes(line), self.sizes(than));
        let inner = sizes.get(1..sizes.len().saturating_sub(1)).unwrap_or_default();
        inner.iter().copied().filter(|size| others.contains(size)).collect()
    }

    /// A weighted sum over sizes, by seed and part.
    fn weighted(&self, line: usize, weights: &[(usize, f64)], measure: Measure) -> Vec<Vec<f64>> {
        let mut sum: Vec<Vec<f64>> = Vec::new();
        for &(size, weight) in weights {
            let rows = scaled(&self.rows(line, size, measure), weight);
            sum = if sum.is_empty() { rows } else { sums(&sum, &rows) };
        }
        sum
    }

    /// One row for each seed.
    fn rows(&self, line: usize, n_layers: usize, measure: Measure) -> Vec<Vec<f64>> {
        let points = self.of(line).filter(|point| point.n_layers == n_layers);
        points.map(|point| measure.of(point).to_vec()).collect()
    }
}

fn scaled(rows: &[Vec<f64>], factor: f64) -> Vec<Vec<f64>> {
    rows.iter().map(|row| row.iter().map(|value| value * factor).collect()).collect()
}

fn differences(rows: &[Vec<f64>], others: &[Vec<f64>]) -> Vec<Vec<f64>> {
    sums(rows, &scaled(others, -1.0))
}

/// Row by row; where one side has a single row, it is paired with every row of the other.
pub(super) fn sums(rows: &[Vec<f64>], others: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n_rows = if rows.len() == 1 || others.len() == 1 {
        rows.len().max(others.len())
    } else {
        rows.len().min(others.len())
    };
    (0..n_rows)
        .map(|number| {
            let (row, other) = (&rows[number % rows.len()], &others[number % others.len()]);
            row.iter().zip(other).map(|(value, other)| value + other).collect()
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands::experiment) fn point(
        line: usize,
        seed: u64,
        n_layers: usize,
        accuracy: [f64; 2],
    ) -> Point {
        let nats = accuracy.map(|accuracy| 2.0 - accuracy).to_vec();
        let accuracy = accuracy.to_vec();
        let by_task = Vec::new();
        Point { line, seed, n_patched: None, n_layers, n_params: 1, accuracy, by_task, nats }
    }

    #[test]
    fn the_error_has_a_part_for_students_and_one_for_questions() {
        let only_seeds = estimate(&[vec![1.0, 1.0], vec![3.0, 3.0]]);
        assert_eq!((only_seeds.mean, only_seeds.stderr), (2.0, 1.0));
        let only_parts = estimate(&[vec![1.0, 3.0], vec![1.0, 3.0]]);
        assert_eq!((only_parts.mean, only_parts.stderr), (2.0, 1.0));
        let both = estimate(&[vec![0.0, 2.0], vec![2.0, 4.0]]);
        assert_eq!((both.mean, both.stderr), (2.0, 2.0_f64.sqrt()));
    }

    #[test]
    fn a_lead_over_one_model_has_no_error_where_all_parts_agree() {
        let sizes = [4, 5, 6];
        let ours = |seed| sizes.map(|size| point(0, seed, size, [0.5, 0.7]));
        let points = [ours(0).to_vec(), ours(1).to_vec(), vec![point(1, 0, 5, [0.4, 0.6])]];
        let sample = Sample { points: points.concat() };
        let lead = sample.lead(0, 1, Sizes::All, Measure::Accuracy).unwrap();
        assert!((lead.mean - 0.1).abs() < 1e-12 && lead.stderr < 1e-12);
        let lead = sample.lead(0, 1, Sizes::All, Measure::Nats).unwrap();
        assert!((lead.mean - 0.1).abs() < 1e-12, "less loss is better");
        assert_eq!(sample.lead(0, 1, Sizes::Student, Measure::Nats), None);
    }

    #[test]
    fn the_area_of_a_straight_line_is_its_middle() {
        let points = [(4, 0.2), (5, 0.4), (8, 1.0)];
        let points = points.map(|(size, accuracy)| point(0, 0, size, [accuracy; 2])).to_vec();
        let sample = Sample { points };
        let area = sample.area(0, Measure::Accuracy).unwrap();
        assert!((area.mean - 0.6).abs() < 1e-12);
        let roughness = sample.roughness(0, Measure::Accuracy);
        assert_eq!(roughness.len(), 1);
    }
}
