//! Paired bootstrap: confidence interval and p-value of a difference of scores.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A difference of means with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resampled {
    /// Second minus first, on the original questions.
    pub difference: f64,
    /// The 2.5th and the 97.5th percentile over resamples.
    pub low: f64,
    pub high: f64,
    /// Two-sided: twice the share of resamples on the rarer side of 0, at most 1; never 0, which a
    /// finite number of resamples cannot show.
    pub p_value: f64,
}

/// Differences of two members on the same tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// In the given order.
    pub by_task: Vec<Resampled>,
    /// Difference of the mean over tasks, each task with the same weight; `None` without tasks.
    pub mean: Option<Resampled>,
}

/// Resamples questions with replacement, `n_draws` times, the same ones for both members, task by
/// task.
///
/// `differences` holds the second member's score minus the first's, per task and question; a task
/// without questions is excluded from the mean and has a difference of 0. The result is
/// deterministic for a `seed`.
pub fn paired_bootstrap(differences: &[Vec<f64>], n_draws: usize, seed: u64) -> Bootstrap {
    let n_draws = n_draws.max(1);
    let n_tasks = differences.iter().filter(|task| !task.is_empty()).count();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sums = vec![0.0; n_draws];
    let mut observed = 0.0;
    let mut by_task = Vec::with_capacity(differences.len());
    for task in differences {
        if task.is_empty() {
            by_task.push(Resampled { difference: 0.0, low: 0.0, high: 0.0, p_value: 1.0 });
            continue;
        }
        let mut draws: Vec<f64> = (0..n_draws).map(|_| mean_of_draw(task, &mut random)).collect();
        for (sum, draw) in sums.iter_mut().zip(&draws) {
            *sum += draw / n_tasks as f64;
        }
        let difference = task.iter().sum::<f64>() / task.len() as f64;
        observed += difference / n_tasks as f64;
        by_task.push(Resampled::new(difference, &mut draws));
    }
    let mean = (n_tasks > 0).then(|| Resampled::new(observed, &mut sums));
    Bootstrap { by_task, mean }
}

fn mean_of_draw(task: &[f64], random: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..task.len()).map(|_| task[random.random_range(0..task.len())]).sum();
    sum / task.len() as f64
}

impl Resampled {
    /// Sorts `draws`.
    fn new(difference: f64, draws: &mut [f64]) -> Self {
        draws.sort_by(f64::total_cmp);
        let percentile = |part: f64| {
            let position = part * (draws.len() - 1) as f64;
            let (below, above) =
                (draws[position.floor() as usize], draws[position.ceil() as usize]);
            below + (above - below) * position.fract()
        };
        // Sums of the same numbers in another order differ in the last bits.
        let share = |is_there: fn(f64) -> bool| {
            let n = draws.iter().filter(|&&draw| is_there(draw)).count();
            (n + 1) as f64 / (draws.len() + 1) as f64
        };
        let (down, up) = (share(|draw| draw <= 1e-12), share(|draw| draw >= -1e-12));
        Self {
            difference,
            low: percentile(0.025),
            high: percentile(0.975),
            p_value: (2.0 * down.min(up)).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_with_the_same_answers_do_not_differ() {
        let found = paired_bootstrap(&[vec![0.0; 50]], 200, 1).mean.unwrap();
        assert_eq!((found.difference, found.low, found.high, found.p_value), (0.0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn a_member_that_is_always_better_differs() {
        let found = paired_bootstrap(&[vec![1.0; 50]], 999, 1).mean.unwrap();
        assert_eq!((found.low, found.high, found.p_value), (1.0, 1.0, 0.002));
    }

    /// 30 of 100 questions gained and 10 lost. The standard error of the mean is `sqrt(.4 - .2**2)
    /// / 10 = 0.06`, and 1.96 of them reach 0.118.
    #[test]
    fn the_interval_is_as_wide_as_the_normal_one() {
        let task: Vec<f64> = [vec![1.0; 30], vec![-1.0; 10], vec![0.0; 60]].concat();
        let found = paired_bootstrap(&[task], 4000, 7).by_task[0];
        let reach = 1.96 * 0.06;
        assert!((found.difference - 0.2).abs() < 1e-12);
        assert!(
            (found.low - (0.2 - reach)).abs() < 0.012 && (found.high - (0.2 + reach)).abs() < 0.012,
            "{found:?}"
        );
    }

    #[test]
    fn tasks_count_once_however_many_questions_they_have() {
        let found = paired_bootstrap(&[vec![1.0; 10], vec![0.0; 1000], vec![]], 10, 0);
        assert!((found.mean.unwrap().difference - 0.5).abs() < 1e-12);
        assert_eq!(found.by_task[2].p_value, 1.0);
    }

    proptest! {
        #[test]
        fn exchanging_the_members_exchanges_the_signs(
            task in prop::collection::vec(-1.0..1.0_f64, 1..40),
            seed: u64,
        ) {
            let found = paired_bootstrap(std::slice::from_ref(&task), 100, seed).mean.unwrap();
            let turned = task.iter().map(|difference| -difference).collect();
            let turned = paired_bootstrap(&[turned], 100, seed).mean.unwrap();
            prop_assert!((found.low + turned.high).abs() < 1e-12);
            prop_assert_eq!(found.p_value, turned.p_value);
            prop_assert!(0.0 < found.p_value && found.p_value <= 1.0);
            prop_assert!(found.low <= found.high);
        }
    }
}
