//! `boomerang generate`: a model continues a prompt.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use boomerang_core::generate::{
    DraftCounts, DraftedGeneration, GenerateError, Generation, Sampling, TextStream,
};
use boomerang_core::model::LanguageModel;
use burn::tensor::Device;
use futures_lite::future::block_on;

use crate::allocator;
use crate::args::numbers::{count, non_negative};
use crate::args::{DeviceArgs, WeightArgs, WeightChoice};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::files::chat::question;
use crate::progress::note;

/// Continue a prompt
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateArgs {
    /// Model with a tokenizer.json: folder, recipe or Hub id
    #[arg(long)]
    pub model: PathBuf,
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
    #[arg(long, aliases = ["max-new-tokens", "max_new_tokens"], default_value_t = 64)]
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
    /// and the same distribution when sampling; a smaller size of the family, or the model itself
    #[arg(long, value_name = "MODEL")]
    pub draft: Option<PathBuf>,
    /// Tokens to draft at a time
    #[arg(value_parser = count, long, default_value_t = 4, requires = "draft", value_name = "N")]
    pub draft_tokens: usize,
    /// As --weights, of the draft [default: q8_0 on the CPU, f32 on a GPU]
    #[arg(long, value_enum, requires = "draft", value_name = "FORMAT")]
    pub draft_weights: Option<WeightChoice>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?;
    let format = args.weights.on(&device.device)?;
    let folder = ModelFolder::open_for(&args.model, format)?;
    let tokenizer =
        folder.tokenizer()?.context("generation needs a tokenizer.json in the model's folder")?;
    let model = folder.model_as(format, &device.device)?;
    let draft = args.draft.as_ref().map(|path| args.open_draft(path, &folder, &device.device));
    let draft = draft.transpose()?;
    allocator::use_large_pages();
    let sampling = if args.temperature > 0.0 {
        Sampling::Random { temperature: args.temperature, seed: args.seed }
    } else {
        Sampling::Greedy
    };
    let mut end_tokens = model.config().end_tokens().to_vec();
    // A chat template writes special tokens itself.
    let prompt = match args.chat {
        true => {
            let template = folder.required_chat_template()?;
            end_tokens.extend(template.end_of_turn().and_then(|token| tokenizer.id(token)));
            let asked = question(&template, args.system.as_deref(), &args.prompt);
            tokenizer.encode(&asked.or_exit(Exit::Unusable)?, false)?
        }
        false => tokenizer.encode(&args.prompt, true)?,
    };
    let mut source = match &draft {
        None => Source::Alone(Generation::new(&model, &prompt, args.tokens, sampling)?),
        Some(draft) => {
            let (n_tokens, n_drafted) = (args.tokens, args.draft_tokens);
            let source =
                DraftedGeneration::new(&model, draft, &prompt, n_tokens, n_drafted, sampling);
            Source::Drafted(source?)
        }
    };
    // A single token may be half a character, or lack its space.
    let mut stream = TextStream::new(&tokenizer, &prompt);
    let mut stdout = std::io::stdout();
    let mut show = |piece: &str| {
        let shown = write!(stdout, "{piece}").and_then(|()| stdout.flush());
        shown.context("writing to standard output")
    };
    let mut timings = Timings::start(prompt.len());
    while let Some(token) = block_on(source.next())? {
        timings.count();
        let piece = if args.ids { format!("{token} ") } else { stream.push(token)? };
        show(&piece)?;
        if end_tokens.contains(&token) {
            break;
        }
    }
    show(&(stream.finish()? + "\n"))?;
    if args.timings {
        timings.lines().iter().for_each(|line| note(line));
        if let Source::Drafted(source) = &source {
            note(&accepted(source.counts()));
        }
    }
    Ok(())
}

/// Where tokens come from.
enum Source<'model> {
    Alone(Generation<'model>),
    Drafted(DraftedGeneration<'model>),
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
        let draft = ModelFolder::open_for(path, format)?;
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
            let speed = n_tokens as f64 / seconds.max(f64::MIN_POSITIVE);
            format!("{what}: {n_tokens} tokens in {seconds:.3} s, {speed:.1} tokens/s")
        };
        let n_decoded = self.n_tokens.saturating_sub(1);
        [
            line("prompt", self.n_prompt, self.first),
            line("decoding", n_decoded, self.last - self.first),
        ]
    }
}
