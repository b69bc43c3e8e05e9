//! Several members with one prompt: what each of them generates, and what it predicts along the text
//! of the teacher, or of the largest member that fits in memory.
//!
//! A trial provides the next request and is updated by the replies; it sends and shows nothing.

pub mod comparison;
pub mod sweep;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{
    Answer, AnswerReply, Ending, GuessedToken, ModelRequest, Prompt, Question, TextEvent, TextReply,
};
use boomerang_engine::notice::Notice;

use crate::family::{FamilyCard, MemberSize};
use crate::state::run::{Run, Task};

/// Members with the same prompt and the same random seed.
///
/// Invariant: there is a member, and the last is the reference, with which the others are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Smallest member first.
    pub members: Vec<TrialMember>,
    pub state: TrialState,
    /// `teacher`, or what replaces it where it does not fit in memory.
    pub reference_name: &'static str,
    task: Task,
    /// Of the request that is being answered.
    id: u32,
}

/// One member in a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialMember {
    pub patch: Patch,
    pub size: MemberSize,
    /// The reference is included without being shown if it was not selected.
    pub is_shown: bool,
    generates: bool,
    pub run: Option<Run>,
    /// Its predictions along the reference's text, by position; empty until they are computed.
    pub guesses: Vec<GuessedToken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialState {
    Generating,
    Predicting,
    Done,
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

/// The agreement of a member with the reference along the reference's text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    pub n_tokens: usize,
    /// Tokens that both predict.
    pub n_agreeing: usize,
    /// Mean `KL(reference ‖ member)` of the next token, in nats.
    pub kl: f64,
}

/// The name of the reference when it is the teacher.
const TEACHER: &str = "teacher";

impl Trial {
    /// The members at these stops of the dial generate; then all predict along the text of the one at
    /// `last`, the largest that fits in memory.
    pub fn comparison(family: &FamilyCard, stops: &[usize], last: usize, task: Task) -> Self {
        let mut all: Vec<usize> = stops.iter().copied().filter(|&stop| stop <= last).collect();
        all.push(last);
        all.sort_unstable();
        all.dedup();
        let member = |&stop: &usize| TrialMember::new(family, stop, stops.contains(&stop), true);
        Self::new(family, all.iter().map(member).collect(), last, task)
    }

    /// Only the member at `last` generates, the largest that fits in memory, and those at all stops up to
    /// it predict along its text.
    pub fn sweep(family: &FamilyCard, last: usize, task: Task) -> Self {
        let members = (0..=last).map(|stop| TrialMember::new(family, stop, true, stop == last));
        Self::new(family, members.collect(), last, task)
    }

    fn new(family: &FamilyCard, members: Vec<TrialMember>, last: usize, task: Task) -> Self {
        let is_teacher = last == family.last_stop();
        let reference_name = if is_teacher { TEACHER } else { "largest size that fits" };
        Self { members, state: TrialState::Generating, reference_name, task, id: 0 }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, TrialState::Generating | TrialState::Predicting)
    }

    pub fn prompt(&self) -> &Prompt {
        &self.task.prompt
    }

    /// The member with which the others are compared.
    pub fn reference(&self) -> &TrialMember {
        &self.members[self.members.len() - 1]
    }

    /// Whether the reference is the teacher.
    pub fn is_with_teacher(&self) -> bool {
        self.reference_name == TEACHER
    }

    /// The tokens that the reference has added to the prompt so far.
    pub fn reference_tokens(&self) -> Vec<u32> {
        self.reference().run.as_ref().map(Run::tokens).unwrap_or_default()
    }

    /// The next request, to be sent with this id; `None` when nothing is left.
    pub fn next_request(&mut self, id: u32) -> Option<ModelRequest> {
        if self.state != TrialState::Generating {
            return None;
        }
        self.id = id;
        // The reference first: the others are compared with it as they generate.
        let last = self.members.len() - 1;
        let order = [last].into_iter().chain(0..last);
        let mut waiting = order.filter(|&index| {
            let member = &self.members[index];
            member.generates && member.run.is_none()
        });
        if let Some(index) = waiting.next() {
            let Task { prompt, n_tokens, sampling, .. } = self.task.clone();
            let member = &mut self.members[index];
            let patch = member.patch.clone();
            member.run = Some(Run::new(id, patch.clone(), member.size, prompt.clone(), sampling));
            return Some(ModelRequest::Generate { patch, prompt, n_tokens, sampling });
        }
        let run = self.reference().run.as_ref()?;
        let from = run.prompt_tokens.len().checked_sub(1)?;
        let tokens = [run.prompt_tokens.clone(), run.tokens()].concat();
        let patches = self.members.iter().map(|member| member.patch.clone()).collect();
        self.state = TrialState::Predicting;
        Some(ModelRequest::Ask(Question::Guess { patches, tokens, from }))
    }

    /// Updates the trial with a reply to its request to generate.
    pub fn on_text_reply(&mut self, id: u32, reply: TextReply) {
        if id != self.id {
            return;
        }
        match reply {
            TextReply::Failed { notice } => self.state = TrialState::Failed(notice),
            TextReply::Event(event) => {
                if let TextEvent::Done { report, .. } = &event
                    && report.ending == Ending::Stopped
                {
                    self.state = TrialState::Stopped;
                }
                let mut runs = self.members.iter_mut().filter_map(|member| member.run.as_mut());
                if let Some(run) = runs.find(|run| run.id == id) {
                    run.on_event(event);
                }
            }
        }
    }

    /// Updates the trial with an answer to its question.
    pub fn on_answer(&mut self, id: u32, reply: AnswerReply) {
        if id != self.id {
            return;
        }
        match reply {
            AnswerReply::Part(answer) => {
                let mut members = self.members.iter_mut();
                if let Answer::Guesses(guesses) = answer
                    && let Some(member) = members.find(|member| member.guesses.is_empty())
                {
                    member.guesses = guesses;
                }
            }
            AnswerReply::Ended { is_stopped: true } => self.state = TrialState::Stopped,
            AnswerReply::Ended { is_stopped: false } => self.state = TrialState::Done,
            AnswerReply::Failed { notice } => self.state = TrialState::Failed(notice),
        }
    }

    /// `None` until the predictions of both are computed.
    pub fn agreement(&self, member: &TrialMember) -> Option<Agreement> {
        let expected = &self.reference().guesses;
        let n_tokens = member.guesses.len();
        if n_tokens == 0 || expected.len() != n_tokens {
            return None;
        }
        let pairs = member.guesses.iter().zip(expected);
        let n_agreeing = pairs.filter(|(own, other)| own.guess.token == other.guess.token).count();
        let kl = member.guesses.iter().map(|it| it.guess.kl).sum::<f64>() / n_tokens as f64;
        Some(Agreement { n_tokens, n_agreeing, kl })
    }
}

impl TrialMember {
    fn new(family: &FamilyCard, stop: usize, is_shown: bool, generates: bool) -> Self {
        let patch = family.path()[stop].clone();
        let size = family.size(&patch);
        Self { patch, size, is_shown, generates, run: None, guesses: Vec::new() }
    }

    /// Whether its text is being generated.
    pub fn is_generating(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.report.is_none())
    }
}

#[cfg(test)]
mod tests;
