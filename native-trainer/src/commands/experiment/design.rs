//! An experiment as data: the lines of its chart, and the claims it tests on them.

use boomerang_core::correct::Correction;
use boomerang_core::plan::LayerPlan;
use boomerang_core::search::Metric;

use crate::embedded::DistillRun;
use crate::measure::order::Method;

/// One experiment.
pub(super) struct Design {
    pub(super) title: &'static str,
    /// What it reproduces, and what the paper found.
    pub(super) paper: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) checks: Vec<Check>,
}

/// Models of several sizes, joined by a line in the chart.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Lines for comparison only are in the tables, not in the chart.
    pub(super) is_drawn: bool,
    /// Made to its models at their seams.
    pub(super) correction: Option<Correction>,
}

/// How the models of a line are made.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A distilled student, and teacher layers patched back into it; one for each seed. A search of the
    /// order minimizes `metric`.
    Patched { run: DistillRun, order: Method, metric: Metric },
    /// The sizes of that family, each pruned from the teacher and distilled individually.
    Individual { run: DistillRun, order: Method },
    /// Pruned, not distilled: the teacher's layers in place of the student's.
    Naive { plan: LayerPlan, order: Method },
    /// The teacher without its least influential layers (ShortGPT).
    LeastInfluential,
    /// The teacher with layers merged (LaCo).
    Collapsed,
}

/// A claim about lines, by their names.
pub(super) struct Check {
    pub(super) claim: &'static str,
    pub(super) test: Test,
}

/// What a claim states.
pub(super) enum Test {
    /// The first is better than the second.
    Better(String, String, Sizes),
    /// The first is not worse than the second.
    AsGood(String, String, Sizes),
    /// No size is worse than the one before it.
    Climbs(String),
    /// The first leads the second by more, the smaller the models are.
    LeadGrows(String, String),
    /// The first bends less from size to size than the second.
    Smoother(String, String),
}

/// Which of the sizes that two lines have in common, teacher and student left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// Their mean.
    All,
    Largest,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, is_drawn: true, correction: None }
    }

    pub(super) fn hidden(self) -> Self {
        Self { is_drawn: false, ..self }
    }

    pub(super) fn corrected(self, correction: Correction) -> Self {
        Self { correction: Some(correction), ..self }
    }
}

impl Kind {
    /// Whether there is one of its kind for each seed.
    pub(super) fn depends_on_seed(&self) -> bool {
        matches!(self, Self::Patched { .. } | Self::Individual { .. })
    }
}
