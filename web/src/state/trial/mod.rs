//! Several members with one prompt: what each of them writes, and what it expects along the text of
//! the teacher, or of the largest that has room here.
//!
//! A trial says which request comes next and takes in the replies; it sends and shows nothing.

pub mod sweep;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Ending, Reply, Request, ToldGuess};
use boomerang_engine::notice::Notice;

use crate::family::{FamilyCard, MemberSize};
use crate::state::run::{Run, Task};

/// Members that are tried with the same prompt and the same draw.
///
/// Invariant: there is a part, and the last is the one with which the others are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Smallest member first.
    pub parts: Vec<Part>,
    pub state: TrialState,
    /// `teacher`, or what stands for it where that has no room.
    pub reference_name: &'static str,
    task: Task,
    /// The request that is being answered.
    id: u32,
}

/// One member in a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub patch: Patch,
    pub size: MemberSize,
    /// The reference takes part without being shown where it was not chosen.
    pub is_shown: bool,
    writes: bool,
    pub run: Option<Run>,
    /// What it expects along the reference's text, place by place; empty until it has said so.
    pub guesses: Vec<ToldGuess>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialState {
    Writing,
    Guessing,
    Whole,
    Stopped,
    Failed(Notice),
}

impl TrialState {
    pub fn notice(&self) -> Option<&Notice> {
        match self {
            Self::Failed(notice) => Some(notice),
            _ => None,
        }
    }
}

/// How near a member comes to the reference along the reference's text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    pub n_places: usize,
    /// Places at which both expect the same token.
    pub n_agreeing: usize,
    /// Mean `KL(reference ‖ member)` of the next token, in nats.
    pub kl: f64,
}

impl Trial {
    /// The members at these stops of the dial write; then all read what the one at `last` wrote, the
    /// largest that has room.
    pub fn of_writers(family: &FamilyCard, stops: &[usize], last: usize, task: Task) -> Self {
        let mut all: Vec<usize> = stops.iter().copied().filter(|&stop| stop <= last).collect();
        all.push(last);
        all.sort_unstable();
        all.dedup();
        let part = |&stop: &usize| Part::new(family, stop, stops.contains(&stop), true);
        Self::new(family, all.iter().map(part).collect(), last, task)
    }

    /// Only the member at `last` writes, the largest that has room, and those at all stops up to it
    /// read that.
    pub fn of_readers(family: &FamilyCard, last: usize, task: Task) -> Self {
        let parts = (0..=last).map(|stop| Part::new(family, stop, true, stop == last));
        Self::new(family, parts.collect(), last, task)
    }

    fn new(family: &FamilyCard, parts: Vec<Part>, last: usize, task: Task) -> Self {
        let is_teacher = last == family.last_stop();
        let reference_name = if is_teacher { "teacher" } else { "largest size here" };
        Self { parts, state: TrialState::Writing, reference_name, task, id: 0 }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, TrialState::Writing | TrialState::Guessing)
    }

    pub fn prompt(&self) -> &str {
        &self.task.prompt
    }

    /// The part with which the others are compared.
    pub fn reference(&self) -> &Part {
        &self.parts[self.parts.len() - 1]
    }

    /// The tokens that the reference has added to the prompt so far.
    pub fn reference_tokens(&self) -> Vec<u32> {
        self.reference().run.as_ref().map(Run::tokens).unwrap_or_default()
    }

    /// What to ask the worker for next, under this number; `None` when nothing is left.
    pub fn next_request(&mut self, id: u32) -> Option<Request> {
        if self.state != TrialState::Writing {
            return None;
        }
        self.id = id;
        // The reference first: the others are compared with it as they write.
        let last = self.parts.len() - 1;
        let order = [last].into_iter().chain(0..last);
        let mut waiting = order.filter(|&place| {
            let part = &self.parts[place];
            part.writes && part.run.is_none()
        });
        if let Some(place) = waiting.next() {
            let Task { prompt, n_tokens, sampling, .. } = self.task.clone();
            let part = &mut self.parts[place];
            let patch = part.patch.clone();
            part.run = Some(Run::new(id, patch.clone(), part.size, prompt.clone(), sampling));
            return Some(Request::Generate { id, patch, prompt, n_tokens, sampling });
        }
        let run = self.reference().run.as_ref()?;
        let from = run.prompt_tokens.len().checked_sub(1)?;
        let tokens = [run.prompt_tokens.clone(), run.tokens()].concat();
        let patches = self.parts.iter().map(|part| part.patch.clone()).collect();
        self.state = TrialState::Guessing;
        Some(Request::Guess { id, patches, tokens, from })
    }

    /// Takes in a reply; whether the request it belongs to is answered with it.
    pub fn hear(&mut self, reply: Reply) -> bool {
        match reply {
            Reply::Started { id, .. } | Reply::Token { id, .. } | Reply::Done { id, .. } => {
                if id != self.id {
                    return false;
                }
                let runs = self.parts.iter_mut().filter_map(|part| part.run.as_mut());
                for run in runs.filter(|run| run.id == id) {
                    run.hear(&reply);
                }
                let Reply::Done { report, .. } = reply else { return false };
                if report.ending == Ending::Stopped {
                    self.state = TrialState::Stopped;
                }
                true
            }
            Reply::Guessed { id, guesses } if id == self.id => {
                if let Some(part) = self.parts.iter_mut().find(|part| part.guesses.is_empty()) {
                    part.guesses = guesses;
                }
                false
            }
            Reply::Ended { id, is_stopped } if id == self.id => {
                self.state = if is_stopped { TrialState::Stopped } else { TrialState::Whole };
                true
            }
            Reply::Failed { id: Some(id), notice } if id == self.id => {
                self.state = TrialState::Failed(notice);
                true
            }
            _ => false,
        }
    }

    /// How near a part comes to the reference; `None` until both have guessed.
    pub fn nearness(&self, part: &Part) -> Option<Nearness> {
        let expected = &self.reference().guesses;
        let n_places = part.guesses.len();
        if n_places == 0 || expected.len() != n_places {
            return None;
        }
        let pairs = part.guesses.iter().zip(expected);
        let n_agreeing = pairs.filter(|(own, other)| own.guess.token == other.guess.token).count();
        let kl = part.guesses.iter().map(|told| told.guess.kl).sum::<f64>() / n_places as f64;
        Some(Nearness { n_places, n_agreeing, kl })
    }
}

impl Part {
    fn new(family: &FamilyCard, stop: usize, is_shown: bool, writes: bool) -> Self {
        let patch = family.path()[stop].clone();
        let size = family.size(&patch);
        Self { patch, size, is_shown, writes, run: None, guesses: Vec::new() }
    }

    /// Whether its text is being written.
    pub fn is_writing(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.report.is_none())
    }
}

#[cfg(test)]
mod tests;
