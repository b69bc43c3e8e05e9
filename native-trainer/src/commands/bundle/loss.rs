//! The quality that a bundle's number format costs: its members as stored, compared with the
//! originals.

use boomerang_core::bundle::{Recordings, StoringLoss, TaskFile, as_stored};
use boomerang_core::checkpoint::{Precision, StoredAs};
use boomerang_core::distill::{Batch, Layout};
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use futures_lite::future::block_on;

use super::BundleArgs;
use crate::device;
use crate::files::ModelFolder;
use crate::progress::{Progress, note};
use crate::train::data::similarity_batches;

/// The texts that the page will show, which are of the kind that the family is for.
pub(super) struct Shown<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) prompts: &'a [String],
    pub(super) recordings: Option<&'a Recordings>,
    pub(super) task: Option<&'a TaskFile>,
}

/// Every size on the path compared with itself, on the `--calibration` texts or else on what the
/// page will show. `None` when the format is lossless, or there is no text.
///
/// # Errors
/// When the texts cannot be used, or the models do not fit the device.
pub(super) fn measure(
    args: &BundleArgs,
    teacher: &ModelFolder,
    family: &Family,
    order: &PatchOrder,
    stored_as: StoredAs,
    shown: &Shown<'_>,
) -> anyhow::Result<Option<StoringLoss>> {
    if !args.measure_storing {
        return Ok(None);
    }
    let student = ModelFolder::open(&args.family.student)?;
    let own = [teacher, &student].map(|folder| {
        folder.checkpoint().map(|checkpoint| StoredAs::from(Precision::of_checkpoint(&checkpoint)))
    });
    let [of_teacher, of_student] = own;
    let is_exact =
        stored_as == Precision::F32.into() || [of_teacher?, of_student?] == [stored_as; 2];
    if is_exact {
        return Ok(None);
    }
    let batches = if args.calibration.calibration.is_empty() {
        shown.batches(teacher.config().max_seq)?
    } else {
        args.calibration.batches(teacher)?
    };
    if batches.is_empty() {
        note("the loss from storing the weights was not measured; give texts with --calibration");
        return Ok(None);
    }
    let chosen = device::choose(args.device.device)?;
    let before = if chosen.device == device::cpu() {
        family.clone()
    } else {
        note(&format!("device: {} ({})", chosen.description, chosen.reason));
        args.family.open(teacher, WeightFormat::F32, &chosen.device)?
    };
    let stored = as_stored(&before, stored_as, &chosen.device)?;
    let path = order.path(family.plan())?;
    let n_sizes = path.len();
    let mut progress = Progress::new("compare with original weights", n_sizes * batches.len());
    let mut compared = |n_compared: usize| {
        let n_done = n_compared / batches.len();
        progress.set(n_compared, || format!("{n_done} of {n_sizes} sizes"));
    };
    let loss = block_on(StoringLoss::measure(&before, &stored, &path, &batches, &mut compared))?;
    progress.finish();
    Ok(loss)
}

impl Shown<'_> {
    fn batches(&self, max_seq: usize) -> anyhow::Result<Vec<Batch>> {
        let encode = |text: &str| self.tokenizer.encode(text, true);
        let mut texts = Vec::new();
        if let Some(task) = self.task {
            texts.push(encode(&task.paragraph)?);
        }
        match self.recordings {
            Some(recordings) => {
                for text in &recordings.texts {
                    let written = text.members.iter().map(|member| &member.tokens);
                    texts.extend(written.map(|tokens| [&text.prompt_tokens[..], tokens].concat()));
                }
            }
            None => {
                for prompt in self.prompts {
                    texts.push(encode(prompt)?);
                }
            }
        }
        for question in self.task.iter().flat_map(|task| &task.questions) {
            let answer = question.choices.get(question.gold).map_or("", String::as_str);
            texts.push(encode(&format!("{}{answer}", question.context))?);
        }
        // A single token has none after it.
        let texts = texts.iter().filter(|tokens| tokens.len() > 1).map(|tokens| &**tokens);
        Ok(similarity_batches(texts, max_seq, Layout::Padded))
    }
}
