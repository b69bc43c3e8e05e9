//! Generating texts, and the predictions of members along a given text.

use boomerang_core::generate::{
    Certainty, GenerateError, Generation, ReplayCache, Sampling, SharedLayers, TextComparison,
    TextStream, certainties, next_logits,
};
use boomerang_core::plan::Patch;
use boomerang_core::tokenizer::TokenizerError;

use crate::members::{ReadyMembers, not_loaded};
use crate::messages::{
    Answer, Ending, GuessedToken, LikelyToken, Prompt, Reply, RunReport, TextEvent, TextReply,
    TokenCertainty,
};
use crate::notice::Notice;
use crate::prompt::{EncodedPrompt, n_unknown, not_continued};
use crate::turn::Turn;
use crate::worker::{Worker, answer, ended, now_millis, post};

/// As many alternatives as fit next to a token.
const N_MOST_LIKELY: usize = 5;

/// For the predictions along the last text: 55 positions of a vocabulary of 152 thousand tokens.
const CACHED_BYTES: usize = 32 << 20;
/// With keys, values and states; a text that takes more is cached without states, or not at all.
const MOST_CACHED_BYTES: usize = 128 << 20;

/// The last text, to be sampled again with other settings, or continued by another member.
pub(crate) struct LastText {
    patch: Patch,
    cache: ReplayCache,
}

/// A text to generate.
pub(crate) struct TextTask {
    pub(crate) patch: Patch,
    pub(crate) prompt: Prompt,
    /// Tokens after the prompt that were generated before.
    pub(crate) before: Vec<u32>,
    pub(crate) n_tokens: usize,
    pub(crate) sampling: Sampling,
}

impl Worker {
    /// Continues a text and reports every token as it is chosen. When the last text had the same
    /// member and beginning, the model runs only from the first token that is chosen differently;
    /// when another member continues it, the layers that both share keep what they computed.
    pub(crate) async fn generate(&self, id: u32, task: &TextTask) -> Result<(), Notice> {
        let TextTask { patch, prompt, before, n_tokens, sampling } = task;
        let (n_tokens, sampling) = (*n_tokens, *sampling);
        let Some(ready) = self.ready_members(id, std::slice::from_ref(patch)).await? else {
            let report = RunReport {
                n_tokens: 0,
                n_reused: 0,
                first_millis: 0.0,
                rest_millis: 0.0,
                ending: Ending::Stopped,
                kept: None,
            };
            text_event(id, TextEvent::Done { text: String::new(), report });
            return Ok(());
        };
        let ReadyMembers { members, tokenizer, mut end_tokens, chat } = ready;
        let member = &members[0];
        let prompt = EncodedPrompt::new(prompt, chat.as_ref(), &tokenizer)?;
        let EncodedPrompt { tokens: prompt_tokens, rendered, end_of_turn } = prompt;
        end_tokens.extend(end_of_turn);
        let n_adopted = self.n_adopted.get();
        let plan = self.plan()?;
        let text = [&*prompt_tokens, before].concat();
        let mut stream = TextStream::new(&tokenizer, &text);
        let fits_window = text.len() + n_tokens < member.config().max_seq;
        let turn = Turn::new()?;
        let n_unknown = n_unknown(&prompt_tokens, &tokenizer);
        text_event(id, TextEvent::Started { prompt_tokens, rendered, n_unknown });

        let mut start = now_millis();
        let is_same = |it: &LastText| it.patch == *patch && it.cache.prompt() == text;
        // Dropped before another text takes memory.
        let last = self.last_text.take().filter(|it| is_same(it) || !before.is_empty());
        let generation = match last {
            Some(last) if is_same(&last) => {
                Generation::replay(member, last.cache, n_tokens, sampling).map(|it| (it, None))
            }
            Some(LastText { patch: of, cache }) => {
                let shared = SharedLayers::new(&plan, &of, patch);
                Generation::switched(member, cache, &text, &shared, n_tokens, sampling)
                    .map(|(it, kept)| (it, Some(kept)))
            }
            None => Generation::new(member, &text, n_tokens, sampling).map(|it| (it, None)),
        };
        let (generation, kept) = generation.map_err(not_continued)?;
        let generation = generation.keeping_states(&plan.branch_layers(patch));
        let mut generation = generation.keeping(CACHED_BYTES);
        let mut first = start;
        let mut last = start;
        let mut n_done = 0;
        let mut n_reused = 0;
        let ending = loop {
            turn.end().await;
            if self.is_stopped(id) {
                break Ending::Stopped;
            }
            let Some(token) = generation.next().await.map_err(not_continued)? else {
                break if fits_window { Ending::Length } else { Ending::Window };
            };
            if end_tokens.contains(&token) {
                break Ending::EndOfText;
            }
            last = now_millis();
            n_done += 1;
            if generation.n_reused() == n_done {
                // Reused predictions do not count towards the speed.
                (n_reused, start, first) = (n_done, last, last);
            } else if n_done == n_reused + 1 {
                first = last;
            }
            let text = stream.push(token).map_err(not_continued)?;
            text_event(id, TextEvent::Token { token, text });
        };
        let rest = stream.finish().map_err(not_continued)?;
        let report = RunReport {
            n_tokens: n_done,
            n_reused,
            first_millis: first - start,
            rest_millis: last - first,
            ending,
            kept,
        };
        if self.n_adopted.get() == n_adopted {
            let is_small = |cache: &ReplayCache| cache.n_bytes() <= MOST_CACHED_BYTES;
            let cache = generation.into_replay_cache();
            let cache = cache.map(|it| if is_small(&it) { it } else { it.without_states() });
            let cache = cache.filter(is_small);
            let last_text = cache.map(|cache| LastText { patch: patch.clone(), cache });
            self.last_text.replace(last_text);
        }
        text_event(id, TextEvent::Done { text: rest, report });
        Ok(())
    }

    /// Reports the logits of the token after a prompt.
    pub(crate) async fn logits(
        &self,
        id: u32,
        patch: &Patch,
        prompt: &Prompt,
    ) -> Result<(), Notice> {
        let Some(ready) = self.ready_members(id, std::slice::from_ref(patch)).await? else {
            return ended(id, true);
        };
        let ReadyMembers { members, tokenizer, chat, .. } = ready;
        let prompt = EncodedPrompt::new(prompt, chat.as_ref(), &tokenizer)?;
        let logits = next_logits(&members[0], &prompt.tokens).await.map_err(not_continued)?;
        answer(id, Answer::Logits(logits));
        ended(id, false)
    }

    /// Runs members along a text, and reports the predictions of each, compared with the last one.
    pub(crate) async fn guess(
        &self,
        id: u32,
        patches: &[Patch],
        tokens: &[u32],
        from: usize,
    ) -> Result<(), Notice> {
        let Some(ready) = self.ready_members(id, patches).await? else {
            return ended(id, true);
        };
        let ReadyMembers { members, tokenizer, .. } = ready;
        let reference = members.last().ok_or_else(not_loaded)?;
        let turn = Turn::new()?;
        let comparison = TextComparison::new(reference, tokens, from).map_err(not_continued)?;
        for member in &members {
            turn.end().await;
            if self.is_stopped(id) {
                return ended(id, true);
            }
            let guesses = comparison
                .guesses(member)
                .await
                .map_err(|error| not_continued(GenerateError::from(error)))?;
            let guesses = guesses.into_iter().map(|guess| {
                Ok::<_, TokenizerError>(GuessedToken { guess, text: tokenizer.label(guess.token)? })
            });
            let guesses = guesses.collect::<Result<_, _>>().map_err(not_continued)?;
            answer(id, Answer::Guesses(guesses));
        }
        ended(id, false)
    }

    /// Reports the probability that a member gives to each token.
    pub(crate) async fn certainty(
        &self,
        id: u32,
        patch: &Patch,
        tokens: &[u32],
        from: usize,
    ) -> Result<(), Notice> {
        let Some(ready) = self.ready_members(id, std::slice::from_ref(patch)).await? else {
            return ended(id, true);
        };
        let found = certainties(&ready.members[0], tokens, from, N_MOST_LIKELY).await;
        let guess = |(token, probability): (u32, f64)| {
            let text = ready.tokenizer.label(token)?;
            Ok::<_, TokenizerError>(LikelyToken { token, text, probability })
        };
        let token = |Certainty { probability, most_likely }: Certainty| {
            let most_likely = most_likely.into_iter().map(guess).collect::<Result<_, _>>()?;
            Ok::<_, TokenizerError>(TokenCertainty { probability, most_likely })
        };
        let tokens = found.map_err(not_continued)?.into_iter().map(token);
        let tokens = tokens.collect::<Result<_, _>>().map_err(not_continued)?;
        answer(id, Answer::Certainties(tokens));
        ended(id, false)
    }
}

fn text_event(id: u32, event: TextEvent) {
    post(&Reply::Text { id, reply: TextReply::Event(event) });
}
