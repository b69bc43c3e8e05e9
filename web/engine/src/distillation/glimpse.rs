//! What the student is like while it is trained: how similar its layers are to the teacher's, and what
//! it writes.

use boomerang_core::generate::{Generation, Sampling, TextStream};
use boomerang_core::tokenizer::Tokenizer;

use super::messages::Glimpse;
use super::run::{DistillRun, DistillRunError};
use crate::notice::{Notice, chain};

/// Tokens of the sample.
const N_TOKENS: usize = 12;
/// Glimpses of a long run.
const MOST: usize = 20;

/// After how many steps a run is looked at again.
pub(super) fn steps_between(n_steps: usize) -> usize {
    n_steps.div_ceil(MOST).max(1)
}

pub(super) async fn glimpse(
    run: &DistillRun,
    tokenizer: &Tokenizer,
    prompt: &str,
) -> Result<Glimpse, Notice> {
    let similarity = run.similarity().await.map_err(|error: DistillRunError| not_shown(&error))?;
    let tokens = tokenizer.encode(prompt, true).map_err(|error| not_shown(&error))?;
    let student = run.student();
    let model = student.model();
    let ends = model.config().end_tokens();
    let generation = Generation::new(model, &tokens, N_TOKENS, Sampling::Greedy);
    let mut generation = generation.map_err(|error| not_shown(&error))?;
    let mut stream = TextStream::new(tokenizer, &tokens);
    let mut text = String::new();
    while let Some(token) = generation.next().await.map_err(|error| not_shown(&error))? {
        if ends.contains(&token) {
            break;
        }
        text += &stream.push(token).map_err(|error| not_shown(&error))?;
    }
    text += &stream.finish().map_err(|error| not_shown(&error))?;
    Ok(Glimpse { step: run.n_steps_done(), similarity, prompt: prompt.to_owned(), text })
}

fn not_shown(error: &dyn std::error::Error) -> Notice {
    let next = "Start again with a smaller learning rate.";
    Notice::new("The student cannot be evaluated.", chain(error), next)
}
