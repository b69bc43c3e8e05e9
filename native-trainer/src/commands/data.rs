//! `boomerang data`: tokenizes texts once, for runs that map them.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use boomerang_core::documents::TextUnit;
use clap::Subcommand;

use crate::allocator::allocate_per_thread;
use crate::args::OverwriteArgs;
use crate::args::numbers::{count, sequence_length};
use crate::cli_examples as examples;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, OutputFolder, shown};
use crate::progress::{note, print};
use crate::train::data::{Manifest, Preparation, PreparedData};

/// Tokenize training data once, and inspect or verify what was prepared
#[derive(Clone, Debug, clap::Args)]
pub struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Tokenize texts on all cores into a folder that `distill --data` maps
    #[command(after_help = examples::DATA_PREPARE)]
    Prepare(PrepareArgs),
    /// Describe prepared data, and show a document
    #[command(after_help = examples::DATA_INSPECT)]
    Inspect(InspectArgs),
    /// Compare prepared data with their hashes
    #[command(after_help = examples::DATA_VERIFY)]
    Verify(VerifyArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct PrepareArgs {
    /// Texts, as for `distill`: .txt, .md, .jsonl, .json or .parquet, also as .gz or .zst
    #[arg(required = true)]
    pub data: Vec<PathBuf>,
    /// Model whose tokenizer and chat template to use: folder or Hub id
    #[arg(long, alias = "teacher")]
    pub model: PathBuf,
    /// Folder to write
    #[arg(long)]
    pub out: PathBuf,
    /// Lines that are left out, each with a message, before it is an error
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub max_bad_lines: usize,
    /// One document per line of .txt files
    #[arg(long)]
    pub lines: bool,
    /// Tokens per file
    #[arg(value_parser = count, long, default_value_t = 1 << 25, value_name = "N")]
    pub shard_tokens: usize,
    /// Threads that tokenize [default: one per core]
    #[arg(value_parser = count, long, value_name = "N")]
    pub threads: Option<usize>,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub struct InspectArgs {
    /// Folder of prepared data
    pub data: PathBuf,
    /// Model whose tokenizer shows a document: folder or Hub id
    #[arg(long, alias = "teacher")]
    pub model: Option<PathBuf>,
    /// The sequence to show, from 0
    #[arg(long, default_value_t = 0, requires = "model", value_name = "N")]
    pub sequence: usize,
    /// Tokens per sequence
    #[arg(value_parser = sequence_length, long, default_value_t = 256, value_name = "N")]
    pub seq_len: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Folder of prepared data
    pub data: PathBuf,
}

pub fn run(args: &DataArgs) -> anyhow::Result<()> {
    match &args.command {
        DataCommand::Prepare(args) => prepare(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Verify(args) => verify(&args.data),
    }
}

fn prepare(args: &PrepareArgs) -> anyhow::Result<()> {
    let model = ModelFolder::open(&args.model)?;
    let (Some(tokenizer), Some(fingerprint)) = (model.tokenizer()?, model.tokenizer_fingerprint()?)
    else {
        return Err(Exit::Unusable.error(model.no_tokenizer()));
    };
    let template = model.chat_template()?;
    let vocab = model.config().vocab;
    let n_cores = || thread::available_parallelism().map_or(1, usize::from);
    let n_threads = args.threads.unwrap_or_else(n_cores);
    // The reader and the writer are threads, too.
    allocate_per_thread(n_threads + 2);
    let preparation = Preparation {
        tokenizer: &tokenizer,
        template: template.as_ref(),
        vocab,
        unit: if args.lines { TextUnit::Line } else { TextUnit::File },
        tokens_per_shard: args.shard_tokens,
        max_bad: args.max_bad_lines,
        n_threads,
    };
    let sources = args.data.iter().map(|path| shown(path)).collect();
    let manifest = Manifest::new(fingerprint, vocab, model.eos_token()?, sources);
    let out = OutputFolder::create(&args.out, args.overwrite.force)?;
    let started = Instant::now();
    let mut show = |n_tokens| {
        let speed = n_tokens as f64 / started.elapsed().as_secs_f64() / 1e6;
        note(&format!("{:.1} M tokens, {speed:.2} M per second", n_tokens as f64 / 1e6));
    };
    let manifest = preparation.write(&args.data, manifest, &out, &mut show)?;
    let path = out.commit()?;
    print(&format!(
        "{}: {} tokens of {} documents in {} shards, {} lines left out, {:.1} s",
        path.display(),
        manifest.n_tokens,
        manifest.n_documents,
        manifest.shards.len(),
        manifest.n_bad,
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let data = PreparedData::open(&args.data)?;
    let manifest = &data.manifest;
    if args.json {
        print(&serde_json::to_string_pretty(manifest)?);
    } else {
        print(&format!("tokens       {}", manifest.n_tokens));
        print(&format!("documents    {}", manifest.n_documents));
        print(&format!("shards       {}", manifest.shards.len()));
        let n_marked = manifest.shards.iter().filter(|shard| shard.labels_sha256.is_some()).count();
        print(&format!("responses    only these are labels in {n_marked} shards"));
        print(&format!("left out     {} lines", manifest.n_bad));
        print(&format!("vocabulary   {}, end token {:?}", manifest.vocab, manifest.end_token));
        print(&format!("tokenizer    {}", manifest.tokenizer));
        print(&format!("sources      {}", manifest.sources.join(", ")));
    }
    let Some(model) = &args.model else { return Ok(()) };
    let model = ModelFolder::open(model)?;
    let Some(tokenizer) = model.tokenizer()? else {
        return Err(Exit::Unusable.error(model.no_tokenizer()));
    };
    let fingerprint = model.tokenizer_fingerprint()?;
    let rows = data.packed_rows(fingerprint.as_deref(), args.seq_len, manifest.vocab)?;
    if args.sequence >= rows.len() {
        return Err(Exit::Usage.error(format!(
            "--sequence {}: there are {} of {} tokens",
            args.sequence,
            rows.len(),
            args.seq_len
        )));
    }
    let row = rows.row(args.sequence).or_exit(Exit::Unusable)?;
    print(&format!(
        "\nsequence {} of {}; labels are shown without brackets:",
        args.sequence,
        rows.len()
    ));
    let mut shown = String::new();
    for index in 0..row.tokens.len() {
        let text =
            tokenizer.decode_with_special(&row.tokens[index..=index]).or_exit(Exit::Unusable)?;
        let is_label = row.is_label.as_ref().is_none_or(|flags| flags[index]);
        match (row.segments[index] == 0, is_label) {
            (true, _) => {}
            (false, true) => shown.push_str(&text),
            (false, false) => shown.push_str(&format!("[{text}]")),
        }
    }
    print(&shown);
    Ok(())
}

fn verify(path: &Path) -> anyhow::Result<()> {
    let data = PreparedData::open(path)?;
    data.verify()?;
    print(&format!(
        "{}: {} shards are as they were written",
        path.display(),
        data.manifest.shards.len()
    ));
    Ok(())
}
