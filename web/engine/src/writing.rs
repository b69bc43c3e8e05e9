//! What members write, and what they expect along a text that is there already.

use boomerang_core::bundle::BundleError;
use boomerang_core::generate::{Along, GenerateError, Generation, Sampling, TextStream};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;
use boomerang_core::tokenizer::{Tokenizer, TokenizerError};

use crate::fetch::reason;
use crate::loading::Bundle;
use crate::messages::{Ending, Reply, RunReport, ToldGuess};
use crate::notice::{Notice, chain};
use crate::turn::Turn;
use crate::worker::{Worker, now_millis, post};

/// Who takes part in an answer.
struct Cast {
    members: Vec<LanguageModel>,
    tokenizer: Tokenizer,
    end_tokens: Vec<u32>,
}

impl Worker {
    /// Continues a text and tells every token as it is chosen.
    pub(crate) async fn generate(
        &self,
        id: u32,
        patch: &Patch,
        prompt: &str,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<(), Notice> {
        let Some(cast) = self.cast(id, std::slice::from_ref(patch)).await? else {
            let (n_tokens, first_millis, rest_millis) = (0, 0.0, 0.0);
            let report = RunReport { n_tokens, first_millis, rest_millis, ending: Ending::Stopped };
            post(&Reply::Done { id, text: String::new(), report });
            return Ok(());
        };
        let Cast { members, tokenizer, end_tokens } = cast;
        let member = &members[0];
        let prompt_tokens = tokenizer.encode(prompt, true).map_err(unreadable)?;
        let mut generation =
            Generation::new(member, &prompt_tokens, n_tokens, sampling).map_err(impossible)?;
        let mut stream = TextStream::new(&tokenizer, &prompt_tokens);
        let has_room = prompt_tokens.len() + n_tokens <= member.config().max_seq;
        let turn =
            Turn::new().map_err(|error| not_continued(reason(&error), "Reload the page."))?;
        post(&Reply::Started { id, prompt_tokens });

        let start = now_millis();
        let mut first = start;
        let mut last = start;
        let mut n_done = 0;
        let ending = loop {
            turn.end().await;
            if self.stopped.get() >= id {
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
            if n_done == 1 {
                first = last;
            }
            let text = stream.push(token).map_err(unreadable)?;
            post(&Reply::Token { id, token, text });
        };
        let rest = stream.finish().map_err(unreadable)?;
        let report = RunReport {
            n_tokens: n_done,
            first_millis: first - start,
            rest_millis: last - first,
            ending,
        };
        post(&Reply::Done { id, text: rest, report });
        Ok(())
    }

    /// Lets members read a text, and tells what each of them expects.
    pub(crate) async fn guess(
        &self,
        id: u32,
        patches: &[Patch],
        tokens: &[u32],
        from: usize,
    ) -> Result<(), Notice> {
        let everyone = [patches, &[self.teacher_patch()?]].concat();
        let Some(cast) = self.cast(id, &everyone).await? else {
            post(&Reply::Ended { id, is_stopped: true });
            return Ok(());
        };
        let Cast { members, tokenizer, .. } = cast;
        let (teacher, members) = members.split_last().ok_or_else(not_loaded)?;
        let turn =
            Turn::new().map_err(|error| not_continued(reason(&error), "Reload the page."))?;
        let along = Along::new(teacher, tokens, from).map_err(impossible)?;
        for member in members {
            turn.end().await;
            if self.stopped.get() >= id {
                post(&Reply::Ended { id, is_stopped: true });
                return Ok(());
            }
            let guesses = along.guesses(member).await.map_err(|error| impossible(error.into()))?;
            let told = guesses.into_iter().map(|guess| {
                Ok::<_, TokenizerError>(ToldGuess {
                    guess,
                    text: tokenizer.decode(&[guess.token])?,
                })
            });
            let guesses = told.collect::<Result<_, _>>().map_err(unreadable)?;
            post(&Reply::Guessed { id, guesses });
        }
        post(&Reply::Ended { id, is_stopped: false });
        Ok(())
    }

    /// The members of these patches, once their files are here; `None` when the reader stops waiting.
    async fn cast(&self, id: u32, patches: &[Patch]) -> Result<Option<Cast>, Notice> {
        loop {
            let missing = match self.cast_now(patches)? {
                Ok(cast) => return Ok(Some(cast)),
                Err(missing) => missing,
            };
            self.want(patches);
            if !self.next_arrival().await {
                let why = format!("{}, and loading has stopped", chain(&missing));
                return Err(not_continued(why, "Load the rest, or choose a size that is here."));
            }
            if self.stopped.get() >= id {
                return Ok(None);
            }
        }
    }

    fn teacher_patch(&self) -> Result<Patch, Notice> {
        let bundle = self.bundle.borrow();
        let bundle = bundle.as_ref().ok_or_else(not_loaded)?;
        Ok(Patch::all(&bundle.loader.manifest().plan))
    }

    /// Cloning a model copies no weights, and a new family may be loaded meanwhile.
    fn cast_now(&self, patches: &[Patch]) -> Result<Result<Cast, BundleError>, Notice> {
        let bundle = self.bundle.borrow();
        let Bundle { loader, end_tokens, .. } = bundle.as_ref().ok_or_else(not_loaded)?;
        let members = || -> Result<Cast, BundleError> {
            Ok(Cast {
                members: patches
                    .iter()
                    .map(|patch| loader.member(patch))
                    .collect::<Result<_, _>>()?,
                tokenizer: loader.tokenizer()?.clone(),
                end_tokens: end_tokens.clone(),
            })
        };
        Ok(members())
    }
}

fn not_loaded() -> Notice {
    not_continued("No model is loaded.".to_owned(), "Load it first.")
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
