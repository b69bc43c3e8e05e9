//! Whether the engine still answers while it works; what becomes of one that does not.

use std::time::Duration;

use boomerang_engine::messages::{Ending, Request, RunReport, TextEvent};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Session, Stage, Work};
use crate::state::request_status::RequestStatus;
use crate::state::trial::TrialState;
use crate::state::watchdog::{DEAD, Verdict, Watchdog};

/// Seconds within which the engine reacts to a stop.
const TO_STOP: u32 = 5;

/// The engine's, before it is started.
pub(super) fn watchdog() -> Watchdog {
    Watchdog::new(TO_STOP)
}

impl Session {
    /// Asks the engine every second whether it answers, as long as it works.
    pub(super) fn watch_engine(self) {
        // A page without timers has no watchdog.
        let _ = set_interval_with_handle(move || self.on_tick(), Duration::from_secs(1));
    }

    pub(super) fn on_answering(self) {
        self.watchdog.update_value(Watchdog::on_answer);
        if self.unresponsive_seconds.with_untracked(Option::is_some) {
            self.unresponsive_seconds.set(None);
        }
    }

    /// Another worker is started.
    pub(super) fn forget_engine(self) {
        self.watchdog.set_value(watchdog());
        self.unresponsive_seconds.set(None);
    }

    fn on_tick(self) {
        let is_busy = self.stage.with_untracked(Stage::is_busy);
        let is_loading = self.progress.with_untracked(Option::is_some);
        if !self.has_engine() || !(is_busy || is_loading) {
            self.watchdog.update_value(Watchdog::on_answer);
            return;
        }
        self.ask(&Request::Ping);
        let id = is_busy.then(|| self.last_id.get_value());
        let verdict = self.watchdog.try_update_value(|watchdog| watchdog.tick(id));
        match verdict.unwrap_or(Verdict::Responsive) {
            Verdict::Responsive => {}
            Verdict::Unresponsive(n_seconds) => self.unresponsive_seconds.set(Some(n_seconds)),
            Verdict::StopIgnored => self.replace_engine(),
            Verdict::Dead => {
                let why = format!("it has not answered for {DEAD} seconds");
                let next = "Load the model again, perhaps with a smaller size.";
                let what = "The model's worker does not answer.";
                self.forget_engine();
                let notice = Notice::new(what, why, next);
                self.fail(notice);
            }
        }
    }

    /// Ends a worker that does not react to a stop, and loads the model into a new one. Prompt and texts
    /// stay.
    fn replace_engine(self) {
        self.end_text();
        self.abandon_question(RequestStatus::Stopped);
        let choice = self.choice.get_untracked();
        self.engine.set_value(None);
        self.begin_loading(None);
        if let Some(choice) = choice {
            spawn_local(async move { self.start_engine(choice) });
        }
    }

    /// The text so far stays, as one that was stopped.
    pub(super) fn end_text(self) {
        let work = self.activity.with_untracked(|activity| activity.work().cloned());
        match work {
            Some(Work::Text) => self.run.update(|run| {
                if let Some(run) = run {
                    let report = RunReport {
                        n_tokens: run.pieces.len() - run.n_earlier(),
                        n_reused: 0,
                        first_millis: 0.0,
                        rest_millis: 0.0,
                        ending: Ending::Stopped,
                        kept: None,
                    };
                    run.on_event(TextEvent::Done { text: String::new(), report });
                }
            }),
            Some(Work::Trial(slot)) => self.trial(slot).update(|trial| {
                if let Some(trial) = trial {
                    trial.state = TrialState::Stopped;
                }
            }),
            Some(Work::Question(_)) | None => {}
        }
    }
}
