//! Which tokens a student learns to predict, and whether every micro-batch has some.

use boomerang_core::distill::{Labels, Rows};
use boomerang_core::tokenizer::Tokenizer;

use super::DistillArgs;
use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::files::eos_token;
use crate::train::data::PreparedData;

/// The choice of labels; the reference implementation pads with the tokenizer's EOS, and its
/// padding token is never a label.
///
/// # Errors
/// When EOS is to be left out, and no file names it.
pub(super) fn choose(
    args: &DistillArgs,
    teacher: &ModelFolder,
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Labels> {
    if !args.ignores_eos() {
        return Ok(Labels::All);
    }
    match eos_token(teacher, tokenizer)? {
        Some(token) => Ok(Labels::Except(token)),
        None => Err(Exit::Unusable.error(format!(
            "{}: no file names the end-of-text token, which is excluded from the labels; expected \
             eos_token in tokenizer_config.json or eos_token_id in config.json, or --eos-labels \
             learnt",
            teacher.path().display()
        ))),
    }
}

/// The mean over no labels is NaN, with which the reference implementation would continue.
///
/// # Errors
/// Names the first micro-batch without a label.
pub(super) fn check(args: &DistillArgs, n_steps: usize, rows: &Rows) -> anyhow::Result<()> {
    // Prepared data may be too many to read beforehand.
    let is_prepared = args.data.iter().any(|path| PreparedData::is_in(path));
    // In another order than the files', a batch is not known by its first sequence.
    let is_in_order =
        args.shuffle_seed.is_none() && args.data_weights.is_empty() && args.second_data.is_empty();
    if args.loss.weights.cross_entropy == 0.0 || is_prepared || !is_in_order {
        return Ok(());
    }
    let has_label = |row| rows.batch(row, 1).map(|batch| batch.n_labels() > 0);
    let has_label: Vec<bool> = (0..rows.len()).map(has_label).collect::<Result<_, _>>()?;
    let n_micro_batches = n_steps.saturating_mul(args.micro_batches);
    // After these the data repeats.
    for number in 0..n_micro_batches.min(rows.len()) {
        let start = number * args.rows % rows.len();
        let mut all = (start..).take(args.rows.min(rows.len())).map(|row| row % rows.len());
        if !all.any(|row| has_label[row]) {
            return Err(Exit::Unusable.error(format!(
                "micro-batch {} (from document {} on) has no labels, because {}; remove such \
                 documents, raise --batch-size, or disable the cross-entropy with --ce-weight 0",
                number + 1,
                start + 1,
                if args.ignores_eos() {
                    "all its tokens but the first are end-of-text tokens or labeled -100"
                } else {
                    "its documents have a single token or only labels of -100"
                }
            )));
        }
    }
    Ok(())
}
