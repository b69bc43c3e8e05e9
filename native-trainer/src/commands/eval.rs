//! `boomerang eval`: every size of a family measured, and drawn.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::Series;
use boomerang_core::evaluate::{ChoiceDoc, Examination, TextDoc};
use boomerang_core::similarity::block_similarity;
use boomerang_core::tokenizer::Tokenizer;
use futures_lite::future::block_on;
use serde_json::Value;

use super::patch::open_family;
use crate::cli::{DeviceArgs, FamilyArgs};
use crate::data::similarity_batches;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::family_run::{Candidate, measure, print_table, write_curve};
use crate::files::{self, ModelFolder, OutputFolder};
use crate::progress::{print, tell};

/// Measure every size of a family
#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Texts for perplexity: .txt, or .jsonl with "text" or "input_ids"; repeatable
    #[arg(long)]
    pub data: Vec<PathBuf>,
    /// Questions: .jsonl with "task", "context", "choices" and "gold"; repeatable
    #[arg(long)]
    pub tasks: Vec<PathBuf>,
    /// A student that was initialised at random and distilled on the same budget, to draw beside
    #[arg(long)]
    pub random_student: Option<PathBuf>,
    /// Folder for curve.csv, curve.json and the pictures
    #[arg(long)]
    pub out: PathBuf,
    /// Tokens in a batch, padding included
    #[arg(long, default_value_t = 8192)]
    pub batch_tokens: usize,
    /// Tokens a model sees at once [default: the model's window]
    #[arg(long)]
    pub max_length: Option<usize>,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    ensure!(
        !args.data.is_empty() || !args.tasks.is_empty(),
        "nothing to measure; give texts with --data or questions with --tasks"
    );
    let device = device::choose(args.device.device)?;
    tell(&format!("device: {} ({})", device.description, device.reason));
    let folder = ModelFolder::open(&args.family.teacher)?;
    let family = open_family(&args.family, &folder, &device.device)?;
    let config = family.teacher().model().config();
    let max_seq = args.max_length.unwrap_or(config.max_seq).min(config.max_seq);
    let tokenizer = folder.tokenizer()?;
    let first_token = config.end_tokens().first().copied();
    let texts = read_texts(&args.data, tokenizer.as_ref(), first_token).or_exit(Exit::Unusable)?;
    let questions = read_questions(&args.tasks).or_exit(Exit::Unusable)?;
    let examination = Examination::new(&texts, &questions, tokenizer.as_ref(), max_seq)
        .or_exit(Exit::Unusable)?;

    let mut candidates =
        vec![Candidate { series: Series::Boomerang, seed: 0, student: family.student().clone() }];
    if let Some(path) = &args.random_student {
        let student = ModelFolder::open(path)?.student(&device.device)?;
        candidates.push(Candidate { series: Series::Random, seed: 0, student });
    }
    let order = args.family.order(config);
    let precision = Precision::of_checkpoint(&folder.checkpoint()?);
    let out = OutputFolder::create(&args.out, args.force)?;
    let measured =
        measure(family.teacher(), &candidates, &order, &examination, precision, args.batch_tokens)?;
    let batches = similarity_batches(&texts, max_seq.min(512));
    let similarity = block_on(block_similarity(&family, &batches))?;
    write_curve(&out, &measured)?;
    out.write("similarity.json", format!("{}\n", serde_json::to_string(&similarity)?).as_bytes())?;
    out.commit()?;
    print_table(&measured);
    print(&format!("written to {}", args.out.display()));
    Ok(())
}

/// Texts as tokens; one document a file, or a line of `.jsonl`.
///
/// A tokenizer that puts nothing before a text leaves its first token without context; then
/// `first_token` (end-of-text) goes there, as in lm-evaluation-harness.
fn read_texts(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
    first_token: Option<u32>,
) -> anyhow::Result<Vec<TextDoc>> {
    let encode = |text: &str| -> anyhow::Result<TextDoc> {
        let tokenizer = tokenizer.context("text needs a tokenizer.json beside the teacher")?;
        let mut tokens = tokenizer.encode(text, true)?;
        let bare = tokenizer.encode(text, false)?;
        if tokens.len() == bare.len()
            && let Some(first) = first_token
        {
            tokens.insert(0, first);
        }
        Ok(TextDoc { tokens, n_bytes: text.len() })
    };
    let mut texts = Vec::new();
    for path in paths {
        let file = files::read_text(path)?;
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            texts.push(encode(&file).with_context(|| path.display().to_string())?);
            continue;
        }
        for (number, line) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let read = || -> anyhow::Result<TextDoc> {
                let value: Value = serde_json::from_str(line)?;
                match value.get("text").and_then(Value::as_str) {
                    Some(text) => encode(text),
                    None => {
                        let ids = value.get("input_ids").cloned().unwrap_or(Value::Null);
                        let tokens: Vec<u32> = serde_json::from_value(ids)
                            .context("expected \"text\" or \"input_ids\"")?;
                        Ok(TextDoc { n_bytes: 0, tokens })
                    }
                }
            };
            let text = read().with_context(|| place(path, number))?;
            texts.push(text);
        }
    }
    Ok(texts)
}

fn read_questions(paths: &[PathBuf]) -> anyhow::Result<Vec<ChoiceDoc>> {
    let mut questions = Vec::new();
    for path in paths {
        let file = files::read_text(path)?;
        for (number, line) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let question = serde_json::from_str(line).with_context(|| place(path, number))?;
            questions.push(question);
        }
    }
    Ok(questions)
}

fn place(path: &Path, number: usize) -> String {
    format!("{}, line {}", path.display(), number + 1)
}
