//! Whether the engine still answers while it works.
//!
//! A worker can die without an error, for instance when the system ends its process. A worker that
//! computes answers between two tokens, two files and two members, but not within a long prompt: it is
//! only taken for dead after minutes, while *Stop* replaces one that does not react in seconds.

use std::time::Duration;

use boomerang_engine::messages::{Ending, Request, RunReport, TextEvent};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Session, Stage, Work};
use crate::state::request_status::RequestStatus;
use crate::state::trial::TrialState;

/// Seconds without an answer after which the page says so.
const REMARKABLE: u32 = 10;
/// Seconds without an answer after which a worker that has answered before is taken for dead.
const DEAD: u32 = 300;
/// Seconds within which a worker reacts to a stop; one that does not is replaced.
const TO_STOP: u32 = 5;

/// Counts ticks of a second, and not the time: a machine that wakes up has lost nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watchdog {
    /// The worker runs: before, its program is being downloaded.
    is_ready: bool,
    n_unanswered: u32,
    /// The request that was stopped, and how long ago.
    stopping: Option<(u32, u32)>,
}

/// What a tick shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Responsive,
    /// For so many seconds.
    Unresponsive(u32),
    /// The stop has no effect.
    StopIgnored,
    Dead,
}

impl Watchdog {
    pub(super) fn on_ready(&mut self) {
        *self = Self { is_ready: true, ..Self::default() };
    }

    pub(super) fn on_stop(&mut self, id: u32) {
        // Another click does not make it wait longer.
        if self.stopping.is_none_or(|(stopping, _)| stopping != id) {
            self.stopping = Some((id, 0));
        }
    }

    /// A second has passed, in which the engine worked on request `id`, or loaded.
    fn tick(&mut self, id: Option<u32>) -> Verdict {
        self.n_unanswered += 1;
        self.stopping = self.stopping.filter(|(stopping, _)| Some(*stopping) == id);
        if let Some((_, n_seconds)) = &mut self.stopping {
            *n_seconds += 1;
            if *n_seconds >= TO_STOP {
                return Verdict::StopIgnored;
            }
        }
        match self.n_unanswered {
            _ if !self.is_ready => Verdict::Responsive,
            DEAD.. => Verdict::Dead,
            // In steps, since screen readers read it aloud.
            n_seconds @ REMARKABLE.. => Verdict::Unresponsive(n_seconds - n_seconds % REMARKABLE),
            _ => Verdict::Responsive,
        }
    }
}

impl Session {
    /// Asks the engine every second whether it answers, as long as it works.
    pub(super) fn watch_engine(self) {
        // A page without timers has no watchdog.
        let _ = set_interval_with_handle(move || self.on_tick(), Duration::from_secs(1));
    }

    pub(super) fn on_answering(self) {
        self.watchdog.update_value(|watchdog| watchdog.n_unanswered = 0);
        if self.unresponsive_seconds.with_untracked(Option::is_some) {
            self.unresponsive_seconds.set(None);
        }
    }

    /// Another worker is started.
    pub(super) fn forget_engine(self) {
        self.watchdog.set_value(Watchdog::default());
        self.unresponsive_seconds.set(None);
    }

    fn on_tick(self) {
        let is_busy = self.stage.with_untracked(Stage::is_busy);
        let is_loading = self.progress.with_untracked(Option::is_some);
        if !self.has_engine() || !(is_busy || is_loading) {
            self.watchdog.update_value(|watchdog| watchdog.n_unanswered = 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(watchdog: &mut Watchdog, n: u32, id: Option<u32>) -> Verdict {
        (0..n).map(|_| watchdog.tick(id)).last().unwrap()
    }

    fn ready() -> Watchdog {
        let mut watchdog = Watchdog::default();
        watchdog.on_ready();
        watchdog
    }

    #[test]
    fn a_worker_that_does_not_answer_is_reported_and_then_taken_for_dead() {
        let mut watchdog = ready();
        assert_eq!(ticks(&mut watchdog, REMARKABLE - 1, None), Verdict::Responsive);
        assert_eq!(ticks(&mut watchdog, 1, None), Verdict::Unresponsive(REMARKABLE));
        assert_eq!(ticks(&mut watchdog, DEAD - REMARKABLE, None), Verdict::Dead);
    }

    #[test]
    fn a_program_that_is_being_downloaded_is_not_dead() {
        assert_eq!(ticks(&mut Watchdog::default(), 2 * DEAD, None), Verdict::Responsive);
    }

    #[test]
    fn a_stop_without_effect_is_noticed_also_when_it_is_repeated() {
        let mut watchdog = ready();
        for _ in 1..TO_STOP {
            watchdog.on_stop(7);
            assert_eq!(watchdog.tick(Some(7)), Verdict::Responsive);
        }
        assert_eq!(watchdog.tick(Some(7)), Verdict::StopIgnored);
    }

    #[test]
    fn a_request_after_the_stopped_one_is_not_stopped() {
        let mut watchdog = ready();
        watchdog.on_stop(7);
        assert_eq!(ticks(&mut watchdog, TO_STOP, Some(8)), Verdict::Responsive);
        assert_eq!(watchdog.stopping, None);
    }
}
