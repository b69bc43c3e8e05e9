//! A family measured: every size, with its baselines, in one walk of the prefix tree.

use std::path::Path;

use boomerang_core::bundle::{BundleContents, bundle_files};
use boomerang_core::chart::{Measure, SizeAxis};
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::{CurvePoint, Series, SizeCurve};
use boomerang_core::evaluate::{Examination, PrefixTree, Stack};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{PatchOrder, Recipe};
use boomerang_core::prune::{Family, Student, Teacher};
use futures_lite::future::block_on;
use serde_json::json;

use crate::files::OutputFolder;
use crate::progress::{Progress, print};

/// Width and height of a written picture, in pixels.
const PICTURE: (f64, f64) = (960.0, 560.0);

/// A student whose sizes are measured.
pub struct Candidate {
    pub series: Series,
    /// Of its distillation.
    pub seed: u64,
    pub student: Student,
}

/// What was measured, and what it cost.
pub struct Measured {
    pub curve: SizeCurve,
    /// Layers run for each batch of requests.
    pub n_layer_calls: usize,
    /// Layers that one model after another would have run.
    pub n_layer_calls_alone: usize,
}

/// One size of one candidate.
struct Member {
    series: Series,
    seed: u64,
    n_patched: usize,
    model: LanguageModel,
    stack: Stack,
}

/// Measures every size of every candidate along `order`, and naive pruning at the same sizes.
///
/// # Errors
/// When a candidate is no student of this teacher, or the device is lost.
pub fn measure(
    teacher: &Teacher,
    candidates: &[Candidate],
    order: &PatchOrder,
    examination: &Examination,
    precision: Precision,
    tokens_per_batch: usize,
) -> anyhow::Result<Measured> {
    const TEACHER: usize = 0;
    let mut models = vec![teacher.model()];
    let mut members = Vec::new();
    for candidate in candidates {
        let family = Family::new(teacher.clone(), candidate.student.clone())?;
        let student = models.len();
        models.push(candidate.student.model());
        let mut add = |series, seed, n_patched, recipe: &Recipe| {
            members.push(Member {
                series,
                seed,
                n_patched,
                model: family.cook(recipe),
                stack: Stack::new(recipe, TEACHER, student),
            });
        };
        let plan = family.plan();
        for patch in order.path(plan)? {
            let recipe = plan.recipe(&patch);
            let n_patched = patch.layers().len();
            add(candidate.series, candidate.seed, n_patched, &recipe);
            // The same for every student of the same plan, so once is enough.
            if student == 1 {
                add(Series::Naive, 0, n_patched, &plan.naive(&recipe));
            }
        }
    }
    let stacks: Vec<Stack> = members.iter().map(|member| member.stack.clone()).collect();
    let tree = PrefixTree::new(&stacks);
    let mut progress = Progress::new("evaluate every size", examination.n_requests());
    let scores = block_on(examination.score(&models, &tree, tokens_per_batch, &mut |done| {
        progress.set(done, || format!("{} models", stacks.len()));
    }))?;
    progress.finish();
    let points = members.into_iter().zip(scores).map(|(member, score)| CurvePoint {
        series: member.series,
        order: order_name(order),
        seed: member.seed,
        n_patched: member.n_patched,
        n_layers: member.model.n_layers(),
        n_params: member.model.n_params(),
        size_bytes: member.model.n_params() * precision.n_bytes(),
        score,
    });
    Ok(Measured {
        curve: SizeCurve::new(points.collect()),
        n_layer_calls: tree.n_layer_calls(),
        n_layer_calls_alone: tree.n_layer_calls_alone(),
    })
}

/// How the order is called in `curve.csv`.
fn order_name(order: &PatchOrder) -> String {
    match order {
        PatchOrder::First => "first".to_owned(),
        PatchOrder::Last => "last".to_owned(),
        PatchOrder::Found(layers) => {
            let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
            layers.join("-")
        }
    }
}

/// Writes `curve.csv`, `curve.json`, and the curves as pictures.
///
/// # Errors
/// When the disk refuses.
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
        // A measure that was not taken has no picture.
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
            let nats = stop
                .nats
                .map_or_else(String::new, |nats| format!("{:.3} ± {:.3}", nats.mean, nats.stderr));
            let accuracy = stop.accuracy.map_or_else(String::new, |accuracy| {
                format!("{:.3} ± {:.3}", accuracy.mean, accuracy.stderr)
            });
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
    let (calls, alone) = (measured.n_layer_calls, measured.n_layer_calls_alone);
    print(&format!(
        "layer calls: {calls} with shared prefixes, {alone} one model after another ({:.2} times \
         fewer)",
        alone as f64 / calls.max(1) as f64
    ));
}

/// Writes a bundle into the folder `name` of `out`.
///
/// # Errors
/// When the disk refuses.
pub fn write_bundle(
    out: &OutputFolder,
    name: &Path,
    family: &Family,
    contents: BundleContents<'_>,
) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    for (path, bytes) in bundle_files(family, contents)? {
        n_bytes += bytes.len() as u64;
        let path = name.join(path);
        out.write(&path.to_string_lossy(), &bytes)?;
    }
    Ok(n_bytes)
}
