//! `boomerang patch`: sizes of a family as models of their own.

use std::path::PathBuf;

use anyhow::bail;
use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::plan::{LayerPlan, Patch, PatchOrder};
use boomerang_core::prune::Family;

use crate::cli::FamilyArgs;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, OutputFolder};
use crate::progress::print;

/// Write sizes of a family as models of their own
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Where to write the model; with --all, one folder a size below it
    #[arg(long)]
    pub out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

/// Which member.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct ChoiceArgs {
    /// The k-th size of the order: 0 is the student, the last one the teacher
    #[arg(long, alias = "num_layers_to_patch")]
    pub k: Option<usize>,
    /// The size with this many layers
    #[arg(long)]
    pub layers: Option<usize>,
    /// Exactly these student layers give way to their teacher blocks, e.g. 3,7,8
    #[arg(long, value_delimiter = ',')]
    pub patched: Option<Vec<usize>>,
    /// Every size of the order
    #[arg(long)]
    pub all: bool,
}

pub fn run(args: &PatchArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.family.teacher)?;
    let family = open_family(&args.family, &folder, &device::cpu())?;
    let order = args.family.order(family.teacher().model().config());
    let patches = patches(&args.choice, family.plan(), &order).or_exit(Exit::Usage)?;
    let precision = Precision::of_checkpoint(&folder.checkpoint()?);
    for patch in &patches {
        let n_layers = family.plan().recipe(patch).layers.len();
        let out = if args.choice.all {
            args.out.join(format!("layers-{n_layers:02}"))
        } else {
            args.out.clone()
        };
        let inputs = [args.family.teacher.as_path(), args.family.student.as_path()];
        let out = OutputFolder::create(&out, args.force)?.apart_from(&inputs)?;
        write_member(&family, patch, &folder, precision, out)?;
    }
    Ok(())
}

/// Teacher and student, checked to belong together.
///
/// # Errors
/// Names the folder and what does not fit.
pub fn open_family(
    args: &FamilyArgs,
    teacher: &ModelFolder,
    device: &burn::tensor::Device,
) -> anyhow::Result<Family> {
    let student = ModelFolder::open(&args.student)?.student(device)?;
    Family::new(teacher.teacher(device)?, student).map_err(|error| {
        anyhow::Error::new(error).context(format!(
            "{} is no student of {}",
            args.student.display(),
            args.teacher.display()
        ))
    })
}

fn patches(
    choice: &ChoiceArgs,
    plan: &LayerPlan,
    order: &PatchOrder,
) -> anyhow::Result<Vec<Patch>> {
    let path = order.path(plan)?;
    if let Some(layers) = &choice.patched {
        return Ok(vec![Patch::of(layers, plan)?]);
    }
    if let Some(n_layers) = choice.layers {
        let sizes: Vec<usize> = path.iter().map(|patch| plan.recipe(patch).layers.len()).collect();
        let Some(place) = sizes.iter().position(|&size| size == n_layers) else {
            bail!("no size of this order has {n_layers} layers; there are {sizes:?}");
        };
        return Ok(vec![path[place].clone()]);
    }
    match choice.k {
        // As in the reference implementation, more than there is gives the teacher.
        Some(k) => Ok(vec![path[k.min(path.len() - 1)].clone()]),
        None => Ok(path),
    }
}

fn write_member(
    family: &Family,
    patch: &Patch,
    teacher: &ModelFolder,
    precision: Precision,
    out: OutputFolder,
) -> anyhow::Result<()> {
    let member = family.member(patch);
    let bytes = model_to_bytes(&member, precision)?;
    out.write("config.json", member.config().to_json().as_bytes())?;
    out.write("model.safetensors", &bytes)?;
    let recipe = serde_json::to_string_pretty(&family.plan().recipe(patch))?;
    out.write("recipe.json", recipe.as_bytes())?;
    teacher.copy_extras_to(out.path())?;
    let path = out.commit()?;
    let tie = if family.teacher().model().is_tied() && !member.is_tied() {
        "; embedding and head have different owners, so both are stored"
    } else {
        ""
    };
    print(&format!(
        "{}: {} layers, {} parameters, {} bytes, patched {:?}{tie}",
        path.display(),
        member.n_layers(),
        member.n_params(),
        bytes.len(),
        patch.layers()
    ));
    Ok(())
}
