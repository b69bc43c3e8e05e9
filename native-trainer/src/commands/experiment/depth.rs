//! `boomerang experiment stochastic-depth`: teachers that were pretrained with layers dropped at random.

use boomerang_core::search::Metric;

use super::ExperimentArgs;
use super::bench::{Bench, Results};
use super::catalogue::{better, check};
use super::design::{Check, Design, Kind, Line, Sizes, Test};
use super::sample::Sample;
use super::searched::LayerCalls;
use crate::embedded::{DistillRun, EmbeddedFamily, PretrainRun, pretrain_each};
use crate::measure::order::Method;

/// Rates at which layers are dropped, with the names of their lines.
const RATES: [(f64, &str); 3] = [(0.0, "rate 0"), (0.02, "rate 0.02"), (0.06, "rate 0.06")];

/// Lines of each rate.
const LINES: usize = 3;

fn last(name: &str) -> String {
    format!("{name}, last to first")
}

fn naive(name: &str) -> String {
    format!("{name}, naive")
}

/// A teacher's family: in a searched order, from last to first, and pruned only.
fn lines(name: &str, run: &DistillRun) -> [Line; LINES] {
    let patched = |order| Kind::Patched { run: run.clone(), order, metric: Metric::Kl };
    let pruned = Kind::Naive { plan: run.plan.clone(), order: Method::Last };
    [
        Line::new(name, patched(Method::Beam)),
        Line::new(last(name), patched(Method::Last)).hidden(),
        Line::new(naive(name), pruned),
    ]
}

/// Pretrains a teacher for each rate above 0 as the embedded one was, whose rate is 0, and measures the
/// families of all.
///
/// # Errors
/// When training diverges, or a result is not finite.
pub(super) fn run(
    args: &ExperimentArgs,
    embedded: &EmbeddedFamily,
) -> anyhow::Result<(Design, Results)> {
    let run = DistillRun::new(embedded.plan.clone(), args.steps, 0);
    let dropping = RATES.into_iter().filter(|(rate, _)| *rate > 0.0);
    let runs: Vec<PretrainRun> =
        dropping.map(|(layer_drop, _)| embedded.made.pretrain_run(layer_drop)).collect();
    let teachers = pretrain_each(embedded, &runs)?;
    let teachers = std::iter::once(embedded.teacher.clone()).chain(teachers);
    let mut results = Results {
        sample: Sample { points: Vec::new() },
        chance: 0.0,
        cost: LayerCalls::default(),
        remarks: vec![
            "one teacher for each rate, all by the recipe of the embedded one, which is that of rate 0: \
             standard errors do not include that of other teachers"
                .to_owned(),
        ],
    };
    for (number, (teacher, (_, name))) in teachers.zip(RATES).enumerate() {
        let design =
            Design { lines: lines(name, &run).to_vec(), checks: Vec::new(), ..design(&run) };
        let family = EmbeddedFamily::with_teacher(teacher)?;
        let found = Bench::new(&family, args.seeds, args.questions)?.run(&design)?;
        results.chance = found.chance;
        results.cost.n_layer_calls += found.cost.n_layer_calls;
        results.cost.n_layer_calls_alone += found.cost.n_layer_calls_alone;
        results.remarks.extend(found.remarks);
        results.sample.points.extend(found.sample.points.into_iter().map(|mut point| {
            point.line += LINES * number;
            point
        }));
    }
    Ok((design(&run), results))
}

fn design(run: &DistillRun) -> Design {
    let [(_, none), (_, low), (_, high)] = RATES;
    let teacher =
        |line: &str, than: &str| Test::AsGood(line.to_owned(), than.to_owned(), Sizes::Teacher);
    let climbs = |line: String| check("Quality climbs from last to first.", Test::Climbs(line));
    let smoother = |line: &str| Test::Smoother(last(line), last(none));
    let checks: Vec<Check> = vec![
        check("With a rate of 0.02 the teacher is as good.", teacher(low, none)),
        check("With a rate of 0.06 the teacher is as good.", teacher(high, none)),
        check("With a rate of 0.02 the sizes in between are better.", better(low, none)),
        check("With a rate of 0.06 they are better.", better(high, none)),
        check(
            "From last to first they are better, too, with 0.02.",
            better(&last(low), &last(none)),
        ),
        check("From last to first they are better with 0.06.", better(&last(high), &last(none))),
        climbs(last(none)),
        climbs(last(low)),
        climbs(last(high)),
        check("With 0.02 the curve from last to first is smoother.", smoother(low)),
        check("With 0.06 the curve from last to first is smoother.", smoother(high)),
        check("With 0.02 they are still better than naive pruning.", better(low, &naive(low))),
        check("With 0.06 they are still better than naive pruning.", better(high, &naive(high))),
    ];
    Design {
        title: "Stochastic depth in the teacher",
        paper: "Not in the paper. A teacher that was pretrained with layers dropped at random (LayerDrop, \
                arXiv:1909.11556) depends less on any single layer, so that patching and pruning should \
                cost less. At high rates pruning alone is nearly as good as distillation; these are small.",
        lines: RATES.into_iter().flat_map(|(_, name)| lines(name, run)).collect(),
        checks,
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::plan::LayerPlan;

    use super::super::design::tests::assert_consistent;
    use super::*;

    #[test]
    fn claims_are_about_lines_of_their_design() {
        assert_consistent(&design(&DistillRun::new(LayerPlan::keep(&[0, 2], 4).unwrap(), 1, 0)));
    }
}
