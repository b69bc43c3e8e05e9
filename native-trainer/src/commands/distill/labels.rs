//! Which tokens a student learns to predict, and whether every micro-batch has some.

use boomerang_core::distill::{Labels, Rows};
use boomerang_core::tokenizer::Tokenizer;

use super::DistillArgs;
use crate::exit::Exit;
use crate::files::ModelFolder;
use crate::files::eos_token;

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
            "{}: the end-of-text token is to be left out of the labels, and no file names it; \
             expected eos_token in tokenizer_config.json or eos_token_id in config.json, or \
             --eos-labels learnt",
            teacher.path().display()
        ))),
    }
}

/// The mean over no label is not a number: the reference implementation would go on with NaN.
///
/// # Errors
/// Names the first micro-batch without a label.
pub(super) fn check(args: &DistillArgs, rows: &Rows) -> anyhow::Result<()> {
    if args.loss.weights.cross_entropy == 0.0 {
        return Ok(());
    }
    let has_label: Vec<bool> =
        (0..rows.len()).map(|row| rows.batch(row, 1).n_labels() > 0).collect();
    let n_micro_batches = args.steps.saturating_mul(args.micro_batches);
    // After so many they come again.
    for number in 0..n_micro_batches.min(rows.len()) {
        let start = number * args.rows % rows.len();
        let mut all = (start..).take(args.rows.min(rows.len())).map(|row| row % rows.len());
        if !all.any(|row| has_label[row]) {
            return Err(Exit::Unusable.error(format!(
                "micro-batch {} (document {} and on) has nothing to predict, because {}: its \
                 cross-entropy is a mean over nothing; remove such documents, raise --rows, or turn \
                 the term off with --ce-weight 0",
                number + 1,
                start + 1,
                if args.ignores_eos() {
                    "all its tokens but the first are the end-of-text token or not labels"
                } else {
                    "its documents have a single token or no labels"
                }
            )));
        }
    }
    Ok(())
}
