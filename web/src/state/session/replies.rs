//! What the engine replies, and what becomes of it.

use boomerang_engine::messages::{AnswerReply, FamilyReply, StoreReply, TextReply};
use leptos::prelude::*;

use super::{Download, Progress, QuestionHandlers, Session, Stage, TrialSlot, Work};
use crate::browser::engine::EngineClient;
use crate::browser::worker::WorkerFailure;
use crate::state::request_status::RequestStatus;
use crate::state::run::Run;
use crate::state::trial::Trial;
use crate::state::watchdog::Watchdog;

impl EngineClient for Session {
    fn on_any_reply(&self) {
        self.on_answering();
    }

    fn on_counted(&self, id: u32, n_tokens: Option<usize>) {
        self.counted.set(n_tokens.map(|n_tokens| (id, n_tokens)));
    }

    fn on_ready(&self) {
        self.watchdog.update_value(Watchdog::on_ready);
        self.ask_for_family();
        self.stored.end_keeper();
        self.list_stored();
    }

    fn on_failure(&self, failure: WorkerFailure) {
        match failure {
            WorkerFailure::Dead(notice) => self.fail(notice),
            // Not caused by the GPU, and not solved by the CPU.
            WorkerFailure::WrongBuild(notice) => self.end(notice),
        }
    }

    fn on_family_reply(&self, reply: FamilyReply) {
        match reply {
            FamilyReply::Progress { bytes, total, path } => {
                let progress = Progress { bytes, total, path };
                self.activity.update(|activity| activity.set_progress(progress));
            }
            FamilyReply::FileLoaded { path } => self.on_file_loaded(path),
            FamilyReply::Loaded => {
                self.activity.update(|activity| activity.set_download(Download::Done));
                self.keep_for_offline();
                self.list_stored();
            }
            // Not caused by the GPU, which another attempt may use.
            FamilyReply::LoadFailed { notice, .. } if self.is_stage(&Stage::Loading) => {
                self.end(notice);
            }
            FamilyReply::LoadFailed { notice, .. } => {
                let interrupted = Download::Interrupted(notice);
                self.activity.update(|activity| activity.set_download(interrupted));
                self.list_stored();
            }
        }
    }

    fn on_text_reply(&self, id: u32, reply: TextReply) {
        match self.work_of(id) {
            Some(Work::Text) => self.on_reply_to_run(reply),
            Some(Work::Trial(slot)) => {
                let is_last = reply.is_last();
                self.on_reply_to_trial(slot, is_last, |trial| trial.on_text_reply(id, reply));
            }
            // The request was abandoned.
            Some(Work::Question(_)) | None => {}
        }
    }

    fn on_answer(&self, id: u32, reply: AnswerReply) {
        match self.work_of(id) {
            Some(Work::Question(handlers)) => self.on_reply_to_question(&handlers, reply),
            Some(Work::Trial(slot)) => {
                let is_last = reply.is_last();
                self.on_reply_to_trial(slot, is_last, |trial| trial.on_answer(id, reply));
            }
            // The request was abandoned.
            Some(Work::Text) | None => {}
        }
    }

    fn on_store_reply(&self, reply: StoreReply) {
        self.stored.on_reply(reply);
    }
}

impl Session {
    /// The work that waits for replies to this request; `None` for one that was replaced by another.
    fn work_of(self, id: u32) -> Option<Work> {
        let work = self.activity.with_untracked(|activity| activity.work().cloned());
        work.filter(|_| id == self.last_id.get_value())
    }

    /// The smallest size may be complete with this file.
    fn on_file_loaded(self, path: String) {
        self.loaded_files.update(|loaded| {
            loaded.insert(path);
        });
        let has_student = self.family.with_untracked(|family| {
            let family = family.as_ref()?;
            let missing = |loaded: &_| family.n_missing_bytes(&family.path()[0], loaded);
            Some(self.loaded_files.with_untracked(missing) == 0)
        });
        if self.is_stage(&Stage::Loading) && has_student == Some(true) {
            let deferred = self.activity.try_update(|activity| activity.become_ready()).flatten();
            if let Some(act) = deferred {
                act();
            }
        }
    }

    fn on_reply_to_run(self, reply: TextReply) {
        let is_last = reply.is_last();
        match reply {
            TextReply::Failed { notice } => {
                // What was written before a continuation that failed stays whole.
                if self.run.with_untracked(|run| run.as_ref().is_some_and(Run::has_spans)) {
                    self.end_text();
                }
                self.run_failure.set(Some(notice));
            }
            TextReply::Event(event) => self.run.update(|run| {
                if let Some(run) = run {
                    run.on_event(event);
                }
            }),
        }
        if is_last {
            self.finish();
            self.continue_queued();
        }
    }

    fn on_reply_to_trial(self, slot: TrialSlot, is_last: bool, take: impl FnOnce(&mut Trial)) {
        self.trial(slot).update(|trial| {
            if let Some(trial) = trial {
                take(trial);
            }
        });
        if is_last {
            self.continue_trial(slot);
        }
    }

    fn on_reply_to_question(self, handlers: &QuestionHandlers, reply: AnswerReply) {
        let end = |status: RequestStatus| {
            self.finish();
            (handlers.on_end)(status);
        };
        match reply {
            AnswerReply::Part(answer) => (handlers.on_answer)(answer),
            AnswerReply::Ended { is_stopped: false } => end(RequestStatus::Done),
            AnswerReply::Ended { is_stopped: true } => end(RequestStatus::Stopped),
            AnswerReply::Failed { notice } => end(RequestStatus::Failed(notice)),
        }
    }

    /// Ends a view's question that will not be answered.
    pub(super) fn abandon_question(self, status: RequestStatus) {
        let work = self.activity.with_untracked(|activity| activity.work().cloned());
        if let Some(Work::Question(handlers)) = work {
            (handlers.on_end)(status);
        }
    }
}
