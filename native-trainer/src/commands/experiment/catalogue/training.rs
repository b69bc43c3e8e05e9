//! Experiments on how the student is trained.

use boomerang_core::search::Metric;

use super::{better, check, patched, searched};
use crate::commands::experiment::design::{Check, Design, Line, Sizes, Test};
use crate::embedded::DistillRun;

/// The name of a line whose order is from last to first; that of its searched order is `name`.
fn last(name: &str) -> String {
    format!("{name}, last to first")
}

/// A run in a searched order, in the chart, and from last to first, in the tables only.
fn both_orders(name: &str, run: &DistillRun) -> [Line; 2] {
    [searched(name, run, Metric::Kl), patched(last(name), run.clone()).hidden()]
}

/// The claim that a line is better than another, in both orders.
fn better_in_both(
    in_searched: &'static str,
    in_last: &'static str,
    names: [&str; 2],
) -> [Check; 2] {
    let [one, other] = names;
    [check(in_searched, better(one, other)), check(in_last, better(&last(one), &last(other)))]
}

/// The claim that a student, without any patch, is not worse than another.
fn student_as_good(line: &str, than: &str) -> Test {
    Test::AsGood(line.to_owned(), than.to_owned(), Sizes::Student)
}

/// Probabilities of stochastic patching, with the names of their lines.
const PROBABILITIES: [(f64, &str); 4] =
    [(0.0, "p = 0"), (0.1, "p = 0.1"), (0.25, "p = 0.25"), (0.5, "p = 0.5")];

pub(super) fn stochastic_patching(run: &DistillRun) -> Design {
    let lines = PROBABILITIES.into_iter().flat_map(|(patch_probability, name)| {
        both_orders(name, &DistillRun { patch_probability, ..run.clone() })
    });
    let [(_, none), (_, low), (_, middle), (_, high)] = PROBABILITIES;
    let checks = [
        better_in_both(
            "With p = 0.1 the sizes in between are better.",
            "So they are from last to first.",
            [low, none],
        ),
        better_in_both(
            "With p = 0.25 the sizes in between are better.",
            "So they are from last to first.",
            [middle, none],
        ),
        better_in_both(
            "With p = 0.5 the sizes in between are better.",
            "So they are from last to first.",
            [high, none],
        ),
    ];
    let smoother = Test::Smoother(last(middle), last(none));
    Design {
        title: "Stochastic patching",
        paper: "Not in the paper. While the student is distilled, every block of it is replaced by its \
                teacher layers with probability p, sampled for every step, so that its layers learn to work \
                beside teacher layers. Gradients flow through the teacher layers, which are not trained.",
        lines: lines.collect(),
        checks: checks
            .into_iter()
            .flatten()
            .chain([
                check("With p = 0.25 the curve from last to first is smoother.", smoother),
                check("With p = 0.25 quality still climbs.", Test::Climbs(middle.to_owned())),
                check(
                    "With p = 0.25 the student itself is as good.",
                    student_as_good(middle, none),
                ),
            ])
            .collect(),
    }
}

pub(super) fn warm_start(run: &DistillRun) -> Design {
    let (n, half) = (run.steps, run.steps / 2);
    let ordinary = |steps: usize| format!("{steps} ordinary");
    let after =
        |block_wise: usize, steps: usize| format!("{block_wise} block-wise, {steps} ordinary");
    let alone = format!("{n} block-wise");
    let names = [ordinary(n), after(half, n - half), after(n, n), ordinary(2 * n), alone];
    let steps = [(0, n), (half, n - half), (n, n), (0, 2 * n), (n, 0)];
    let lines = names.iter().zip(steps).flat_map(|(name, (block_wise, steps))| {
        both_orders(name, &DistillRun { block_wise, steps, ..run.clone() })
    });
    let [once, halves, extra, twice, alone] = &names;
    let claims = [
        better_in_both(
            "With half of the steps block-wise the sizes in between are better.",
            "So they are from last to first.",
            [halves, once],
        ),
        better_in_both(
            "Block-wise steps before all ordinary ones make them better.",
            "So they do from last to first.",
            [extra, once],
        ),
        better_in_both(
            "They are better than with as many more ordinary steps.",
            "So they are from last to first.",
            [extra, twice],
        ),
        better_in_both(
            "Block-wise steps alone are better than as many ordinary ones.",
            "So they are from last to first.",
            [alone, once],
        ),
    ];
    Design {
        title: "A block-wise warm start",
        paper: "Not in the paper. Before the student is distilled, each of its layers is trained \
                individually to map the teacher's state before its block to the teacher's state after it, \
                as in block-wise local distillation (Puzzle, arXiv:2411.19146): no error accumulates over \
                layers. It is compared for the same number of tokens, and in addition to them.",
        lines: lines.collect(),
        checks: claims
            .into_iter()
            .flatten()
            .chain([
                check(
                    "With half of the steps block-wise the student itself is as good.",
                    student_as_good(halves, once),
                ),
                check(
                    "With block-wise steps in addition quality still climbs.",
                    Test::Climbs(extra.clone()),
                ),
            ])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::plan::LayerPlan;

    use super::*;
    use crate::commands::experiment::design::tests::assert_consistent;

    #[test]
    fn claims_are_about_lines_of_their_design() {
        let plan = LayerPlan::keep(&[0, 2], 4).unwrap();
        for steps in [1, 2, 10] {
            let run = DistillRun::new(plan.clone(), steps, 0);
            assert_consistent(&stochastic_patching(&run));
            assert_consistent(&warm_start(&run));
        }
    }
}
