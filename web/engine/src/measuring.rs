//! How well members do: on a text that none of them has seen, and on questions, with the time and
//! the memory that this machine needs.

use boomerang_core::bundle::TaskFile;
use boomerang_core::evaluate::{
    ChoiceError, Examination, PrefixTree, ReadBackError, Score, Stack, TextDoc,
};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;

use crate::cast::{Cast, no_number, unread};
use crate::messages::{MeasuredMember, Reply, TextScore};
use crate::notice::{Notice, chain};
use crate::turn::Turn;
use crate::worker::{Worker, ended, now_millis, post};

/// Tokens that run at once, padding included: enough for a matrix product to be worth it, and few
/// enough for a phone.
const TOKENS_PER_BATCH: usize = 1024;

/// Questions between two looks at whether the reader has had enough.
const QUESTIONS_AT_ONCE: usize = 8;

/// Tokens whose time is taken.
const N_TIMED: usize = 32;

impl Worker {
    /// Lets members read a text, and tells how well each of them expects it.
    pub(crate) async fn score(&self, id: u32, patches: &[Patch], text: &str) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, patches).await? else { return ended(id, true) };
        let Cast { members, tokenizer, .. } = cast;
        let tokens = tokenizer.encode(text, true).map_err(unread)?;
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
                Examination::new(texts, &[], Some(&tokenizer), max_seq).map_err(unasked)?;
            let score = examine(&examination, member).await?;
            let found = score.perplexity.ok_or_else(|| {
                let why = "a text of a single token leaves nothing to expect";
                Notice::new("This text cannot be measured.", why, "Write some more.")
            })?;
            if !found.nats_per_token.is_finite() {
                return Err(no_number());
            }
            let score = TextScore { nats: found.nats_per_token, n_tokens: found.n_tokens };
            post(&Reply::Scored { id, score });
        }
        ended(id, false)
    }

    /// Lets members answer questions and continue a text, and tells how well and how fast.
    ///
    /// A question is answered by the likeliest of its choices, as `acc` of
    /// [`Accuracy`](boomerang_core::evaluate::Accuracy) has it: that is what the curve of the bundle
    /// shows.
    pub(crate) async fn measure(
        &self,
        id: u32,
        patches: &[Patch],
        task: &TaskFile,
    ) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, patches).await? else { return ended(id, true) };
        let Cast { members, tokenizer, .. } = cast;
        let first = task.questions.first();
        let prompt = first.map_or(&task.paragraph, |question| &question.context);
        let prompt = tokenizer.encode(prompt, true).map_err(unread)?;
        let turn = Turn::new()?;
        for member in &members {
            let max_seq = member.config().max_seq;
            let most = max_seq.saturating_sub(N_TIMED + 1).max(1);
            let prompt = &prompt[..prompt.len().min(most)];
            let mut n_correct = 0;
            let mut millis = 0.0;
            // On a GPU the first tokens wait for its programs to be compiled.
            let warm_up = self.decode(id, member, prompt, 1, &turn).await?;
            if warm_up.is_none() {
                return ended(id, true);
            }
            for questions in task.questions.chunks(QUESTIONS_AT_ONCE) {
                turn.end().await;
                if self.is_stopped(id) {
                    return ended(id, true);
                }
                let examination =
                    Examination::new(&[], questions, Some(&tokenizer), max_seq).map_err(unasked)?;
                let start = now_millis();
                n_correct += n_correct_of(&examine(&examination, member).await?);
                millis += now_millis() - start;
            }
            let speed = self.decode(id, member, prompt, N_TIMED, &turn).await?;
            let Some(tokens_per_second) = speed else { return ended(id, true) };
            let measured = MeasuredMember {
                n_correct,
                n_questions: task.questions.len(),
                millis,
                tokens_per_second,
                heap_bytes: heap_bytes(),
            };
            post(&Reply::Measured { id, measured });
        }
        ended(id, false)
    }

    /// Tokens per second after the first one; `None` when the reader has had enough.
    ///
    /// As many as asked for, or as fit the window: a text that has ended goes on, since every token
    /// takes the same time.
    async fn decode(
        &self,
        id: u32,
        member: &LanguageModel,
        prompt: &[u32],
        n_tokens: usize,
        turn: &Turn,
    ) -> Result<Option<f64>, Notice> {
        let generation = Generation::new(member, prompt, n_tokens + 1, Sampling::Greedy);
        let mut generation = generation.map_err(unread)?;
        generation.next().await.map_err(unread)?;
        let start = now_millis();
        let mut n_done = 0_u32;
        while generation.next().await.map_err(unread)?.is_some() {
            n_done += 1;
            turn.end().await;
            if self.is_stopped(id) {
                return Ok(None);
            }
        }
        // A clock that browsers made coarse may not have moved.
        let millis = (now_millis() - start).max(0.01);
        Ok(Some(f64::from(n_done) * 1000.0 / millis))
    }
}

async fn examine(examination: &Examination, member: &LanguageModel) -> Result<Score, Notice> {
    let tree = PrefixTree::new(&[Stack::whole(0, member)]);
    let scores = examination.score(&[member], &tree, TOKENS_PER_BATCH, &mut |_| {}).await;
    let lost = |error: ReadBackError| {
        Notice::new("The model cannot be measured.", chain(&error), "Reload the page.")
    };
    scores.map_err(lost)?.pop().ok_or_else(no_number)
}

/// Over all tasks together; their accuracies are shares.
fn n_correct_of(score: &Score) -> usize {
    let tasks = score.tasks.values();
    tasks.map(|task| (task.acc * task.n_questions as f64).round() as usize).sum()
}

fn unasked(error: ChoiceError) -> Notice {
    let next = "The bundle's task has to be made again for this model.";
    Notice::new("The questions cannot be asked.", chain(&error), next)
}

/// WebAssembly's memory as it is now; it never shrinks while the worker lives.
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
    fn right_answers_are_counted_over_all_tasks() {
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
