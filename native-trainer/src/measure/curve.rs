//! A family evaluated: every size, with its baselines, in one walk of the prefix tree.

use boomerang_core::chart::{Measure, SizeAxis};
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::{CurvePoint, Series, SizeCurve};
use boomerang_core::estimate::Estimate;
use boomerang_core::evaluate::{Batching, Examination, PrefixTree, Score, Stack};
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::{Family, Student, Teacher};
use serde_json::json;

use crate::files::OutputFolder;
use crate::measure::answers::{EvalOptions, Sheet, Weights, answer_all};
use crate::measure::bytes::ByteCount;
use crate::measure::members::{self, Member, Sizes};
use crate::progress::print;

/// Width and height of a chart, in pixels.
const PICTURE: (f64, f64) = (960.0, 560.0);

/// A loaded student whose sizes are measured.
pub struct CandidateStudent {
    pub series: Series,
    /// Of its distillation.
    pub seed: u64,
    pub student: Student,
}

/// The measured curve, and its cost.
pub struct Measured {
    pub curve: SizeCurve,
    /// Layers run for each batch of requests.
    pub n_layer_calls: usize,
    /// Layers that one model after another would have run.
    pub n_layer_calls_alone: usize,
}

/// Measures every size of every candidate along the first of the orders, naive pruning at the same
/// sizes, and the boomerang candidates along the other orders.
///
/// # Errors
/// When a candidate is not a student of this teacher, or the device is lost.
pub fn measure(
    teacher: &Teacher,
    candidates: &[CandidateStudent],
    orders: &[PatchOrder],
    examination: &Examination,
    precision: Precision,
    tokens_per_batch: usize,
) -> anyhow::Result<Measured> {
    let mut models = vec![teacher.model()];
    for candidate in candidates {
        Family::new(teacher.clone(), candidate.student.clone())?;
        models.push(candidate.student.model());
    }
    let all = candidates.iter().map(|candidate| members::Candidate {
        series: candidate.series,
        seed: candidate.seed,
        config: candidate.student.model().config(),
        plan: candidate.student.plan(),
        // Both ends of the embedded family are trained.
        shares_tied_matrix: false,
    });
    let all: Vec<members::Candidate<'_>> = all.collect();
    let mut members = members::members(teacher.model().config(), &all, orders, &Sizes::All, true)?;
    let main = orders.first().map(PatchOrder::name);
    members.retain(|member| {
        member.series == Series::Boomerang || Some(&member.order) == main.as_ref()
    });
    let mut sheet = Sheet::default();
    sheet.ask_all(examination.requests());
    let options =
        EvalOptions { batching: Batching::of(tokens_per_batch), shares_layers: true, share: None };
    let answered = answer_all(&members, &sheet, &Weights::Resident(models), options, None, None)?;
    let scores = answered.likelihoods.iter().map(|answers| examination.judge(answers));
    Ok(Measured::new(&members, scores, &ByteCount::Stored(precision)))
}

impl Measured {
    /// From the score of each member.
    pub fn new(members: &[Member], scores: impl Iterator<Item = Score>, bytes: &ByteCount) -> Self {
        let points = members.iter().zip(scores).map(|(member, score)| CurvePoint {
            series: member.series,
            order: member.order.clone(),
            seed: member.seed,
            n_patched: member.patched.len(),
            n_layers: member.n_layers(),
            n_params: member.n_params(),
            size_bytes: bytes.of(member),
            score,
        });
        let stacks: Vec<Stack> = members.iter().map(|member| member.stack.clone()).collect();
        let tree = PrefixTree::new(&stacks);
        Self {
            curve: SizeCurve::new(points.collect()),
            n_layer_calls: tree.n_layer_calls(),
            n_layer_calls_alone: tree.n_layer_calls_alone(),
        }
    }
}

/// Writes `curve.csv`, `curve.json`, and charts of the curves.
///
/// # Errors
/// When a file cannot be written.
pub fn write_curve(out: &OutputFolder, measured: &Measured) -> anyhow::Result<()> {
    let curve = &measured.curve;
    out.write("curve.csv", curve.to_csv().as_bytes())?;
    let json = json!({
        "curve": curve,
        "layer_calls": measured.n_layer_calls,
        "layer_calls_one_by_one": measured.n_layer_calls_alone,
    });
    out.write("curve.json", format!("{json:#}\n").as_bytes())?;
    for (name, measure) in [("accuracy.svg", Measure::Accuracy), ("loss.svg", Measure::Nats)] {
        // A measure that was not taken has no chart.
        if let Some(chart) = curve.chart(SizeAxis::Parameters, measure) {
            out.write(name, chart.to_svg(PICTURE.0, PICTURE.1).as_bytes())?;
        }
    }
    Ok(())
}

/// Prints the table of sizes, and what the shared prefixes saved.
pub fn print_table(measured: &Measured) {
    print("");
    print("series     layers  patched  parameters      loss (nats)      accuracy");
    for series in Series::ALL {
        for stop in measured.curve.stops(series) {
            let shown = |estimate: Option<Estimate>| {
                estimate.map_or_else(String::new, |estimate| estimate.to_text(3))
            };
            let (nats, accuracy) = (shown(stop.nats), shown(stop.accuracy));
            print(&format!(
                "{:<10} {:>6}  {:>7}  {:>10}  {:>15}  {:>13}",
                series.name(),
                stop.n_layers,
                stop.n_patched,
                stop.n_params,
                nats,
                accuracy
            ));
        }
    }
    let (calls, one_by_one) = (measured.n_layer_calls, measured.n_layer_calls_alone);
    print(&format!(
        "layer calls: {calls} with shared prefixes, {one_by_one} without ({:.2} times fewer)",
        one_by_one as f64 / calls.max(1) as f64
    ));
}
