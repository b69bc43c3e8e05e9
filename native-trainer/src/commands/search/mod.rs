//! `boomerang search`: an order of patching, found by measuring members on texts, and the best member
//! within a budget.

mod budget;

use std::path::PathBuf;

use boomerang_core::plan::{OrderFile, Patch, PatchOrder};
use boomerang_core::prune::Family;
use boomerang_core::search::{self, MeasuredMembers};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use crate::args::FamilyArgs;
use crate::args::numbers::count;
use crate::device;
use crate::exit::Exit;
use crate::files::{ModelFolder, OutputFile};
use crate::measure::calibration::CalibrationArgs;
use crate::measure::order::{Method, find};
use crate::progress::{Progress, print, tell};
pub use budget::BudgetArgs;

/// Find a good order of patching, and the best size within a budget
#[derive(Clone, Debug, clap::Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// How to search
    #[arg(long, value_enum, default_value_t = Method::Klpatch)]
    pub method: Method,
    /// Sets of layers that a beam search keeps of each size
    #[arg(value_parser = count, long, default_value_t = 4, value_name = "N")]
    pub beam: usize,
    /// By what members are compared
    #[arg(long, value_enum, default_value_t = Metric::Kl)]
    pub metric: Metric,
    #[command(flatten)]
    pub budget: BudgetArgs,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    /// File for the order; --order takes it
    #[arg(long)]
    pub out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Divergence from the teacher
    Kl,
    /// The member's own perplexity
    Ppl,
}

/// Searches, and compares what was found with the paper's two orders.
///
/// # Errors
/// When the family or the texts cannot be used, or the student is too large for an exact search.
pub fn run(args: &SearchArgs) -> anyhow::Result<()> {
    if args.calibration.calibration.is_empty() {
        return Err(
            Exit::Usage.error("members are compared on texts; give some with --calibration")
        );
    }
    let teacher = ModelFolder::open(&args.family.teacher)?;
    let batches = args.calibration.batches(&teacher)?;
    let device = device::choose(args.calibration.device.device)?;
    tell(&format!("device: {} ({})", device.description, device.reason));
    let family = args.family.open(&teacher, &device.device)?;
    // An output that cannot be written is found out before the work.
    let out = OutputFile::create(&args.out, args.force)?;
    let metric = match args.metric {
        Metric::Kl => search::Metric::Kl,
        Metric::Ppl => search::Metric::Nats,
    };
    let mut known = MeasuredMembers::new(&family, &batches, metric);
    let mut bar = Progress::new("search", family.plan().n_student_layers());
    let mut progress = |done| bar.set(done, || "student layers".to_owned());
    let order = find(args.method, args.beam, &family, &batches, &mut known, &mut progress)?;
    let (searched, alone) = (known.n_layer_calls, known.n_layer_calls_alone);

    let mut sizes = Vec::new();
    print("order       layers  KL from the teacher  loss (nats)      patched");
    for (name, order) in [
        (args.method.name(), PatchOrder::Found(order.clone())),
        ("last", PatchOrder::Last),
        ("first", PatchOrder::First),
    ] {
        // The method's own order is told once.
        if name != args.method.name() || sizes.is_empty() {
            let told = tell_sizes(name, &order.path(family.plan())?, &family, &mut known)?;
            sizes.push(json!({"order": name, "sizes": told}));
        }
    }
    if searched > 0 {
        print(&format!(
            "layer calls of the search: {searched} with shared prefixes, {alone} one member after \
             another ({:.2} times fewer)",
            alone as f64 / searched as f64
        ));
    }
    let best = known.best_by_size();
    tell_best(&best, &PatchOrder::Found(order.clone()).path(family.plan())?, &family, &known);
    let best: Vec<Value> = best.iter().map(|patch| tell_size(patch, &family, &known)).collect();
    let within = args.budget.choose(&args.family, &teacher, &family, &batches, &known);
    let mut file = serde_json::to_value(OrderFile::new(args.method.name(), order))?;
    file["compared"] = json!(sizes);
    file["nested"] = sizes[0]["sizes"].clone();
    file["best_by_size"] = json!(best);
    if let Ok(Some(within)) = &within {
        file["budget"] = within.clone();
    }
    file["layer_calls"] = json!({"shared": searched, "one_by_one": alone});
    let json = format!("{}\n", serde_json::to_string_pretty(&file)?);
    out.write(json.as_bytes())?;
    print(&format!("written to {}", args.out.display()));
    // The order stands, also when no member is small enough.
    within?;
    Ok(())
}

fn tell_sizes(
    name: &str,
    path: &[Patch],
    family: &Family,
    known: &mut MeasuredMembers<'_>,
) -> anyhow::Result<Vec<Value>> {
    block_on(known.measure(path))?;
    for patch in path {
        let found = known.divergence(patch);
        print(&format!(
            "{name:<10}  {:>6}  {:>19}  {:<15}  {:?}",
            family.plan().recipe(patch).layers.len(),
            found.kl.to_string(),
            found.nats.to_string(),
            patch.layers()
        ));
    }
    Ok(path.iter().map(|patch| tell_size(patch, family, known)).collect())
}

/// The sizes of the order, each within the next, beside the best set of each size by itself.
fn tell_best(best: &[Patch], nested: &[Patch], family: &Family, known: &MeasuredMembers<'_>) {
    print("layers  KL along the order   KL of the best set   its student layers");
    let n_layers = |patch: &Patch| family.plan().recipe(patch).layers.len();
    for patch in best {
        let along = nested.iter().find(|nested| n_layers(nested) == n_layers(patch));
        print(&format!(
            "{:>6}  {:<19}  {:<19}  {:?}",
            n_layers(patch),
            along.map_or_else(String::new, |along| known.divergence(along).kl.to_string()),
            known.divergence(patch).kl.to_string(),
            patch.layers()
        ));
    }
}

fn tell_size(patch: &Patch, family: &Family, known: &MeasuredMembers<'_>) -> Value {
    let found = known.divergence(patch);
    json!({
        "layers": family.plan().recipe(patch).layers.len(),
        "patched": patch.layers(),
        "kl": found.kl.mean,
        "kl_stderr": found.kl.stderr,
        "nats": found.nats.mean,
        "nats_stderr": found.nats.stderr,
    })
}
