//! Measuring members: the loss on a held-out text, the accuracy on questions, and the time and memory
//! that this machine needs.

use boomerang_core::bundle::TaskFile;
use boomerang_core::evaluate::{
    ChoiceError, Examination, PrefixTree, ReadBackError, Score, Stack, TextDoc,
};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;

use crate::members::{ReadyMembers, not_finite, not_processed};
use crate::messages::{Answer, DecodingSpeed, MeasuredMember, TextScore};
use crate::notice::{Notice, chain};
use crate::steady::RepeatedRuns;
use crate::turn::Turn;
use crate::worker::{Worker, answer, ended, now_millis};

/// Tokens per batch, padding included: enough for efficient matrix products, and few enough for a
/// phone.
const TOKENS_PER_BATCH: usize = 1024;

/// Questions between two checks whether the user has stopped the request.
const QUESTIONS_AT_ONCE: usize = 8;

/// Tokens of a run that are timed.
const N_TIMED: usize = 32;

impl Worker {
    /// Reports how well each member predicts a text.
    pub(crate) async fn score(&self, id: u32, patches: &[Patch], text: &str) -> Result<(), Notice> {
        let Some(ready) = self.ready_members(id, patches).await? else { return ended(id, true) };
        let ReadyMembers { members, tokenizer, .. } = ready;
        let tokens = tokenizer.encode(text, true).map_err(not_processed)?;
        let doc = TextDoc::new(tokens, text.len());
        let turn = Turn::new()?;
        for member in &members {
            turn.end().await;
            if self.is_stopped(id) {
                return ended(id, true);
            }
            let max_seq = member.config().max_seq;
            let texts = std::slice::from_ref(&doc);
            let examination =
                Examination::new(texts, &[], Some(&tokenizer), max_seq).map_err(not_asked)?;
            let score = examine(&examination, member).await?;
            let found = score.perplexity.ok_or_else(|| {
                let why = "a text of a single token leaves nothing to predict";
                Notice::new("This text cannot be measured.", why, "Enter a longer text.")
            })?;
            if !found.nats_per_token.is_finite() {
                return Err(not_finite());
            }
            let score = TextScore { nats: found.nats_per_token, n_tokens: found.n_tokens };
            answer(id, Answer::Score(score));
        }
        ended(id, false)
    }

    /// Reports the accuracy of members on questions, and their decoding speed.
    ///
    /// The answer to a question is the most likely of its choices, as in `acc` of
    /// [`Accuracy`](boomerang_core::evaluate::Accuracy), which the curve of the bundle shows.
    pub(crate) async fn measure(
        &self,
        id: u32,
        patches: &[Patch],
        task: &TaskFile,
    ) -> Result<(), Notice> {
        let Some(ready) = self.ready_members(id, patches).await? else { return ended(id, true) };
        let ReadyMembers { members, tokenizer, .. } = ready;
        let first = task.questions.first();
        let prompt = first.map_or(&task.paragraph, |question| &question.context);
        let prompt = tokenizer.encode(prompt, true).map_err(not_processed)?;
        let turn = Turn::new()?;
        for member in &members {
            let max_seq = member.config().max_seq;
            let most = max_seq.saturating_sub(N_TIMED + 1).max(1);
            let prompt = &prompt[..prompt.len().min(most)];
            let mut n_correct = 0;
            let mut millis = 0.0;
            // On a GPU, shaders are compiled for the first tokens.
            let warm_up = self.decode(id, member, prompt, 1, &turn).await?;
            if warm_up.is_none() {
                return ended(id, true);
            }
            for questions in task.questions.chunks(QUESTIONS_AT_ONCE) {
                turn.end().await;
                if self.is_stopped(id) {
                    return ended(id, true);
                }
                let examination = Examination::new(&[], questions, Some(&tokenizer), max_seq)
                    .map_err(not_asked)?;
                let start = now_millis();
                n_correct += n_correct_of(&examine(&examination, member).await?);
                millis += now_millis() - start;
            }
            let speed = self.decoding_speed(id, member, prompt, &turn).await?;
            let Some(speed) = speed else { return ended(id, true) };
            let measured = MeasuredMember {
                n_correct,
                n_questions: task.questions.len(),
                millis,
                speed,
                heap_bytes: heap_bytes(),
            };
            answer(id, Answer::Measured(measured));
        }
        ended(id, false)
    }

    /// Decodes the same tokens again until the speed is steady; `None` when the request is stopped.
    async fn decoding_speed(
        &self,
        id: u32,
        member: &LanguageModel,
        prompt: &[u32],
        turn: &Turn,
    ) -> Result<Option<DecodingSpeed>, Notice> {
        let mut runs = RepeatedRuns::default();
        while !runs.is_done() {
            let Some((n_done, millis)) = self.decode(id, member, prompt, N_TIMED, turn).await?
            else {
                return Ok(None);
            };
            runs.push(n_done, millis);
        }
        Ok(runs.result())
    }

    /// How many tokens it decoded after the first one, and in how many milliseconds; `None` when the
    /// request is stopped.
    ///
    /// It decodes the requested number of tokens, or as many as fit in the context window, past the end
    /// of the text: every token takes the same time.
    async fn decode(
        &self,
        id: u32,
        member: &LanguageModel,
        prompt: &[u32],
        n_tokens: usize,
        turn: &Turn,
    ) -> Result<Option<(u32, f64)>, Notice> {
        let generation = Generation::new(member, prompt, n_tokens + 1, Sampling::Greedy);
        let mut generation = generation.map_err(not_processed)?;
        generation.next().await.map_err(not_processed)?;
        let start = now_millis();
        let mut n_done = 0_u32;
        while generation.next().await.map_err(not_processed)?.is_some() {
            n_done += 1;
            turn.end().await;
            if self.is_stopped(id) {
                return Ok(None);
            }
        }
        Ok(Some((n_done, now_millis() - start)))
    }
}

async fn examine(examination: &Examination, member: &LanguageModel) -> Result<Score, Notice> {
    let tree = PrefixTree::new(&[Stack::whole(0, member)]);
    let scores = examination.score(&[member], &tree, TOKENS_PER_BATCH, &mut |_| {}).await;
    let lost = |error: ReadBackError| {
        Notice::new("The model cannot be measured.", chain(&error), "Reload the page.")
    };
    scores.map_err(lost)?.pop().ok_or_else(not_finite)
}

/// Over all tasks; accuracies are fractions.
fn n_correct_of(score: &Score) -> usize {
    let tasks = score.tasks.values();
    tasks.map(|task| (task.acc * task.n_questions as f64).round() as usize).sum()
}

fn not_asked(error: ChoiceError) -> Notice {
    let next = "Create the bundle's task again for this model.";
    Notice::new("The questions cannot be asked.", chain(&error), next)
}

/// The current size of WebAssembly's memory, which never shrinks while the worker runs.
#[cfg(target_family = "wasm")]
fn heap_bytes() -> u64 {
    use wasm_bindgen::JsCast;

    let memory = wasm_bindgen::memory().dyn_into::<js_sys::WebAssembly::Memory>();
    let buffer =
        memory.ok().and_then(|memory| memory.buffer().dyn_into::<js_sys::ArrayBuffer>().ok());
    buffer.map_or(0, |buffer| u64::from(buffer.byte_length()))
}

#[cfg(not(target_family = "wasm"))]
fn heap_bytes() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boomerang_core::evaluate::Accuracy;

    use super::*;

    #[test]
    fn correct_answers_are_counted_over_all_tasks() {
        let accuracy = |acc, n_questions| Accuracy {
            acc,
            acc_norm: 0.0,
            acc_stderr: 0.0,
            acc_norm_stderr: 0.0,
            n_questions,
            chance: 0.25,
        };
        let tasks = [("a", accuracy(2.0 / 3.0, 3)), ("b", accuracy(0.6, 5))];
        let tasks = tasks.map(|(name, accuracy)| (name.to_owned(), accuracy));
        let score = Score { perplexity: None, tasks: BTreeMap::from(tasks) };
        assert_eq!(n_correct_of(&score), 5);
    }
}
