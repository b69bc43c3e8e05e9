//! What members write, and what they expect along a text that is there already.

use boomerang_core::generate::{
    Along, Certainty, GenerateError, Generation, Sampling, TextStream, Written, certainties,
};
use boomerang_core::plan::Patch;
use boomerang_core::tokenizer::TokenizerError;

use crate::cast::{Cast, not_loaded};
use crate::messages::{CertainPlace, Ending, LensGuess, Reply, RunReport, ToldGuess};
use crate::notice::{Notice, chain};
use crate::turn::Turn;
use crate::worker::{Worker, ended, now_millis, post};

/// As many alternatives as fit beside a token.
const N_LIKELIEST: usize = 5;

/// For what the model said along the last text: 55 places of a vocabulary of 152 thousand tokens.
const KEPT_BYTES: usize = 32 << 20;
/// With keys and values; a text that takes more is not kept at all.
const MOST_KEPT_BYTES: usize = 128 << 20;

/// The last text, to be drawn again with other chances.
pub(crate) struct LastText {
    patch: Patch,
    written: Written,
}

impl Worker {
    /// Continues a text and tells every token as it is chosen. Where the last text was of the same
    /// member and prompt, the model runs only for what follows from another choice.
    pub(crate) async fn generate(
        &self,
        id: u32,
        patch: &Patch,
        prompt: &str,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, std::slice::from_ref(patch)).await? else {
            let report = RunReport {
                n_tokens: 0,
                n_reused: 0,
                first_millis: 0.0,
                rest_millis: 0.0,
                ending: Ending::Stopped,
            };
            post(&Reply::Done { id, text: String::new(), report });
            return Ok(());
        };
        let Cast { members, tokenizer, end_tokens } = cast;
        let member = &members[0];
        let prompt_tokens = tokenizer.encode(prompt, true).map_err(unreadable)?;
        let n_adopted = self.n_adopted.get();
        // Let go of before another text takes memory.
        let last = self.last_text.take();
        let last = last.filter(|it| it.patch == *patch && it.written.prompt() == prompt_tokens);
        let generation = match last {
            Some(last) => Generation::again(member, last.written, n_tokens, sampling),
            None => Generation::new(member, &prompt_tokens, n_tokens, sampling),
        };
        let mut generation = generation.map_err(impossible)?.keeping(KEPT_BYTES);
        let mut stream = TextStream::new(&tokenizer, &prompt_tokens);
        let has_room = prompt_tokens.len() + n_tokens <= member.config().max_seq;
        let turn = Turn::new()?;
        post(&Reply::Started { id, prompt_tokens });

        let mut start = now_millis();
        let mut first = start;
        let mut last = start;
        let mut n_done = 0;
        let mut n_reused = 0;
        let ending = loop {
            turn.end().await;
            if self.is_stopped(id) {
                break Ending::Stopped;
            }
            let Some(token) = generation.next().await.map_err(impossible)? else {
                break if has_room { Ending::Length } else { Ending::Window };
            };
            if end_tokens.contains(&token) {
                break Ending::EndOfText;
            }
            last = now_millis();
            n_done += 1;
            if generation.n_reused() == n_done {
                // What was drawn without the model says nothing of its speed.
                (n_reused, start, first) = (n_done, last, last);
            } else if n_done == n_reused + 1 {
                first = last;
            }
            let text = stream.push(token).map_err(unreadable)?;
            post(&Reply::Token { id, token, text });
        };
        let rest = stream.finish().map_err(unreadable)?;
        let report = RunReport {
            n_tokens: n_done,
            n_reused,
            first_millis: first - start,
            rest_millis: last - first,
            ending,
        };
        if self.n_adopted.get() == n_adopted {
            let written = generation.into_written();
            let written = written.filter(|written| written.n_bytes() <= MOST_KEPT_BYTES);
            let last_text = written.map(|written| LastText { patch: patch.clone(), written });
            self.last_text.replace(last_text);
        }
        post(&Reply::Done { id, text: rest, report });
        Ok(())
    }

    /// Lets members read a text, and tells what each of them expects, beside the last of them.
    pub(crate) async fn guess(
        &self,
        id: u32,
        patches: &[Patch],
        tokens: &[u32],
        from: usize,
    ) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, patches).await? else {
            return ended(id, true);
        };
        let Cast { members, tokenizer, .. } = cast;
        let reference = members.last().ok_or_else(not_loaded)?;
        let turn = Turn::new()?;
        let along = Along::new(reference, tokens, from).map_err(impossible)?;
        for member in &members {
            turn.end().await;
            if self.is_stopped(id) {
                return ended(id, true);
            }
            let guesses = along.guesses(member).await.map_err(|error| impossible(error.into()))?;
            let told = guesses.into_iter().map(|guess| {
                Ok::<_, TokenizerError>(ToldGuess { guess, text: tokenizer.label(guess.token)? })
            });
            let guesses = told.collect::<Result<_, _>>().map_err(unreadable)?;
            post(&Reply::Guessed { id, guesses });
        }
        ended(id, false)
    }

    /// Lets a member say how sure it was of each token.
    pub(crate) async fn certainty(
        &self,
        id: u32,
        patch: &Patch,
        tokens: &[u32],
        from: usize,
    ) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, std::slice::from_ref(patch)).await? else {
            return ended(id, true);
        };
        let found = certainties(&cast.members[0], tokens, from, N_LIKELIEST).await;
        let guess = |(token, probability): (u32, f64)| {
            let text = cast.tokenizer.label(token)?;
            Ok::<_, TokenizerError>(LensGuess { token, text, probability })
        };
        let place = |certainty: Certainty| {
            let likeliest = certainty.likeliest.into_iter().map(guess).collect::<Result<_, _>>()?;
            Ok::<_, TokenizerError>(CertainPlace { probability: certainty.probability, likeliest })
        };
        let places = found.map_err(impossible)?.into_iter().map(place);
        let places = places.collect::<Result<_, _>>().map_err(unreadable)?;
        post(&Reply::Certainty { id, places });
        ended(id, false)
    }
}

fn not_continued(why: String, next: &str) -> Notice {
    Notice::new("This text cannot be continued.", why, next)
}

fn unreadable(error: TokenizerError) -> Notice {
    not_continued(chain(&error), "Try another prompt.")
}

fn impossible(error: GenerateError) -> Notice {
    not_continued(chain(&error), "Try another prompt.")
}
