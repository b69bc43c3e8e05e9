//! Every experiment: what it compares, and the claims it tests.

mod seam;

use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::{KeepRule, LayerPlan, PlanError};
use boomerang_core::search::Metric;

use super::design::{Check, Design, Kind, Line, Sizes, Test};
use crate::embedded::{DistillRun, EmbeddedFamily, Start};
use crate::measure::order::Method;

/// An experiment by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Sizes between student and teacher, next to naive pruning and a randomly initialized student
    Phenomenon,
    /// Boomerang next to pruning without training: naive, ShortGPT, LaCo
    Pruning,
    /// Boomerang next to students of every size, each distilled individually on the same budget
    Standard,
    /// Ablation of the loss terms
    Losses,
    /// Students that keep every 2nd, 3rd, 4th or 5th layer
    Every,
    /// Students distilled for more or fewer steps
    Budgets,
    /// Patching in the opposite order
    WrongOrder,
    /// Patching orders: the paper's two, by similarity, and those found by a search
    Orders,
    /// What a search minimizes: KL, perplexity, or tokens chosen otherwise than the teacher
    Objectives,
    /// Corrections in closed form where a layer receives an approximated state
    Seam,
}

const BOOMERANG: &str = "boomerang";
const SEARCHED: &str = "boomerang, searched order";
const NAIVE: &str = "naive pruning";
const RANDOM: &str = "random initialization";
const INDIVIDUAL: &str = "distilled individually";
const SHORTGPT: &str = "ShortGPT";
const LACO: &str = "LaCo";

/// The orders, by their names in `boomerang search`.
const ORDERS: [Method; 6] =
    [Method::Last, Method::First, Method::Similarity, Method::Klpatch, Method::Beam, Method::Exact];

impl Name {
    /// The experiment on the embedded family, whose students are distilled for `steps`.
    ///
    /// # Errors
    /// [`PlanError`] never, unless the embedded teacher changes.
    pub(super) fn design(
        self,
        embedded: &EmbeddedFamily,
        steps: usize,
    ) -> Result<Design, PlanError> {
        let run = DistillRun::new(embedded.plan.clone(), steps, 0);
        match self {
            Self::Phenomenon => Ok(phenomenon(run)),
            Self::Pruning => Ok(pruning(run)),
            Self::Standard => Ok(standard(run)),
            Self::Losses => Ok(losses(run)),
            Self::Every => every(&run),
            Self::Budgets => Ok(budgets(&run)),
            Self::WrongOrder => Ok(wrong_order(&run)),
            Self::Orders => Ok(orders(&run)),
            Self::Objectives => Ok(objectives(&run)),
            Self::Seam => Ok(seam::design(&run)),
        }
    }
}

fn patched(name: impl Into<String>, run: DistillRun) -> Line {
    Line::new(name, Kind::Patched { run, order: Method::Last, metric: Metric::Kl })
}

/// Patched in an order that a beam search finds.
fn searched(name: &str, run: &DistillRun, metric: Metric) -> Line {
    Line::new(name, Kind::Patched { run: run.clone(), order: Method::Beam, metric })
}

fn naive(name: impl Into<String>, plan: LayerPlan) -> Line {
    Line::new(name, Kind::Naive { plan, order: Method::Last })
}

fn better(line: &str, than: &str) -> Test {
    Test::Better(line.to_owned(), than.to_owned(), Sizes::All)
}

fn as_good(line: &str, than: &str) -> Test {
    Test::AsGood(line.to_owned(), than.to_owned(), Sizes::All)
}

fn check(claim: &'static str, test: Test) -> Check {
    Check { claim, test }
}

fn phenomenon(run: DistillRun) -> Design {
    let random = DistillRun { start: Start::Random, ..run.clone() };
    Design {
        title: "Sizes between student and teacher",
        paper: "The paper's main figure: patching teacher layers into a distilled student gives \
                sizes whose quality climbs smoothly from student to teacher, above naive pruning \
                and above a student that was distilled from random weights.",
        lines: vec![
            patched(BOOMERANG, run.clone()),
            naive(NAIVE, run.plan),
            patched(RANDOM, random),
        ],
        checks: vec![
            check("Quality climbs from student to teacher.", Test::Climbs(BOOMERANG.to_owned())),
            check("Sizes in between are better than naive pruning.", better(BOOMERANG, NAIVE)),
            check(
                "Sizes in between are better than those of a randomly initialized student.",
                better(BOOMERANG, RANDOM),
            ),
        ],
    }
}

fn pruning(run: DistillRun) -> Design {
    Design {
        title: "Boomerang next to pruning without training",
        paper: "The paper's comparison with layer pruning: boomerang is better than ShortGPT and \
                LaCo at every size in between, the more so the smaller the models are. These two \
                choose layers by the teacher's states on calibration texts; a boomerang whose order \
                is searched on the same texts is shown next to the one from last to first.",
        lines: vec![
            patched(BOOMERANG, run.clone()),
            searched(SEARCHED, &run, Metric::Kl),
            naive(NAIVE, run.plan),
            Line::new(SHORTGPT, Kind::LeastInfluential),
            Line::new(LACO, Kind::Collapsed),
        ],
        checks: vec![
            check("Sizes in between are better than ShortGPT's.", better(BOOMERANG, SHORTGPT)),
            check("Sizes in between are better than LaCo's.", better(BOOMERANG, LACO)),
            check(
                "With a searched order they are better than ShortGPT's.",
                better(SEARCHED, SHORTGPT),
            ),
            check("With a searched order they are better than LaCo's.", better(SEARCHED, LACO)),
            check(
                "The lead over ShortGPT grows as models get smaller.",
                Test::LeadGrows(BOOMERANG.to_owned(), SHORTGPT.to_owned()),
            ),
            check(
                "The lead over LaCo grows as models get smaller.",
                Test::LeadGrows(BOOMERANG.to_owned(), LACO.to_owned()),
            ),
        ],
    }
}

fn standard(run: DistillRun) -> Design {
    Design {
        title: "One distillation, or one for every size",
        paper: "The paper's comparison with standard distillation: sizes that cost nothing are as \
                good as students of the same size that were each distilled on the same budget, and \
                for Qwen3 better than the large ones among them.",
        lines: vec![
            patched(BOOMERANG, run.clone()),
            searched(SEARCHED, &run, Metric::Kl),
            Line::new(INDIVIDUAL, Kind::Individual { run: run.clone(), order: Method::Last }),
            naive(NAIVE, run.plan),
        ],
        checks: vec![
            check(
                "Sizes in between are as good as students of their size.",
                as_good(BOOMERANG, INDIVIDUAL),
            ),
            check(
                "With a searched order they are as good as students of their size.",
                as_good(SEARCHED, INDIVIDUAL),
            ),
            check(
                "The largest size in between is better than a student of its size.",
                Test::Better(BOOMERANG.to_owned(), INDIVIDUAL.to_owned(), Sizes::Largest),
            ),
        ],
    }
}

fn losses(run: DistillRun) -> Design {
    let full = run.loss;
    let with = |name: &'static str, loss| patched(name, DistillRun { loss, ..run.clone() });
    Design {
        title: "The terms of the loss",
        paper: "The paper's ablation of the loss: a student initialized from the teacher's layers \
                can be patched whatever it was distilled with; without the alignment loss most \
                sizes lose little, with it the curve is smoother.",
        lines: vec![
            with("all three terms", full),
            with("CE", LossWeights { kl: 0.0, alignment: 0.0, ..full }),
            with("CE + KL", LossWeights { alignment: 0.0, ..full }),
            with("CE + alignment", LossWeights { kl: 0.0, ..full }),
            with("alignment only", LossWeights { cross_entropy: 0.0, kl: 0.0, ..full }),
        ],
        checks: vec![
            check("With cross-entropy only, quality still climbs.", Test::Climbs("CE".to_owned())),
            check(
                "Without alignment the sizes in between are as good.",
                as_good("CE + KL", "all three terms"),
            ),
            check(
                "With alignment the curve is smoother.",
                Test::Smoother("all three terms".to_owned(), "CE + KL".to_owned()),
            ),
            check(
                "Alignment only is as good as all three (ADAPT, arXiv:2608.22854).",
                as_good("alignment only", "all three terms"),
            ),
        ],
    }
}

fn every(run: &DistillRun) -> Result<Design, PlanError> {
    let mut lines = Vec::new();
    for (n, name, baseline) in EVERY {
        let rule = KeepRule { every: n, ..KeepRule::default() };
        let plan = LayerPlan::by_rule(rule, run.plan.n_teacher_layers())?;
        lines.push(patched(name, DistillRun { plan: plan.clone(), ..run.clone() }));
        lines.push(naive(baseline, plan).hidden());
    }
    let climbs = EVERY.map(|(_, name, _)| {
        check("Quality climbs from student to teacher.", Test::Climbs(name.to_owned()))
    });
    let better = EVERY.map(|(_, name, baseline)| {
        let test = better(name, baseline);
        check("Sizes in between are better than naive pruning.", test)
    });
    Ok(Design {
        title: "Smaller students",
        paper: "The paper's ablation of the student's size: students that keep every 2nd to every \
                5th layer can be patched, as long as the student itself can do the task.",
        lines,
        checks: climbs.into_iter().zip(better).flat_map(<[Check; 2]>::from).collect(),
    })
}

/// One layer in how many, the student's name, and that of naive pruning to the same sizes.
const EVERY: [(usize, &str, &str); 4] = [
    (2, "every 2nd", "naive, every 2nd"),
    (3, "every 3rd", "naive, every 3rd"),
    (4, "every 4th", "naive, every 4th"),
    (5, "every 5th", "naive, every 5th"),
];

fn budgets(run: &DistillRun) -> Design {
    let name = |steps: usize| format!("{steps} steps");
    let steps = run.steps;
    let mut lines = vec![patched(name(steps), run.clone())];
    for steps in [steps / 3, 3 * steps, 10 * steps, 30 * steps] {
        // A third of a single step is none.
        if steps > 0 {
            lines.push(patched(name(steps), DistillRun { steps, ..run.clone() }));
        }
    }
    let times = |factor: usize| name(factor * steps);
    Design {
        title: "How long the student is distilled",
        paper: "The paper's ablation of the budget: with more tokens the sizes in between get \
                better.",
        lines,
        checks: vec![
            check(
                "Three times the budget makes the sizes in between better.",
                better(&times(3), &times(1)),
            ),
            check(
                "Ten times the budget makes them better than three times.",
                better(&times(10), &times(3)),
            ),
            check("Thirty times makes them better than ten times.", better(&times(30), &times(10))),
            check("With three times the budget, quality still climbs.", Test::Climbs(times(3))),
            check("With ten times, quality still climbs.", Test::Climbs(times(10))),
            check("With thirty times, quality still climbs.", Test::Climbs(times(30))),
        ],
    }
}

fn ordered(order: Method, run: &DistillRun) -> Line {
    Line::new(order.name(), Kind::Patched { run: run.clone(), order, metric: Metric::Kl })
}

fn wrong_order(run: &DistillRun) -> Design {
    Design {
        title: "Patching in the opposite order",
        paper: "The paper patches Qwen3 and Pythia from the last layer to the first, and Llama from \
                the first to the last; in the opposite order the sizes in between are worse.",
        lines: vec![ordered(Method::Last, run), ordered(Method::First, run)],
        checks: vec![
            check(
                "For this teacher, of the Qwen3 architecture, last to first is better.",
                better("last", "first"),
            ),
            check("Last to first, quality climbs.", Test::Climbs("last".to_owned())),
            check("First to last, quality climbs.", Test::Climbs("first".to_owned())),
        ],
    }
}

fn objectives(run: &DistillRun) -> Design {
    let [kl, nats, answers] = ["by KL", "by perplexity", "by answers"];
    Design {
        title: "What a search of the order minimizes",
        paper: "Search for depth pruning depends more on the objective than on the algorithm \
                (arXiv:2604.24938). The same beam search, on the same calibration texts, minimizes \
                KL from the teacher, perplexity, or the share of tokens that greedy decoding would \
                choose otherwise.",
        lines: vec![
            searched(kl, run, Metric::Kl),
            searched(nats, run, Metric::Nats),
            searched(answers, run, Metric::Answers),
            patched("last to first", run.clone()),
        ],
        checks: vec![
            check("By answers is better than by KL.", better(answers, kl)),
            check("By perplexity is as good as by KL.", as_good(nats, kl)),
            check("By answers is better than by perplexity.", better(answers, nats)),
        ],
    }
}

fn orders(run: &DistillRun) -> Design {
    Design {
        title: "Patching orders",
        paper: "KLPatch (arXiv:2607.08170) patches next the layer that brings the model closest to \
                its teacher. Which order is best differs from family to family.",
        lines: ORDERS.map(|order| ordered(order, run)).to_vec(),
        checks: vec![
            check("KLPatch is better than last to first.", better("klpatch", "last")),
            check("KLPatch is better than first to last.", better("klpatch", "first")),
            check("A beam search is as good as an exact one.", as_good("beam", "exact")),
            check(
                "The order by similarity is as good as KLPatch.",
                as_good("similarity", "klpatch"),
            ),
            check("KLPatch is as good as an exact search.", as_good("klpatch", "exact")),
        ],
    }
}
