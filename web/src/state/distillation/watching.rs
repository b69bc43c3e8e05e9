//! Whether the workers of runs still answer: a step may take long, but a worker can also die without an
//! error, and then its run would look as if it went on for ever.

use std::collections::HashMap;
use std::time::Duration;

use boomerang_engine::distillation::messages::Reply;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::run::{DistillStage, Run};
use super::{Distillation, LiveRun};
use crate::browser::files::NamedFile;
use crate::state::watchdog::{DEAD, Verdict, Watchdog};
use crate::text::format;

/// Seconds within which a worker reacts to a stop: it takes the step to its end first.
const TO_STOP: u32 = 15;

/// A worker takes one run, so that its requests need no numbers.
const RUN: u32 = 0;

impl LiveRun {
    /// Of a run that has no worker yet.
    pub(super) fn new(texts: Vec<NamedFile>) -> Self {
        Self {
            worker: None,
            is_listening: false,
            waiting: Vec::new(),
            is_paused: false,
            texts,
            checkpoint: None,
            is_saving: false,
            is_unsaved: false,
            watchdog: Self::watchdog(),
        }
    }

    pub(super) fn watchdog() -> Watchdog {
        Watchdog::new(TO_STOP)
    }
}

impl Distillation {
    /// Looks every second whether those that work have answered.
    pub(super) fn watch_workers(self) {
        // A page without timers has no watchdog.
        let _ = set_interval_with_handle(move || self.on_tick(), Duration::from_secs(1));
    }

    pub(super) fn on_answer(self, key: &str, reply: &Reply) {
        self.update_live(key, |live| match reply {
            Reply::Ready { .. } => live.watchdog.on_ready(),
            _ => live.watchdog.on_answer(),
        });
        self.update(key, |run| run.silent_seconds = None);
    }

    pub(super) fn expect_stop(self, key: &str) {
        self.update_live(key, |live| live.watchdog.on_stop(RUN));
    }

    fn on_tick(self) {
        // A paused one answers nothing, unless it is to stop.
        let is_stopping = |run: &Run| {
            let stopping = |live: &HashMap<String, LiveRun>| {
                live.get(&run.key).is_some_and(|live| live.watchdog.is_stopping())
            };
            run.stage.is_busy() && self.live.with_value(stopping)
        };
        let works = |run: &&Run| run.stage.is_computing() || run.task.is_some() || is_stopping(run);
        let keys: Vec<String> = self
            .now
            .with_value(|runs| runs.iter().filter(works).map(|run| run.key.clone()).collect());
        for key in keys.into_iter().filter(|key| self.has_worker(key)) {
            let verdict = self.update_live(&key, |live| live.watchdog.tick(Some(RUN)));
            match verdict.unwrap_or(Verdict::Responsive) {
                Verdict::Responsive => {}
                Verdict::Unresponsive(n_seconds) => {
                    self.update(&key, |run| run.silent_seconds = Some(n_seconds));
                    self.show();
                }
                Verdict::StopIgnored => self.end_without_answer(&key),
                Verdict::Dead => {
                    let is_saved = self.with_run(&key, |run| run.n_saved_steps.is_some());
                    self.fail(&key, dead(is_saved == Some(true)));
                    self.show();
                }
            }
        }
    }

    /// Ends a run whose worker does not react: what was saved of it is left.
    fn end_without_answer(self, key: &str) {
        let Some(n_saved) = self.with_run(key, |run| run.n_saved_steps).flatten() else {
            let why = "it had not stored a checkpoint, and did not react to Stop".to_owned();
            let next = "Start the run again with the same settings.";
            return self.fail(key, Notice::new("The run was lost.", why, next));
        };
        self.update(key, |run| {
            run.silent_seconds = None;
            run.task = None;
            run.record.truncate(n_saved);
            if run.stage.is_busy() {
                run.stage = DistillStage::Stopped;
            }
        });
        self.end_worker(key);
        self.start_waiting();
    }
}

fn dead(is_saved: bool) -> Notice {
    let why = format!("it has not answered for {}", format::seconds(f64::from(DEAD)));
    let next = match is_saved {
        true => "Resume the run: it continues from its last checkpoint.",
        false => "Start the run again with the same settings.",
    };
    Notice::new("The worker that distills does not answer.", why, next)
}
