//! `boomerang patch`: sizes of a family as models of their own.
//!
//! Tensors go from file to file as they are; no model is in memory, unless members are compared on
//! texts.

mod calibration;
mod card;
mod choice;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use boomerang_core::checkpoint::{Checkpoint, Precision};
use boomerang_core::config::ModelConfig;
use boomerang_core::plan::{HeadPolicy, LayerPlan, Patch, Recipe};
use boomerang_core::prune::Family;

use crate::cli::FamilyArgs;
use crate::exit::{Exit, OrExit as _};
use crate::files::{
    ModelFolder, OutputFolder, Overwrite, RECIPE, RecipeFile, Sources, WeightsFormat, member,
    write_atomic, write_weights,
};
use crate::progress::print;
use calibration::CalibrationArgs;
use card::Card;
use choice::{ChoiceArgs, Size, parse_bytes};

/// Write sizes of a family as models of their own
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Embedding and head of a family that ties them: untied stores both where their owners differ,
    /// teacher and student store that one's alone, auto takes the smallest of the three that is
    /// about as near to the teacher as the best (with --calibration)
    #[arg(long, value_enum, default_value_t = Head::Untied)]
    pub head: Head,
    /// How much larger the divergence from the teacher may be than the least, for --head auto
    #[arg(long, default_value_t = 0.02, value_name = "SHARE")]
    pub head_tol: f64,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    /// The number format; keep copies every tensor byte for byte
    #[arg(long, value_enum, default_value_t = Dtype::Keep)]
    pub dtype: Dtype,
    /// Split the weights into files of at most this size, e.g. 5GB
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES", alias = "out-shard-size")]
    pub shard_size: Option<u64>,
    /// Write a recipe of two kilobytes in place of weights; it is accepted wherever a model is
    #[arg(long, value_enum, default_value_t = Format::Hf)]
    pub format: Format,
    /// Where to write the model (a file for a recipe); with --all, one of them a size below it
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Head {
    Untied,
    Teacher,
    Student,
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    Keep,
    F32,
    F16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A folder as transformers writes it
    Hf,
    Recipe,
}

impl Head {
    /// The policies that are compared, or the one that was asked for.
    fn policies(self) -> &'static [HeadPolicy] {
        match self {
            Self::Untied => &[HeadPolicy::Untied],
            Self::Teacher => &[HeadPolicy::Teacher],
            Self::Student => &[HeadPolicy::Student],
            Self::Auto => &[HeadPolicy::Untied, HeadPolicy::Teacher, HeadPolicy::Student],
        }
    }
}

impl Dtype {
    fn precision(self) -> Option<Precision> {
        match self {
            Self::Keep => None,
            Self::F32 => Some(Precision::F32),
            Self::F16 => Some(Precision::F16),
            Self::Bf16 => Some(Precision::Bf16),
        }
    }
}

/// Teacher and student with the ways of writing their members.
struct Patching<'a> {
    args: &'a PatchArgs,
    teacher: ModelFolder,
    student: ModelFolder,
}

/// Writes the chosen members.
///
/// # Errors
/// Names the folder and what does not fit, or the size that there is not.
pub fn run(args: &PatchArgs) -> anyhow::Result<()> {
    let teacher = ModelFolder::open(&args.family.teacher)?;
    let student = ModelFolder::open(&args.family.student)?;
    for folder in [&teacher, &student] {
        folder.check()?;
    }
    let plan = student.required_plan()?;
    if plan.n_teacher_layers() != teacher.config().n_layers() {
        return Err(Exit::Unusable.error(format!(
            "{} is no student of {}: its plan is for a teacher of {} layers, this one has {}",
            args.family.student.display(),
            args.family.teacher.display(),
            plan.n_teacher_layers(),
            teacher.config().n_layers()
        )));
    }
    let order = args.family.order(teacher.config());
    let patching = Patching { args, teacher, student };
    let patches = args.choice.patches(&plan, &order).or_exit(Exit::Usage)?;
    let is_tied = patching.teacher.config().tied && patching.student.config().tied;
    let policies = match args.head {
        // With two matrices there is nothing to choose.
        Head::Auto if !is_tied => Head::Untied.policies(),
        head => head.policies(),
    };
    if args.head == Head::Auto && args.calibration.calibration.is_empty() {
        return Err(Exit::Usage.error(
            "--head auto compares members with their teacher on texts; give some with --calibration",
        ));
    }
    let mut sizes = Vec::new();
    for patch in patches {
        for &head in policies {
            sizes.push(patching.size(patch.clone(), head, &plan)?);
        }
    }
    if !args.calibration.calibration.is_empty() {
        let Patching { teacher, student, .. } = &patching;
        calibration::measure(&args.calibration, teacher, student, &plan, &mut sizes)?;
    }
    if args.head == Head::Auto {
        sizes = calibration::choose_heads(sizes, args.head_tol);
    }
    let (chosen, sentence) = args.choice.choose(sizes).or_exit(Exit::Usage)?;
    for size in &chosen {
        patching.write(&plan.recipe(&size.patch), size)?;
    }
    if let Some(sentence) = sentence {
        print(&sentence);
    }
    Ok(())
}

impl Patching<'_> {
    fn member(
        &self,
        recipe: &Recipe,
        head: HeadPolicy,
    ) -> anyhow::Result<(Checkpoint<'_>, ModelConfig)> {
        member(recipe, head, &self.teacher, &self.student)
    }

    /// What the member would be, before it is written.
    fn size(&self, patch: Patch, head: HeadPolicy, plan: &LayerPlan) -> anyhow::Result<Size> {
        let (checkpoint, config) = self.member(&plan.recipe(&patch), head)?;
        Ok(Size {
            patch,
            head,
            n_layers: config.n_layers(),
            n_params: config.n_params() as u64,
            n_bytes: self.format(None).n_bytes(&checkpoint),
            kl: None,
        })
    }

    fn format(&self, recipe: Option<String>) -> WeightsFormat {
        let metadata = recipe.map(|recipe| {
            BTreeMap::from([
                ("boomerang.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("boomerang.recipe".to_owned(), recipe),
            ])
        });
        WeightsFormat {
            precision: self.args.dtype.precision(),
            shard_bytes: self.args.shard_size,
            metadata: metadata.unwrap_or_default(),
        }
    }

    fn write(&self, recipe: &Recipe, size: &Size) -> anyhow::Result<()> {
        let Self { args, teacher, student } = self;
        let (member, config) = self.member(recipe, size.head)?;
        let mut file = RecipeFile::new(recipe, size.head, teacher, student)?;
        let name = format!("layers-{:02}", size.n_layers);
        let target = match (&args.out, args.choice.all, args.format) {
            _ if args.dry_run => None,
            (None, ..) => None,
            (Some(out), true, Format::Hf) => Some(out.join(name)),
            (Some(out), true, Format::Recipe) => Some(out.join(format!("{name}.recipe.json"))),
            (Some(out), false, _) => Some(out.clone()),
        };
        if let Some(target) = &target {
            match args.format {
                Format::Recipe => {
                    write_atomic(target, &file.to_json()?, Overwrite::when(args.force))?;
                }
                Format::Hf => {
                    let inputs = [args.family.teacher.as_path(), args.family.student.as_path()];
                    let out = OutputFolder::create(target, args.force)?.apart_from(&inputs)?;
                    let format = self.format(Some(serde_json::to_string(recipe)?));
                    file.files = write_weights(out.path(), &member, self, &format)?;
                    let mut config = config.clone();
                    if let Some(precision) = args.dtype.precision() {
                        config.set_dtype(precision.name());
                    }
                    out.write("config.json", config.to_json().as_bytes())?;
                    out.write(RECIPE, &file.to_json()?)?;
                    out.write("README.md", self.card(recipe, &config, size).as_bytes())?;
                    teacher.copy_extras_to(out.path())?;
                    out.commit()?;
                }
            }
        }
        let tie = if teacher.config().tied && !config.tied {
            "; embedding and head have different owners, so both are stored"
        } else {
            ""
        };
        let target = target.map_or_else(String::new, |target| format!("{}: ", target.display()));
        print(&format!(
            "{target}{} layers, {} parameters, {} bytes, patched {:?}{tie}",
            size.n_layers,
            size.n_params,
            size.n_bytes,
            size.patch.layers()
        ));
        Ok(())
    }

    fn card(&self, recipe: &Recipe, config: &ModelConfig, size: &Size) -> String {
        let FamilyArgs { teacher, student, .. } = &self.args.family;
        let layers: Vec<String> = size.patch.layers().iter().map(ToString::to_string).collect();
        let which = match layers.as_slice() {
            [] => "--k 0".to_owned(),
            layers => format!("--patched {}", layers.join(",")),
        };
        let command = format!(
            "boomerang patch --teacher {} --student {} {which} --out DIR",
            teacher.display(),
            student.display()
        );
        let card = Card {
            teacher,
            student,
            recipe,
            is_tied: config.tied,
            n_params: size.n_params,
            n_bytes: size.n_bytes,
            command: &command,
        };
        card.to_markdown()
    }
}

impl Sources for Patching<'_> {
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        self.teacher.find(bytes).or_else(|| self.student.find(bytes))
    }
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
