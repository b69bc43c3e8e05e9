//! Every experiment: what it compares, and the claims it tests.

use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::{KeepRule, LayerPlan, PlanError};

use super::design::{Check, Design, Kind, Line, Sizes, Test};
use crate::commands::demo::{Lesson, Start, Story};
use crate::commands::search::Method;

/// An experiment by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Sizes between student and teacher, beside naive pruning and a random start
    Phenomenon,
    /// Boomerang beside pruning without training: naive, ShortGPT, LaCo
    Pruning,
    /// Boomerang beside students of every size, each distilled by itself on the same budget
    Standard,
    /// Which terms of the loss are needed
    Losses,
    /// Students that keep every 2nd, 3rd, 4th and 5th layer
    Every,
    /// Students distilled for more and fewer steps
    Budgets,
    /// Patching from the other end
    WrongOrder,
    /// Orders of patching: the paper's two, by similarity, and those that a search finds
    Orders,
}

const BOOMERANG: &str = "boomerang";
const NAIVE: &str = "naive pruning";
const RANDOM: &str = "random start";
const ALONE: &str = "distilled alone";
const SHORTGPT: &str = "ShortGPT";
const LACO: &str = "LaCo";

/// The orders, by their names in `boomerang search`.
const ORDERS: [Method; 6] =
    [Method::Last, Method::First, Method::Similarity, Method::Klpatch, Method::Beam, Method::Exact];

impl Name {
    /// The experiment on the embedded family, whose students are distilled for `steps`.
    ///
    /// # Errors
    /// [`PlanError`] never, unless the embedded teacher were another one.
    pub(super) fn design(self, story: &Story, steps: usize) -> Result<Design, PlanError> {
        let lesson = Lesson::new(story.plan.clone(), steps, 0);
        match self {
            Self::Phenomenon => Ok(phenomenon(lesson)),
            Self::Pruning => Ok(pruning(lesson)),
            Self::Standard => Ok(standard(lesson)),
            Self::Losses => Ok(losses(lesson)),
            Self::Every => every(&lesson),
            Self::Budgets => Ok(budgets(&lesson)),
            Self::WrongOrder => Ok(wrong_order(&lesson)),
            Self::Orders => Ok(orders(&lesson)),
        }
    }
}

fn patched(name: impl Into<String>, lesson: Lesson) -> Line {
    Line::new(name, Kind::Patched { lesson, order: Method::Last })
}

fn naive(name: impl Into<String>, plan: LayerPlan) -> Line {
    Line::new(name, Kind::Naive { plan, order: Method::Last })
}

fn check(claim: &'static str, test: Test) -> Check {
    Check { claim, test }
}

fn phenomenon(lesson: Lesson) -> Design {
    let noise = Lesson { start: Start::Noise, ..lesson.clone() };
    Design {
        title: "Sizes between student and teacher",
        paper: "The paper's main figure: patching teacher layers into a distilled student gives \
                sizes whose quality climbs smoothly from student to teacher, above naive pruning \
                and above a student that was distilled from random weights.",
        lines: vec![
            patched(BOOMERANG, lesson.clone()),
            naive(NAIVE, lesson.plan),
            patched(RANDOM, noise),
        ],
        checks: vec![
            check("Quality climbs from student to teacher.", Test::Climbs(BOOMERANG)),
            check(
                "Sizes in between are better than naive pruning.",
                Test::Better(BOOMERANG, NAIVE, Sizes::All),
            ),
            check(
                "Sizes in between are better than those of a random start.",
                Test::Better(BOOMERANG, RANDOM, Sizes::All),
            ),
        ],
    }
}

fn pruning(lesson: Lesson) -> Design {
    Design {
        title: "Boomerang beside pruning without training",
        paper: "The paper's comparison with layer pruning: boomerang is better than ShortGPT and \
                LaCo at every size in between, the more so the smaller the models are.",
        lines: vec![
            patched(BOOMERANG, lesson.clone()),
            naive(NAIVE, lesson.plan),
            Line::new(SHORTGPT, Kind::LeastInfluential),
            Line::new(LACO, Kind::Collapsed),
        ],
        checks: vec![
            check(
                "Sizes in between are better than ShortGPT's.",
                Test::Better(BOOMERANG, SHORTGPT, Sizes::All),
            ),
            check(
                "Sizes in between are better than LaCo's.",
                Test::Better(BOOMERANG, LACO, Sizes::All),
            ),
            check(
                "The lead over ShortGPT grows as models get smaller.",
                Test::LeadGrows(BOOMERANG, SHORTGPT),
            ),
            check(
                "The lead over LaCo grows as models get smaller.",
                Test::LeadGrows(BOOMERANG, LACO),
            ),
        ],
    }
}

fn standard(lesson: Lesson) -> Design {
    Design {
        title: "One distillation, or one for every size",
        paper: "The paper's comparison with standard distillation: sizes that cost nothing are as \
                good as students of the same size that were each distilled on the same budget, and \
                for Qwen3 better than the large ones among them.",
        lines: vec![
            patched(BOOMERANG, lesson.clone()),
            Line::new(ALONE, Kind::Alone { lesson: lesson.clone(), order: Method::Last }),
            naive(NAIVE, lesson.plan),
        ],
        checks: vec![
            check(
                "Sizes in between are as good as students of their size.",
                Test::AsGood(BOOMERANG, ALONE, Sizes::All),
            ),
            check(
                "The largest size in between is better than a student of its size.",
                Test::Better(BOOMERANG, ALONE, Sizes::Largest),
            ),
        ],
    }
}

fn losses(lesson: Lesson) -> Design {
    let full = lesson.loss;
    let with = |name: &'static str, loss| patched(name, Lesson { loss, ..lesson.clone() });
    Design {
        title: "The terms of the loss",
        paper: "The paper's ablation of the loss: a student that starts from the teacher's layers \
                can be patched whatever it was distilled with; without the alignment of states \
                most sizes lose little, with it the curve is steadier.",
        lines: vec![
            with("all three terms", full),
            with("CE", LossWeights { kl: 0.0, alignment: 0.0, ..full }),
            with("CE + KL", LossWeights { alignment: 0.0, ..full }),
            with("CE + alignment", LossWeights { kl: 0.0, ..full }),
            with("alignment alone", LossWeights { cross_entropy: 0.0, kl: 0.0, ..full }),
        ],
        checks: vec![
            check("With cross-entropy alone, quality still climbs.", Test::Climbs("CE")),
            check(
                "Without alignment the sizes in between are as good.",
                Test::AsGood("CE + KL", "all three terms", Sizes::All),
            ),
            check(
                "With alignment the curve is smoother.",
                Test::Smoother("all three terms", "CE + KL"),
            ),
            check(
                "Alignment alone is as good as all three (ADAPT, arXiv:2608.22854).",
                Test::AsGood("alignment alone", "all three terms", Sizes::All),
            ),
        ],
    }
}

fn every(lesson: &Lesson) -> Result<Design, PlanError> {
    let mut lines = Vec::new();
    for (n, name, baseline) in EVERY {
        let rule = KeepRule { every: n, ..KeepRule::default() };
        let plan = LayerPlan::by_rule(rule, lesson.plan.n_teacher_layers())?;
        lines.push(patched(name, Lesson { plan: plan.clone(), ..lesson.clone() }));
        lines.push(naive(baseline, plan).hidden());
    }
    let climbs = EVERY
        .map(|(_, name, _)| check("Quality climbs from student to teacher.", Test::Climbs(name)));
    let better = EVERY.map(|(_, name, baseline)| {
        let test = Test::Better(name, baseline, Sizes::All);
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

fn budgets(lesson: &Lesson) -> Design {
    let steps = lesson.steps;
    let budget = |name: &'static str, steps: usize| {
        patched(name, Lesson { steps: steps.max(1), ..lesson.clone() })
    };
    Design {
        title: "How long the student is distilled",
        paper: "The paper's ablation of the budget: with more tokens the sizes in between get \
                better.",
        lines: vec![
            budget("budget", steps),
            budget("budget / 3", steps / 3),
            budget("budget × 3", steps * 3),
            budget("budget × 10", steps * 10),
            budget("budget × 30", steps * 30),
        ],
        checks: vec![
            check(
                "Three times the budget makes the sizes in between better.",
                Test::Better("budget × 3", "budget", Sizes::All),
            ),
            check(
                "Ten times the budget makes them better than three times.",
                Test::Better("budget × 10", "budget × 3", Sizes::All),
            ),
            check(
                "Thirty times makes them better than ten times.",
                Test::Better("budget × 30", "budget × 10", Sizes::All),
            ),
            check("With ten times the budget, quality still climbs.", Test::Climbs("budget × 10")),
            check("With thirty times, quality still climbs.", Test::Climbs("budget × 30")),
        ],
    }
}

fn ordered(order: Method, lesson: &Lesson) -> Line {
    Line::new(order.name(), Kind::Patched { lesson: lesson.clone(), order })
}

fn wrong_order(lesson: &Lesson) -> Design {
    Design {
        title: "Patching from the other end",
        paper: "The paper patches Qwen3 and Pythia from the last layer to the first, and Llama from \
                the first to the last; from the other end the sizes in between are worse.",
        lines: vec![ordered(Method::Last, lesson), ordered(Method::First, lesson)],
        checks: vec![
            check(
                "For this teacher, a Qwen3 in shape, last to first is better.",
                Test::Better("last", "first", Sizes::All),
            ),
            check("Last to first, quality climbs.", Test::Climbs("last")),
            check("First to last, quality climbs.", Test::Climbs("first")),
        ],
    }
}

fn orders(lesson: &Lesson) -> Design {
    Design {
        title: "Orders of patching",
        paper: "KLPatch (arXiv:2607.08170) patches next whatever brings the model nearest to its \
                teacher. Which order is best differs from family to family.",
        lines: ORDERS.map(|order| ordered(order, lesson)).to_vec(),
        checks: vec![
            check(
                "KLPatch is better than last to first.",
                Test::Better("klpatch", "last", Sizes::All),
            ),
            check(
                "KLPatch is better than first to last.",
                Test::Better("klpatch", "first", Sizes::All),
            ),
            check(
                "By similarity is as good as KLPatch.",
                Test::AsGood("similarity", "klpatch", Sizes::All),
            ),
            check(
                "KLPatch is as good as an exact search.",
                Test::AsGood("klpatch", "exact", Sizes::All),
            ),
        ],
    }
}
