//! Experiments on how the student is trained.

use boomerang_core::search::Metric;

use super::super::design::{Check, Design, Line, Sizes, Test};
use super::{better, check, patched, searched};
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
                teacher layers with probability p, drawn for every step, so that its layers learn to work \
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
