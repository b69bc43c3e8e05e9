//! `boomerang eval`: every size of a family measured, and drawn.

mod texts;

use std::path::PathBuf;

use anyhow::ensure;
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::Series;
use boomerang_core::distill::Layout;
use boomerang_core::evaluate::Examination;
use boomerang_core::similarity::block_similarity;
use futures_lite::future::block_on;

use super::patch::open_family;
use crate::cli::{DeviceArgs, FamilyArgs};
use crate::data::similarity_batches;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::family_run::{Candidate, measure, print_table, write_curve};
use crate::files::{ModelFolder, OutputFolder};
use crate::progress::{print, tell};
use texts::{mask_token, read_masked_texts, read_questions, read_texts};

/// Measure every size of a family
#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Texts for perplexity: .txt, or .jsonl with "text" or "input_ids"; repeatable. Of masked
    /// language models (BERT) the pseudo-perplexity, each line of a .txt by itself
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
    let questions = read_questions(&args.tasks).or_exit(Exit::Unusable)?;
    let (examination, tokens) = if config.is_masked() {
        if !questions.is_empty() {
            return Err(Exit::Usage.error(format!(
                "{} is a masked language model: it has a pseudo-perplexity (--data) and answers no \
                 questions (--tasks)",
                config.traits().model_type
            )));
        }
        let mask = mask_token(tokenizer.as_ref()).or_exit(Exit::Unusable)?;
        let texts = read_masked_texts(&args.data, tokenizer.as_ref()).or_exit(Exit::Unusable)?;
        let examination = Examination::masked(&texts, mask, max_seq);
        (examination, texts.into_iter().map(|text| text.tokens).collect::<Vec<_>>())
    } else {
        let first_token = config.end_tokens().first().copied();
        let texts =
            read_texts(&args.data, tokenizer.as_ref(), first_token).or_exit(Exit::Unusable)?;
        let examination = Examination::new(&texts, &questions, tokenizer.as_ref(), max_seq)
            .or_exit(Exit::Unusable)?;
        (examination, texts.into_iter().map(|text| text.tokens).collect())
    };

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
    let layout = Layout::of_single_texts(config);
    let batches =
        similarity_batches(tokens.iter().map(|tokens| &**tokens), max_seq.min(512), layout);
    let similarity = block_on(block_similarity(&family, &batches))?;
    write_curve(&out, &measured)?;
    out.write("similarity.json", format!("{}\n", serde_json::to_string(&similarity)?).as_bytes())?;
    out.commit()?;
    print_table(&measured);
    print(&format!("written to {}", args.out.display()));
    Ok(())
}
