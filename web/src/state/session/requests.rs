//! What the page requests of the engine.

use std::collections::VecDeque;
use std::rc::Rc;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Answer, FamilyRequest, ModelRequest, Prompt, Question, Request};
use leptos::prelude::*;

use super::{QuestionHandlers, Session, Stage, TrialSlot, Work};
use crate::family::FamilyCard;
use crate::state::request_status::RequestStatus;
use crate::state::run::{Run, Task};
use crate::state::trial::Trial;

/// Texts kept for comparison.
const N_RUNS_KEPT: usize = 12;

impl Session {
    /// Loads what this member lacks before everything else.
    pub fn prioritize(self, patch: Patch) {
        if self.progress.with_untracked(Option::is_some) {
            self.ask(&Request::Family(FamilyRequest::Prioritize { patch }));
        }
    }

    /// Runs `act` with the model, which is loaded first if necessary. False, and nothing happens, while
    /// the model is busy, loading or failed.
    fn once_ready(self, act: impl FnOnce() + 'static) -> bool {
        match self.stage.get_untracked() {
            Stage::Ready => act(),
            Stage::Offered => self.load_then(Some(Box::new(act))),
            _ => return false,
        }
        true
    }

    /// Generates a text that the members of these tasks write in turn. False, and nothing happens,
    /// while the model is busy, loading or failed, or without a task.
    pub fn generate(self, tasks: Vec<Task>) -> bool {
        let mut tasks = VecDeque::from(tasks);
        let Some(first) = tasks.pop_front() else { return false };
        self.once_ready(move || {
            self.queued.set_value(tasks);
            self.generate_now(first, false);
        })
    }

    /// Continues the current text with the member of this task. False, and nothing happens, while
    /// the model is busy, loading or failed.
    pub fn continue_run(self, task: Task) -> bool {
        self.once_ready(move || {
            self.queued.set_value(VecDeque::new());
            self.continue_now(task);
        })
    }

    /// The next member that is to add to the text, unless that was stopped or has failed.
    pub(super) fn continue_queued(self) {
        let next = self.queued.try_update_value(VecDeque::pop_front).flatten();
        let continues = |run: &Run| run.is_complete() && run.can_continue();
        let continues = self.run.with_untracked(|run| run.as_ref().is_some_and(continues));
        match next.filter(|_| continues) {
            Some(task) => self.continue_now(task),
            None => self.queued.set_value(VecDeque::new()),
        }
    }

    fn continue_now(self, task: Task) {
        let Some(run) = self.run.get_untracked().filter(Run::can_continue) else { return };
        let id = self.next_id();
        let next = run.continued(id, &task);
        let (prompt, before) = (run.prompt.clone(), run.tokens());
        self.run_failure.set(None);
        self.run.set(Some(next));
        self.begin(Work::Text);
        let Task { patch, n_tokens, sampling, .. } = task;
        let request = ModelRequest::Continue { patch, prompt, before, n_tokens, sampling };
        self.ask_model_now(id, request);
    }

    /// Ends a conversation; its last text stays among the earlier ones.
    pub fn set_run_aside(self) {
        if let Some(run) = self.run.get_untracked() {
            self.keep_run(run);
        }
        self.run.set(None);
        self.run_failure.set(None);
    }

    fn keep_run(self, run: Run) {
        self.earlier_runs.update(|runs| {
            runs.insert(0, run);
            runs.truncate(N_RUNS_KEPT);
        });
    }

    /// Whether a request is under way that is not replaced by a resampled text.
    pub fn blocks_resampling(self) -> bool {
        self.is_busy() && !(self.is_generating() && self.is_resampled())
    }

    /// Samples the current text again, if the task differs from it only in its sampling. A resampled
    /// text that is being generated is replaced; one that is generated for the first time is not.
    pub fn resample(self, task: Task) {
        let is_resampling = untrack(|| self.is_generating()) && self.is_resampled();
        let is_wanted = self.run.with_untracked(|run| {
            run.as_ref().is_some_and(|run| {
                (run.is_complete() || is_resampling) && run.differs_only_in_sampling(&task)
            })
        });
        if !is_wanted {
            return;
        }
        if is_resampling {
            self.stop();
            self.run.update_untracked(|run| *run = None);
            self.generate_now(task, true);
        } else if self.is_stage(&Stage::Ready) {
            self.generate_now(task, true);
        }
    }

    /// Whether the current text replaced another one that differed only in its sampling.
    fn is_resampled(self) -> bool {
        self.run.with_untracked(|run| run.as_ref().is_some_and(|run| run.is_resampled))
    }

    fn generate_now(self, task: Task, is_resampled: bool) {
        let id = self.next_id();
        // Of texts that are resampled again and again only the first is kept, so that others are, too;
        // an answer that is continued is shown in its conversation.
        let is_kept = |run: &Run| !(run.is_in(&task.prompt) || is_resampled && run.is_resampled);
        if let Some(run) = self.run.get_untracked().filter(is_kept) {
            self.keep_run(run);
        }
        let Task { patch, size, prompt, n_tokens, sampling } = task;
        self.run_failure.set(None);
        let run = Run::new(id, patch.clone(), size, prompt.clone(), sampling);
        self.run.set(Some(Run { is_resampled, ..run }));
        self.begin(Work::Text);
        self.ask_model_now(id, ModelRequest::Generate { patch, prompt, n_tokens, sampling });
    }

    /// Starts a trial. It is set up once the model is loaded: only then is it known which sizes fit in
    /// memory.
    pub fn start_trial(self, slot: TrialSlot, trial: impl FnOnce(&FamilyCard) -> Trial + 'static) {
        self.once_ready(move || {
            let Some(family) = self.family.get_untracked() else { return };
            self.trial(slot).set(Some(untrack(|| trial(&family))));
            self.begin(Work::Trial(slot));
            self.continue_trial(slot);
        });
    }

    /// Requests what a trial needs next, or ends it when that is nothing.
    pub(super) fn continue_trial(self, slot: TrialSlot) {
        let id = self.next_id();
        let next = |trial: &mut Option<Trial>| trial.as_mut()?.next_request(id);
        match self.trial(slot).try_update(next).flatten() {
            Some(request) => self.ask_model_now(id, request),
            None => self.finish(),
        }
    }

    /// Asks the model, which is loaded first if necessary. `on_answer` gets each part of the answer, then
    /// `on_end` its end. False, and nothing is asked, while the model is busy, loading or failed.
    pub fn ask_model(
        self,
        question: impl FnOnce(&FamilyCard) -> Question + 'static,
        on_answer: impl Fn(Answer) + 'static,
        on_end: impl Fn(RequestStatus) + 'static,
    ) -> bool {
        self.once_ready(move || {
            let Some(family) = self.family.get_untracked() else { return };
            let (on_answer, on_end) = (Rc::new(on_answer), Rc::new(on_end));
            self.begin(Work::Question(QuestionHandlers { on_answer, on_end }));
            let question = untrack(|| question(&family));
            self.ask_model_now(self.next_id(), ModelRequest::Ask(question));
        })
    }

    /// Ends the current request; if the engine does not react, it is replaced by a new one.
    pub fn stop(self) {
        if self.stage.with_untracked(Stage::is_busy) {
            let id = self.last_id.get_value();
            self.watchdog.update_value(|watchdog| watchdog.on_stop(id));
            self.ask(&Request::Stop { id });
        }
    }

    /// Counts the tokens of a prompt; the result is in `counted`, with this number.
    pub fn count_tokens(self, prompt: Prompt) -> u32 {
        let id = self.n_counts.get_value() + 1;
        self.n_counts.set_value(id);
        self.ask(&Request::Count { id, prompt });
        id
    }

    fn begin(self, work: Work) {
        self.activity.update(|activity| activity.begin(work));
    }

    pub(super) fn finish(self) {
        self.activity.update(|activity| activity.finish());
    }

    fn ask_model_now(self, id: u32, request: ModelRequest) {
        if let ModelRequest::Generate { patch, .. } | ModelRequest::Continue { patch, .. } =
            &request
        {
            self.resume_for(patch);
        }
        self.ask(&Request::Model { id, request });
    }

    /// After an interruption, a text fetches what its member lacks, and then the rest.
    fn resume_for(self, patch: &Patch) {
        let is_interrupted = self.interruption.with_untracked(Option::is_some);
        if is_interrupted && untrack(|| self.n_missing_bytes(patch)) > 0 {
            self.ask(&Request::Family(FamilyRequest::Prioritize { patch: patch.clone() }));
            self.load_rest();
        }
    }

    pub(crate) fn has_engine(self) -> bool {
        self.engine.with_value(Option::is_some)
    }

    pub(crate) fn ask(self, request: &Request) {
        self.engine.with_value(|engine| {
            if let Some(engine) = engine {
                engine.ask(request);
            }
        });
    }
}
