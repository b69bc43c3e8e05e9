//! `boomerang sample`: texts that a model writes, as training data.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use boomerang_core::bundle::hex;
use boomerang_core::generate::{SampledPrompt, SampledText, sample_together};
use boomerang_core::model::LanguageModel;
use boomerang_core::tokenizer::Tokenizer;
use futures_lite::future::block_on;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::args::numbers::{count, non_negative};
use crate::args::{DeviceArgs, OutputArgs};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, ModelFolder};
use crate::parallel::{in_parallel, n_workers};
use crate::progress::{Progress, note, print};

/// Sample texts from a model in batches, as training data
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output folder: samples.jsonl, and sampling.json with what it was made from")))]
pub struct SampleArgs {
    /// Model with a tokenizer: folder, GGUF file, recipe or Hub id
    #[arg(long)]
    pub model: PathBuf,
    /// Text file with a prompt on every line
    #[arg(long)]
    pub prompts: PathBuf,
    /// Put each prompt into the model's chat template, as the user's message; writes "messages" instead
    /// of "text"
    #[arg(long)]
    pub chat: bool,
    /// Maximum number of new tokens; a text that reaches it is cut after its last sentence
    #[arg(value_parser = count, long, aliases = ["max-new-tokens", "max_new_tokens"], default_value_t = 256)]
    pub tokens: usize,
    /// Texts per prompt
    #[arg(value_parser = count, long, default_value_t = 1, value_name = "N")]
    pub per_prompt: usize,
    /// Sampling temperature; 0 is greedy decoding
    #[arg(value_parser = non_negative, long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Seed for sampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Texts that are sampled together
    #[arg(value_parser = count, long, default_value_t = 32, value_name = "N")]
    pub batch_size: usize,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// # Errors
/// When the model or the prompts cannot be used, no text is left, or the disk is full.
pub fn run(args: &SampleArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?;
    let folder = ModelFolder::open(&args.model)?;
    let prompts = Prompts::read(args, &folder)?;
    let out = args.output.folder()?;
    // Before the work: a GGUF file may need space that is not there.
    let fingerprint = folder.fingerprint()?;
    let model = folder.model(&device.device)?;
    let texts = prompts.sample(args, &model)?;
    let mut lines = String::new();
    let (mut n_texts, mut n_tokens) = (0, 0);
    for (prompt, text) in prompts.texts.iter().zip(texts) {
        n_tokens += text.tokens.len();
        let Some(record) = record(args.chat, prompt, &text, &prompts.tokenizer)? else { continue };
        n_texts += 1;
        let _ = writeln!(lines, "{record}");
    }
    let n_empty = prompts.texts.len() - n_texts;
    if n_empty > 0 {
        note(&format!("{n_empty} texts without a whole sentence were left out"));
    }
    if n_texts == 0 {
        return Err(Exit::Unusable.error("no text has a whole sentence; raise --tokens"));
    }
    out.write("samples.jsonl", lines.as_bytes())?;
    let sampling = json!({
        "format": "boomerang-samples",
        "model": args.model,
        "fingerprint": fingerprint,
        "prompts_sha256": prompts.sha256,
        "chat": args.chat,
        "max_new_tokens": args.tokens,
        "per_prompt": args.per_prompt,
        "temperature": args.temperature,
        "seed": args.seed,
        "n_texts": n_texts,
        "n_tokens": n_tokens,
    });
    out.write("sampling.json", format!("{sampling:#}\n").as_bytes())?;
    out.commit()?;
    print(&format!("{n_texts} texts, {n_tokens} tokens: {}", args.output.out.display()));
    Ok(())
}

/// What is continued, in the order of the file.
struct Prompts {
    tokenizer: Tokenizer,
    /// Each `per_prompt` times.
    texts: Vec<String>,
    tokens: Vec<SampledPrompt>,
    sha256: String,
}

impl Prompts {
    fn read(args: &SampleArgs, folder: &ModelFolder) -> anyhow::Result<Self> {
        let tokenizer = folder.required_tokenizer()?;
        let template = match args.chat {
            true => Some(folder.required_chat_template()?),
            false => None,
        };
        let text = files::read_text(&args.prompts)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let texts: Vec<String> =
            lines.flat_map(|line| vec![line.to_owned(); args.per_prompt]).collect();
        if texts.is_empty() {
            return Err(Exit::Unusable.error(format!(
                "{} has no prompts; expected one on every line",
                args.prompts.display()
            )));
        }
        let tokens = texts.iter().enumerate().map(|(index, text)| -> anyhow::Result<_> {
            let tokens = match &template {
                // A chat template writes special tokens itself.
                Some(template) => {
                    let asked =
                        files::chat::question(template, None, text).or_exit(Exit::Unusable)?;
                    tokenizer.encode(&asked, false)?
                }
                None => tokenizer.encode(text, true)?,
            };
            Ok(SampledPrompt { tokens, seed: seed_of(args.seed, index) })
        });
        let tokens = tokens.collect::<anyhow::Result<_>>()?;
        Ok(Self { tokenizer, texts, tokens, sha256: hex(&Sha256::digest(text.as_bytes())) })
    }

    /// The texts in the order of the prompts. Prompts of similar length are sampled together, so that few
    /// wait for a longer one.
    fn sample(&self, args: &SampleArgs, model: &LanguageModel) -> anyhow::Result<Vec<SampledText>> {
        let mut order: Vec<usize> = (0..self.tokens.len()).collect();
        order.sort_by_key(|&index| self.tokens[index].tokens.len());
        let batches: Vec<&[usize]> = order.chunks(args.batch_size).collect();
        // A step for one batch leaves cores idle.
        let n_workers = n_workers(batches.len(), &model.device());
        let progress = Mutex::new((Progress::new("sample", order.len()), 0, 0));
        let started = Instant::now();
        let sampled = in_parallel(batches.len(), n_workers, |number| {
            let prompts: Vec<SampledPrompt> =
                batches[number].iter().map(|&index| self.tokens[index].clone()).collect();
            let sampled =
                block_on(sample_together(model, &prompts, args.tokens, args.temperature))?;
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            let (progress, n_done, n_tokens) = &mut *progress;
            *n_done += sampled.len();
            *n_tokens += sampled.iter().map(|text| text.tokens.len()).sum::<usize>();
            let speed = *n_tokens as f64 / started.elapsed().as_secs_f64();
            progress.set(*n_done, || format!("{n_tokens} tokens, {speed:.0} tok/s"));
            Ok(sampled)
        })?;
        progress.into_inner().unwrap_or_else(PoisonError::into_inner).0.finish();
        let mut texts: Vec<(usize, SampledText)> =
            order.iter().copied().zip(sampled.into_iter().flatten()).collect();
        texts.sort_by_key(|&(index, _)| index);
        Ok(texts.into_iter().map(|(_, text)| text).collect())
    }
}

/// Another seed for every text, far from those of a run with the next seed.
fn seed_of(seed: u64, index: usize) -> u64 {
    // Odd, so that no two texts of a run share a seed (golden ratio, as splitmix64 has it).
    seed.rotate_left(32).wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A line of `samples.jsonl`; `None` for a text without a whole sentence.
fn record(
    is_chat: bool,
    prompt: &str,
    text: &SampledText,
    tokenizer: &Tokenizer,
) -> anyhow::Result<Option<Value>> {
    let answer = tokenizer.decode(&text.tokens)?;
    let answer = if text.has_ended { answer.as_str() } else { whole_sentences(&answer) };
    if answer.trim().is_empty() {
        return Ok(None);
    }
    Ok(Some(match is_chat {
        true => json!({ "messages": [
            { "role": "user", "content": prompt },
            { "role": "assistant", "content": answer.trim() },
        ] }),
        false => json!({ "text": format!("{prompt}{answer}") }),
    }))
}

/// A text up to the end of its last sentence.
fn whole_sentences(text: &str) -> &str {
    let mut ends = text.char_indices().filter(|&(index, char)| {
        let rest = &text[index + char.len_utf8()..];
        matches!(char, '.' | '!' | '?' | '。' | '！' | '？')
            && rest.chars().next().is_none_or(char::is_whitespace)
    });
    ends.next_back().map_or("", |(index, char)| &text[..index + char.len_utf8()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_cut_text_ends_with_its_last_sentence() {
        assert_eq!(whole_sentences("One. Two is 2.5! And th"), "One. Two is 2.5!");
        assert_eq!(whole_sentences("no end"), "");
        assert_eq!(whole_sentences("Done."), "Done.");
    }

    #[test]
    fn texts_of_a_run_have_different_seeds() {
        let seeds: BTreeSet<u64> =
            (0..3).flat_map(|seed| (0..1000).map(move |index| seed_of(seed, index))).collect();
        assert_eq!(seeds.len(), 3000);
    }
}
