//! Corrections in closed form, of members at their seams and of pruned teachers at their gaps.

use boomerang_core::correct::Correction;
use boomerang_core::search::Metric;

use super::{
    BOOMERANG, Check, Design, DistillRun, Kind, LACO, Line, NAIVE, SEARCHED, SHORTGPT, as_good,
    better, check, naive, patched, searched,
};

const FOLDED: &str = "boomerang + folded";
const AFFINE: &str = "boomerang + affine map";
const SEARCHED_FOLDED: &str = "searched order + folded";
const SEARCHED_AFFINE: &str = "searched order + affine map";
const NAIVE_FOLDED: &str = "naive + folded";
const NAIVE_GHOSTED: &str = "naive + Ghosted Layers";
const SHORTGPT_FOLDED: &str = "ShortGPT + folded";
const SHORTGPT_AFFINE: &str = "ShortGPT + affine map";
const SHORTGPT_GHOSTED: &str = "ShortGPT + Ghosted Layers";

pub(super) fn design(run: &DistillRun) -> Design {
    let last = |name: &str| patched(name, run.clone());
    let in_searched_order = |name: &str| searched(name, run, Metric::Kl);
    let pruned = |name: &str| naive(name, run.plan.clone());
    let shortgpt = |name: &str| Line::new(name, Kind::LeastInfluential);
    Design {
        title: "Corrections at the seams",
        paper: "Where a teacher layer follows a student layer, it receives a state that the student \
                only approximates; where layers were pruned, one without what they add. Least \
                squares on calibration texts fit a correction to the teacher's state. Folded: a \
                change of the down projection before the seam, so that architecture and size stay \
                the same. Affine map: another matrix and a vector at each seam, which cannot be \
                folded. Ghosted Layers (arXiv:2605.15491): a matrix for each gap of a pruned \
                teacher, fitted on the teacher's own states.",
        lines: vec![
            last(BOOMERANG),
            last(FOLDED).corrected(Correction::Folded),
            last(AFFINE).corrected(Correction::Affine).hidden(),
            in_searched_order(SEARCHED),
            in_searched_order(SEARCHED_FOLDED).corrected(Correction::Folded),
            in_searched_order(SEARCHED_AFFINE).corrected(Correction::Affine).hidden(),
            pruned(NAIVE).hidden(),
            pruned(NAIVE_FOLDED).corrected(Correction::Folded).hidden(),
            pruned(NAIVE_GHOSTED).corrected(Correction::Ghosted).hidden(),
            shortgpt(SHORTGPT),
            shortgpt(SHORTGPT_FOLDED).corrected(Correction::Folded).hidden(),
            shortgpt(SHORTGPT_AFFINE).corrected(Correction::Affine).hidden(),
            shortgpt(SHORTGPT_GHOSTED).corrected(Correction::Ghosted),
            Line::new(LACO, Kind::Collapsed).hidden(),
        ],
        checks: checks(),
    }
}

fn checks() -> Vec<Check> {
    vec![
        check("Last to first, folded corrections make sizes better.", better(FOLDED, BOOMERANG)),
        check("Last to first, affine maps make sizes better.", better(AFFINE, BOOMERANG)),
        check("Affine maps are better than what can be folded.", better(AFFINE, FOLDED)),
        check(
            "Last to first with folded corrections is as good as a searched order.",
            as_good(FOLDED, SEARCHED),
        ),
        check(
            "In a searched order, folded corrections make sizes better.",
            better(SEARCHED_FOLDED, SEARCHED),
        ),
        check(
            "In a searched order, affine maps make sizes better.",
            better(SEARCHED_AFFINE, SEARCHED),
        ),
        check("Folded corrections make naive pruning better.", better(NAIVE_FOLDED, NAIVE)),
        check("Ghosted Layers make naive pruning better.", better(NAIVE_GHOSTED, NAIVE)),
        check("Folded corrections make ShortGPT better.", better(SHORTGPT_FOLDED, SHORTGPT)),
        check("Ghosted Layers make ShortGPT better.", better(SHORTGPT_GHOSTED, SHORTGPT)),
        check(
            "For ShortGPT, affine maps fitted on the pruned model's states are better than Ghosted \
             Layers.",
            better(SHORTGPT_AFFINE, SHORTGPT_GHOSTED),
        ),
        check(
            "A searched order is better than ShortGPT with Ghosted Layers.",
            better(SEARCHED, SHORTGPT_GHOSTED),
        ),
        check(
            "A searched order is better than ShortGPT with folded corrections.",
            better(SEARCHED, SHORTGPT_FOLDED),
        ),
        check(
            "With folded corrections in both, a searched order is better than ShortGPT.",
            better(SEARCHED_FOLDED, SHORTGPT_FOLDED),
        ),
        check(
            "A searched order with folded corrections is better than LaCo.",
            better(SEARCHED_FOLDED, LACO),
        ),
    ]
}
