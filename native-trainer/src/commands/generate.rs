//! `boomerang generate`: a model continues a text.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use boomerang_core::generate::{Generation, Sampling, TextStream};
use futures_lite::future::block_on;

use crate::args::DeviceArgs;
use crate::args::numbers::non_negative;
use crate::device;
use crate::files::ModelFolder;

/// Continue a text
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateArgs {
    /// Folder of the model, with its tokenizer.json, or its id on the Hub
    #[arg(long)]
    pub model: PathBuf,
    #[arg(long)]
    pub prompt: String,
    /// Tokens to add at most
    #[arg(long, default_value_t = 64)]
    pub tokens: usize,
    /// 0 always takes the likeliest token
    #[arg(value_parser = non_negative, long, default_value_t = 0.0)]
    pub temperature: f64,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print token ids instead of text
    #[arg(long)]
    pub ids: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?;
    let folder = ModelFolder::open(&args.model)?;
    let tokenizer = folder.tokenizer()?.context("generating needs a tokenizer.json")?;
    let model = folder.model(&device.device)?;
    let sampling = if args.temperature > 0.0 {
        Sampling::Random { temperature: args.temperature, seed: args.seed }
    } else {
        Sampling::Greedy
    };
    let prompt = tokenizer.encode(&args.prompt, true)?;
    let end_tokens = model.config().end_tokens();
    let mut generation = Generation::new(&model, &prompt, args.tokens, sampling)?;
    // A token alone may be half a character, or lack its space.
    let mut stream = TextStream::new(&tokenizer, &prompt);
    let mut stdout = std::io::stdout();
    let mut show = |piece: &str| {
        let shown = write!(stdout, "{piece}").and_then(|()| stdout.flush());
        shown.context("writing to standard output")
    };
    while let Some(token) = block_on(generation.next())? {
        let piece = if args.ids { format!("{token} ") } else { stream.push(token)? };
        show(&piece)?;
        if end_tokens.contains(&token) {
            break;
        }
    }
    show(&(stream.finish()? + "\n"))
}
