//! Calibration texts, on which members are compared with their teacher or with a stored bundle.

use std::path::PathBuf;

use boomerang_core::distill::{Batch, Layout};

use crate::args::numbers::count;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::files::require_next_token;
use crate::train::data::{Packing, Reading, read_rows};

/// Calibration texts, and the device to compare models on.
#[derive(Clone, Debug, clap::Args)]
pub struct CalibrationArgs {
    /// Calibration texts, in the formats of --data of `boomerang distill`; repeatable
    #[arg(long, value_name = "FILE")]
    pub calibration: Vec<PathBuf>,
    /// Number of calibration tokens
    #[arg(value_parser = count, long, default_value_t = 8192, value_name = "N")]
    pub calibration_tokens: usize,
}

/// Tokens per sequence.
const SEQ: usize = 256;

/// Numbers held for a batch at most, its logits for instance, unless a single row has more.
const MOST_NUMBERS: usize = 1 << 26;

impl CalibrationArgs {
    /// The first tokens of the texts, in batches whose logits fit in memory.
    ///
    /// # Errors
    /// When the texts cannot be used, or the model does not predict the next token.
    pub fn batches(&self, teacher: &ModelFolder) -> anyhow::Result<Vec<Batch>> {
        self.batches_holding(teacher, teacher.config().vocab)
    }

    /// The first tokens of the texts, in batches that fit in memory when `numbers_per_token`
    /// numbers are held for each token.
    ///
    /// # Errors
    /// As [`CalibrationArgs::batches`].
    pub fn batches_holding(
        &self,
        teacher: &ModelFolder,
        numbers_per_token: usize,
    ) -> anyhow::Result<Vec<Batch>> {
        let config = teacher.config();
        require_next_token(config, "a comparison on texts needs one that predicts the next token")?;
        let packing = Packing {
            seq: SEQ.min(config.max_seq),
            layout: Layout::Packed,
            end_token: teacher.eos_token()?,
        };
        let (tokenizer, template) = (teacher.tokenizer()?, teacher.chat_template()?);
        let reading = Reading {
            tokenizer: tokenizer.as_ref(),
            template: template.as_ref(),
            packing,
            model: config,
        };
        let rows = read_rows(&self.calibration, reading).or_exit(Exit::Unusable)?.with_targets()?;
        let n_rows = self.calibration_tokens.div_ceil(packing.seq).clamp(1, rows.len());
        let rows_per_batch = (MOST_NUMBERS / (rows.longest() * numbers_per_token)).max(1);
        let batches = (0..n_rows)
            .step_by(rows_per_batch)
            .map(|start| rows.batch(start, rows_per_batch.min(n_rows - start)));
        Ok(batches.collect::<Result<_, _>>()?)
    }
}
