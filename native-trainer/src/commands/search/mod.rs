//! `boomerang search`: a patching order, found by measuring members on texts, and the best member
//! within a budget.

mod budget;

use boomerang_core::plan::{OrderFile, Patch, PatchOrder};
use boomerang_core::prune::Family;
use boomerang_core::search::{self, MeasuredMembers};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use crate::args::numbers::count;
use crate::args::{DeviceArgs, FamilyArgs, OutputArgs, WeightArgs};
use crate::device;
use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::measure::calibration::CalibrationArgs;
use crate::measure::order::{Method, find};
use crate::progress::{Progress, note, print};
pub use budget::BudgetArgs;

/// Search for a good patching order, and for the best size within a budget
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output file (order.json), for --order")))]
pub struct SearchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Search method
    #[arg(long, value_enum, default_value_t = Method::Klpatch)]
    pub method: Method,
    /// Beam width: sets of layers to keep per size
    #[arg(value_parser = count, long, default_value_t = 4, value_name = "N")]
    pub beam: usize,
    /// Metric to minimize
    #[arg(long, value_enum, default_value_t = Metric::Kl)]
    pub metric: Metric,
    #[command(flatten)]
    pub budget: BudgetArgs,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub weights: WeightArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// KL divergence from the teacher
    Kl,
    /// Perplexity on the texts
    Ppl,
    /// Share of the tokens of the texts that greedy decoding would choose otherwise than the teacher
    Answers,
}

/// Searches, and compares the order found with the paper's two orders.
///
/// # Errors
/// When the family or the texts cannot be used, or the student is too large for an exact search.
pub fn run(args: &SearchArgs) -> anyhow::Result<()> {
    if args.calibration.calibration.is_empty() {
        return Err(
            Exit::Usage.error("no texts to compare members on; give some with --calibration")
        );
    }
    let teacher = ModelFolder::open(&args.family.teacher)?;
    let batches = args.calibration.batches(&teacher)?;
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let format = args.weights.on(&device.device)?;
    let family = args.family.open(&teacher, format, &device.device)?;
    // An output that cannot be written is an error before the work, not after it.
    let out = args.output.file()?;
    let metric = match args.metric {
        Metric::Kl => search::Metric::Kl,
        Metric::Ppl => search::Metric::Nats,
        Metric::Answers => search::Metric::Answers,
    };
    let mut known = MeasuredMembers::new(&family, &batches, metric);
    let mut bar = Progress::new("search", family.plan().n_student_layers());
    let mut progress = |done| bar.set(done, || "student layers".to_owned());
    let order = find(args.method, args.beam, &family, &batches, &mut known, &mut progress)?;
    let (searched, one_by_one) = (known.n_layer_calls, known.n_layer_calls_alone);

    let mut sizes = Vec::new();
    print(
        "order       layers  KL from the teacher  loss (nats)      same token as teacher  patched",
    );
    for (name, order) in [
        (args.method.name(), PatchOrder::Found(order.clone())),
        ("last", PatchOrder::Last),
        ("first", PatchOrder::First),
    ] {
        // The method's own order is printed once.
        if name != args.method.name() || sizes.is_empty() {
            let measured = print_sizes(name, &order.path(family.plan())?, &family, &mut known)?;
            sizes.push(json!({"order": name, "sizes": measured}));
        }
    }
    if searched > 0 {
        print(&format!(
            "layer calls of the search: {searched} with shared prefixes, {one_by_one} without ({:.2} \
             times fewer)",
            one_by_one as f64 / searched as f64
        ));
    }
    let best = known.best_by_size();
    print_best(&best, &PatchOrder::Found(order.clone()).path(family.plan())?, &family, &known);
    let best: Vec<Value> = best.iter().map(|patch| size_json(patch, &family, &known)).collect();
    let within = args.budget.choose(&args.family, &teacher, &family, &batches, &known);
    let mut file = serde_json::to_value(OrderFile::new(args.method.name(), order))?;
    file["compared"] = json!(sizes);
    file["nested"] = sizes[0]["sizes"].clone();
    file["best_by_size"] = json!(best);
    if let Ok(Some(within)) = &within {
        file["budget"] = within.clone();
    }
    file["layer_calls"] = json!({"shared": searched, "one_by_one": one_by_one});
    let json = format!("{}\n", serde_json::to_string_pretty(&file)?);
    out.write(json.as_bytes())?;
    print(&format!("written to {}", args.output.out.display()));
    // The order is valid even if no member is small enough.
    within?;
    Ok(())
}

fn print_sizes(
    name: &str,
    path: &[Patch],
    family: &Family,
    known: &mut MeasuredMembers<'_>,
) -> anyhow::Result<Vec<Value>> {
    block_on(known.measure(path))?;
    for patch in path {
        let found = known.divergence(patch);
        print(&format!(
            "{name:<10}  {:>6}  {:>19}  {:<15}  {:>21}  {:?}",
            family.plan().recipe(patch).layers.len(),
            found.kl.to_string(),
            found.nats.to_string(),
            format!("{:.1} %", 100.0 * (1.0 - found.disagreement.mean)),
            patch.layers()
        ));
    }
    Ok(path.iter().map(|patch| size_json(patch, family, known)).collect())
}

/// The sizes along the order next to the best set of layers of each size.
fn print_best(best: &[Patch], nested: &[Patch], family: &Family, known: &MeasuredMembers<'_>) {
    print("layers  KL along the order   KL of the best set   student layers of that set");
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

fn size_json(patch: &Patch, family: &Family, known: &MeasuredMembers<'_>) -> Value {
    let found = known.divergence(patch);
    json!({
        "layers": family.plan().recipe(patch).layers.len(),
        "patched": patch.layers(),
        "kl": found.kl.mean,
        "kl_stderr": found.kl.stderr,
        "nats": found.nats.mean,
        "nats_stderr": found.nats.stderr,
        "agreement": 1.0 - found.disagreement.mean,
        "agreement_stderr": found.disagreement.stderr,
    })
}
