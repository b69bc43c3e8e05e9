//! `boomerang eval`: every size of a family evaluated, with charts.

mod args;
mod asked;
mod family_file;
mod judged;
mod texts;

use std::time::SystemTime;

use anyhow::ensure;
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::Series;
use boomerang_core::distill::Layout;
use boomerang_core::evaluate::Batching;
use boomerang_core::model::{LanguageModel, WeightFormat};
use boomerang_core::plan::{LayerPlan, PatchOrder};
use boomerang_core::prune::{Family, Student, Teacher};
use boomerang_core::similarity::block_similarity;
use futures_lite::future::block_on;

use crate::device::{self, ChosenDevice};
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, ModelFolder, OutputFolder};
use crate::measure::answers::{
    Answered, Cache, Cached, EvalOptions, Weights, answer_all, fingerprints,
};
use crate::measure::bytes::ByteCount;
use crate::measure::curve::{print_table, write_curve};
use crate::measure::members::{Candidate, Member, members};
use crate::measure::order;
use crate::memory::Memory;
use crate::progress::{note, print};
use crate::train::data::similarity_batches;
pub use args::{Contexts, EngineArgs, EvalArgs, MemoryMode, Sharing, WhichArgs};
use asked::Asked;
use judged::Judged;

/// Evaluates the members and writes the results.
///
/// # Errors
/// When the family, the texts or the cache cannot be used, or an output cannot be written.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    ensure!(
        !args.data.is_empty() || !args.tasks.tasks.is_empty(),
        "nothing to evaluate; give texts with --data or questions with --tasks"
    );
    let began = SystemTime::now();
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let format = args.engine.weights.on(&device.device)?;
    let folders = Folders::open(args, format)?;
    let tokenizer = folders.teacher.tokenizer()?;
    let asked = Asked::read(args, &folders.teacher, tokenizer.as_ref())?;
    let members = folders.members(args)?;
    if let Some(cache) = &args.engine.use_cache {
        // It is written to, and the result must not replace it.
        files::refuse_inputs(cache)?;
        files::note_input(cache);
    }
    let cache = args.engine.use_cache.as_ref().map(|path| Cache::new(path, args.engine.shard));
    // An output that cannot be written is an error before the work, not after it.
    let out = args.out.as_ref().filter(|_| args.engine.shard.is_none());
    let out = out.map(|path| OutputFolder::create(path, args.overwrite.force)).transpose()?;

    let loaded = folders.load(&device, args.engine.memory)?;
    let cached = match &cache {
        Some(cache) => {
            let members = fingerprints(&members, &folders.all(), format)?;
            Some(Cached { cache, members })
        }
        None => None,
    };
    let weights = match &loaded {
        Some(models) => Weights::Resident(models.iter().collect()),
        None => Weights::Streamed {
            folders: folders.all(),
            device: &device.device,
            state_bytes: args.engine.state_memory,
        },
    };
    let answered = answer_all(
        &members,
        &asked.sheet,
        &weights,
        args.engine.options(),
        cached.as_ref(),
        tokenizer.as_ref(),
    )?;
    let Some(out) = out else {
        let (number, of) = args.engine.shard.unwrap_or((1, 1));
        print(&format!(
            "shard {number} of {of} is done; run without --shard on the same cache to combine all \
             shards"
        ));
        return Ok(());
    };
    let judged = Judged::new(&asked, &members, &answered)?;
    let bytes = match &loaded {
        Some(models) if format != WeightFormat::F32 => {
            ByteCount::InMemory(models.iter().map(LanguageModel::part_bytes).collect())
        }
        _ => ByteCount::Stored(folders.precision),
    };
    let main = judged.main(&bytes);
    write_curve(&out, &main)?;
    judged.write_members(
        &out,
        &device.description,
        began,
        args.tasks.fewshot_seed,
        args.tasks.limit,
    )?;
    let file = judged.file(&folders, &bytes, cached.as_ref(), &device.description);
    out.write("family.json", format!("{}\n", serde_json::to_string_pretty(&file)?).as_bytes())?;
    // Similarity is measured on --data; without any it would be a row of zeros.
    if let Some(models) = loaded.as_ref().filter(|_| !asked.tokens.is_empty()) {
        let similarity = folders.similarity(models, &asked)?;
        let json = format!("{}\n", serde_json::to_string(&similarity)?);
        out.write("similarity.json", json.as_bytes())?;
    }
    out.commit()?;
    print_table(&main);
    judged.print_tasks();
    print_cost(&answered);
    if let Some(path) = &args.out {
        print(&format!("written to {}", path.display()));
    }
    Ok(())
}

/// Teacher and students on disk.
struct Folders {
    teacher: ModelFolder,
    student: ModelFolder,
    plan: LayerPlan,
    random: Option<(ModelFolder, LayerPlan)>,
    precision: Precision,
    /// Of the matrices in memory.
    format: WeightFormat,
}

impl Folders {
    fn open(args: &EvalArgs, format: WeightFormat) -> anyhow::Result<Self> {
        let teacher = ModelFolder::open(&args.family.teacher)?;
        let student = ModelFolder::open(&args.family.student)?;
        let plan = args.family.plan_of(&teacher, &student)?;
        let random = match &args.which.random_student {
            Some(path) => {
                let folder = ModelFolder::open(path)?;
                let plan = folder.required_plan()?;
                folder.check_teacher(&teacher, args.family.allow_mismatch)?;
                Some((folder, plan))
            }
            None => None,
        };
        let precision = teacher.precision()?;
        let folders = Self { teacher, student, plan, random, precision, format };
        for folder in &folders.all()[1..] {
            let (own, teachers) = (folder.config(), folders.teacher.config());
            if let Some(difference) = teachers.difference(own) {
                return Err(Exit::Unusable.error(format!(
                    "{} is not a student of {}: {difference}",
                    folder.path().display(),
                    folders.teacher.path().display()
                )));
            }
        }
        Ok(folders)
    }

    /// The teacher and the candidates, as stacks count them.
    fn all(&self) -> Vec<&ModelFolder> {
        let random = self.random.as_ref().map(|(folder, _)| folder);
        [&self.teacher, &self.student].into_iter().chain(random).collect()
    }

    fn members(&self, args: &EvalArgs) -> anyhow::Result<Vec<Member>> {
        let student = Candidate {
            series: Series::Boomerang,
            seed: 0,
            config: self.student.config(),
            plan: &self.plan,
            shares_tied_matrix: self.teacher.shares_tied_matrix(&self.student)?,
        };
        let random = self.random.as_ref().map(|(folder, plan)| Candidate {
            series: Series::Random,
            seed: 0,
            config: folder.config(),
            plan,
            shares_tied_matrix: false,
        });
        let candidates: Vec<Candidate<'_>> = [student].into_iter().chain(random).collect();
        let calibration = (&args.which.calibration, &args.device);
        let main = order::choose(&args.family, calibration, &self.teacher, self.format)?;
        let orders: Vec<PatchOrder> =
            [main].into_iter().chain(args.which.also_order.iter().cloned()).collect();
        let which = &args.which;
        members(self.teacher.config(), &candidates, &orders, &which.members, which.naive)
            .or_exit(Exit::Usage)
    }

    /// The models in memory; `None` when they are streamed from disk.
    fn load(
        &self,
        device: &ChosenDevice,
        mode: MemoryMode,
    ) -> anyhow::Result<Option<Vec<LanguageModel>>> {
        let n_bytes: u64 = self
            .all()
            .iter()
            .map(|folder| folder.config().n_params().saturating_mul(size_of::<f32>() as u64))
            .sum();
        let is_streamed = match mode {
            MemoryMode::Stream if self.format != WeightFormat::F32 => {
                return Err(Exit::Usage.error(format!(
                    "--memory stream computes in f32, two layers at a time; found --weights {}; omit \
                     one of the two",
                    self.format
                )));
            }
            MemoryMode::Auto if self.format != WeightFormat::F32 => false,
            MemoryMode::Resident => false,
            MemoryMode::Stream => true,
            // A third is for states and everything else.
            MemoryMode::Auto => {
                Memory::of_this_machine().is_some_and(|memory| n_bytes > memory.free_bytes / 3 * 2)
            }
        };
        if is_streamed {
            note("streaming weights from disk, two layers in memory at a time");
            return Ok(None);
        }
        self.all()
            .iter()
            .map(|folder| folder.model_as(self.format, &device.device))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn similarity(&self, models: &[LanguageModel], asked: &Asked) -> anyhow::Result<Vec<f64>> {
        let [teacher, student, ..] = models else { return Ok(Vec::new()) };
        let student = Student::new(student.clone(), self.plan.clone())?;
        let family = Family::new(Teacher::new(teacher.clone()), student)?;
        let config = teacher.config();
        let layout = Layout::of_single_texts(config);
        let seq = asked.max_seq.min(512);
        let batches = similarity_batches(asked.tokens.iter().map(|tokens| &**tokens), seq, layout);
        Ok(block_on(block_similarity(&family, &batches))?)
    }
}

impl EngineArgs {
    fn options(&self) -> EvalOptions {
        EvalOptions {
            batching: Batching {
                tokens_per_batch: self.batch_tokens,
                shares_beginnings: self.contexts == Contexts::Shared,
            },
            shares_layers: self.engine == Sharing::Tree,
            share: self.shard,
        }
    }
}

/// What sharing saved.
fn print_cost(answered: &Answered) {
    let cost = &answered.cost;
    if cost.n_cached > 0 {
        print(&format!("answers from the cache: {}", cost.n_cached));
    }
    if cost.token_layers > 0 {
        print(&format!(
            "token-layers: {} with sharing, {} without ({:.2} times fewer), in {:.1} s",
            cost.token_layers,
            cost.token_layers_alone,
            cost.token_layers_alone as f64 / cost.token_layers as f64,
            cost.seconds
        ));
    }
}
