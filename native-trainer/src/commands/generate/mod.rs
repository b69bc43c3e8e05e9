//! `boomerang generate`: a model continues a prompt, or sizes of a family in turn.

mod switched;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use boomerang_core::config::ModelConfig;
use boomerang_core::generate::{
    DraftCounts, DraftedGeneration, GenerateError, Generation, Sampling, TextStream,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use futures_lite::future::block_on;

use crate::allocator;
use crate::args::numbers::{count, non_negative};
use crate::args::{DeviceArgs, FamilyArgs, WeightArgs, WeightChoice};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::files::chat::question;
use crate::progress::note;
use switched::Span;

/// Continue a prompt
#[derive(Clone, Debug, clap::Args)]
// Of a family that is only there with --sizes.
#[command(mut_arg("teacher", |arg| arg.required(false).requires("sizes")))]
#[command(mut_arg("student", |arg| arg.required(false).requires("sizes")))]
pub struct GenerateArgs {
    /// Model with a tokenizer.json: folder, recipe or Hub id
    #[arg(long, required_unless_present = "sizes", conflicts_with = "sizes")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub family: Option<FamilyArgs>,
    /// Sizes of the family of --teacher and --student that write the text in turn, each with its
    /// number of tokens, e.g. 16:20,24:20,30:40. The keys and values of the layers that a size
    /// shares with the one before it are kept
    #[arg(
        long,
        value_parser = Span::parse,
        value_delimiter = ',',
        value_name = "LAYERS:TOKENS",
        requires_all = ["teacher", "student"]
    )]
    pub sizes: Vec<Span>,
    /// Prompt to continue
    #[arg(long)]
    pub prompt: String,
    /// Put the prompt into the model's chat template, as the user's message
    #[arg(long)]
    pub chat: bool,
    /// With --chat: the system message
    #[arg(long, requires = "chat", value_name = "TEXT")]
    pub system: Option<String>,
    /// Maximum number of new tokens
    #[arg(
        long,
        aliases = ["max-new-tokens", "max_new_tokens"],
        default_value_t = 64,
        conflicts_with = "sizes"
    )]
    pub tokens: usize,
    /// Sampling temperature; 0 is greedy decoding
    #[arg(value_parser = non_negative, long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Seed for sampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print token ids instead of text
    #[arg(long)]
    pub ids: bool,
    /// Print the speed of prompt and decoding on standard error
    #[arg(long)]
    pub timings: bool,
    #[command(flatten)]
    pub weights: WeightArgs,
    /// Model that drafts tokens, which --model verifies several at a time: the same greedy tokens,
    /// and the same distribution when sampling; a smaller size of the family, or the model itself.
    /// A greedy text uses it only where that is faster
    #[arg(long, value_name = "MODEL", conflicts_with = "sizes")]
    pub draft: Option<PathBuf>,
    /// Tokens to draft at a time; for a greedy text the maximum [default: 4, greedy 7]
    #[arg(value_parser = count, long, requires = "draft", value_name = "N")]
    pub draft_tokens: Option<usize>,
    /// As --weights, of the draft [default: q8_0 on the CPU, f32 on a GPU]
    #[arg(long, value_enum, requires = "draft", value_name = "FORMAT")]
    pub draft_weights: Option<WeightChoice>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// # Errors
/// Names the model or the size that cannot be used, or what the prompt does not fit in.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?.device;
    match (&args.family, &args.model) {
        (Some(family), _) => switched::run(args, family, &device),
        (None, Some(model)) => run_one(args, model, &device),
        (None, None) => Err(Exit::Usage.error("give --model, or --teacher, --student and --sizes")),
    }
}

fn run_one(args: &GenerateArgs, path: &Path, device: &Device) -> anyhow::Result<()> {
    let format = args.weights.on(device)?;
    let folder = ModelFolder::open(path)?;
    let tokenizer = folder.required_tokenizer()?;
    let model = folder.model_as(format, device)?;
    let draft = args.draft.as_ref().map(|path| args.open_draft(path, &folder, device));
    let draft = draft.transpose()?;
    allocator::use_large_pages();
    let sampling = args.sampling();
    let (prompt, end_tokens) = args.encode(&folder, &tokenizer, model.config())?;
    let mut source = match &draft {
        None => {
            let source = Generation::new(&model, &prompt, args.tokens, sampling)?;
            Source::Alone(Box::new(source))
        }
        Some(draft) => {
            let (n_tokens, n_drafted) = (args.tokens, args.n_drafted());
            let source =
                DraftedGeneration::new(&model, draft, &prompt, n_tokens, n_drafted, sampling);
            let began = Instant::now();
            let source = source?.paced_by(move || began.elapsed().as_secs_f64());
            Source::Drafted(Box::new(source))
        }
    };
    let mut shown = ShownText::new(&tokenizer, &prompt, args.ids);
    let mut timings = Timings::start(prompt.len());
    while let Some(token) = block_on(source.next())? {
        timings.count();
        shown.push(token)?;
        if end_tokens.contains(&token) {
            break;
        }
    }
    shown.finish()?;
    if args.timings {
        timings.lines().iter().for_each(|line| note(line));
        if let Source::Drafted(source) = &source {
            note(&accepted(source.counts()));
        }
    }
    Ok(())
}

/// Text on standard output, as it is generated.
struct ShownText<'a> {
    /// A single token may be half a character, or lack its space.
    stream: TextStream<'a>,
    /// Whether tokens are shown as their ids.
    as_ids: bool,
}

impl<'a> ShownText<'a> {
    fn new(tokenizer: &'a Tokenizer, prompt: &[u32], as_ids: bool) -> Self {
        Self { stream: TextStream::new(tokenizer, prompt), as_ids }
    }

    fn push(&mut self, token: u32) -> anyhow::Result<()> {
        let piece = if self.as_ids { format!("{token} ") } else { self.stream.push(token)? };
        show(&piece)
    }

    fn finish(self) -> anyhow::Result<()> {
        show(&(self.stream.finish()? + "\n"))
    }
}

/// Writes to standard output at once.
fn show(piece: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let shown = write!(stdout, "{piece}").and_then(|()| stdout.flush());
    shown.context("writing to standard output")
}

/// Where tokens come from.
enum Source<'model> {
    Alone(Box<Generation<'model>>),
    Drafted(Box<DraftedGeneration<'model>>),
}

impl Source<'_> {
    async fn next(&mut self) -> Result<Option<u32>, GenerateError> {
        match self {
            Self::Alone(source) => source.next().await,
            Self::Drafted(source) => source.next().await,
        }
    }
}

impl GenerateArgs {
    fn sampling(&self) -> Sampling {
        if self.temperature > 0.0 {
            Sampling::Random { temperature: self.temperature, seed: self.seed }
        } else {
            Sampling::Greedy
        }
    }

    /// Tokens to draft at a time: up to eight positions are verified in one reading of the weights.
    fn n_drafted(&self) -> usize {
        let default = if self.sampling() == Sampling::Greedy { 7 } else { 4 };
        self.draft_tokens.unwrap_or(default)
    }

    /// The prompt as tokens, and the tokens that end a text after it.
    fn encode(
        &self,
        folder: &ModelFolder,
        tokenizer: &Tokenizer,
        config: &ModelConfig,
    ) -> anyhow::Result<(Vec<u32>, Vec<u32>)> {
        let mut end_tokens = config.end_tokens().to_vec();
        if !self.chat {
            return Ok((tokenizer.encode(&self.prompt, true)?, end_tokens));
        }
        let template = folder.required_chat_template()?;
        end_tokens.extend(template.end_of_turn().and_then(|token| tokenizer.id(token)));
        let asked = question(&template, self.system.as_deref(), &self.prompt);
        // A chat template writes special tokens itself.
        Ok((tokenizer.encode(&asked.or_exit(Exit::Unusable)?, false)?, end_tokens))
    }

    /// The model that drafts, which has to have the same tokens.
    fn open_draft(
        &self,
        path: &Path,
        model: &ModelFolder,
        device: &Device,
    ) -> anyhow::Result<LanguageModel> {
        let is_cpu = *device == device::cpu();
        let narrow = if is_cpu { WeightChoice::Q8_0 } else { WeightChoice::F32 };
        let weights = self.draft_weights.unwrap_or(narrow);
        let format = WeightArgs { weights }.on(device)?;
        let draft = ModelFolder::open(path)?;
        if draft.tokenizer_fingerprint()? != model.tokenizer_fingerprint()? {
            return Err(Exit::Unusable.error(format!(
                "{} has another tokenizer than {}; a draft has to have the same tokens",
                path.display(),
                model.path().display()
            )));
        }
        draft.model_as(format, device)
    }
}

fn accepted(counts: DraftCounts) -> String {
    let DraftCounts { n_rounds, n_drafted, n_accepted } = counts;
    let share = 100.0 * n_accepted as f64 / n_drafted.max(1) as f64;
    format!(
        "draft: {n_accepted} of {n_drafted} tokens accepted ({share:.1} %), {n_rounds} passes of the model"
    )
}

/// How long prompt and decoding took.
struct Timings {
    n_prompt: usize,
    n_tokens: usize,
    began: Instant,
    /// When the first token was there: it is that of the prompt.
    first: Duration,
    last: Duration,
}

impl Timings {
    fn start(n_prompt: usize) -> Self {
        let (first, last) = Default::default();
        Self { n_prompt, n_tokens: 0, began: Instant::now(), first, last }
    }

    fn count(&mut self) {
        self.last = self.began.elapsed();
        if self.n_tokens == 0 {
            self.first = self.last;
        }
        self.n_tokens += 1;
    }

    fn lines(&self) -> [String; 2] {
        let line = |what: &str, n_tokens: usize, took: Duration| {
            let seconds = took.as_secs_f64();
            let speed = match took.is_zero() {
                true => String::new(),
                false => format!(", {:.1} tokens/s", n_tokens as f64 / seconds),
            };
            format!("{what}: {n_tokens} tokens in {seconds:.3} s{speed}")
        };
        let n_decoded = self.n_tokens.saturating_sub(1);
        [
            line("prompt", self.n_prompt, self.first),
            line("decoding", n_decoded, self.last - self.first),
        ]
    }
}
