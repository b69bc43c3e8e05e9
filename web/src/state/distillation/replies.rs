//! What the workers of runs reply, and what becomes of it.

use boomerang_engine::distillation::messages::{Origin, Reply, Request};
use boomerang_engine::notice::Notice;
use boomerang_engine::store::runs::stored_checkpoint;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use super::Distillation;
use super::run::{DistillStage, Keeping, Run, Task};
use crate::state::session::{AdoptedFamily, FamilyHome};
use crate::text::format;

/// Steps are faster than they can be seen.
const MILLIS_BETWEEN_UPDATES: f64 = 350.0;

impl Distillation {
    pub(super) fn on_reply(self, key: &str, reply: Reply, files: Vec<Blob>) {
        self.on_answer(key, &reply);
        // A worker that was started for a task alone takes no step: its run stays as it is.
        let is_busy = self.with_run(key, |run| run.stage.is_busy()) == Some(true);
        let stage = |stage: DistillStage| {
            if is_busy {
                self.update(key, |run| run.stage = stage);
            }
        };
        match reply {
            Reply::Ready { .. } => self.begin(key),
            Reply::Progress { bytes, total } => self.update(key, |run| {
                // While the sizes of a paused run are measured, the bundle's student is loaded.
                if matches!(run.stage, DistillStage::Starting | DistillStage::Loading { .. }) {
                    run.stage = DistillStage::Loading { bytes, total };
                }
            }),
            Reply::Started { n_steps_done, texts } => {
                stage(DistillStage::Running);
                self.update(key, |run| {
                    run.record.truncate(n_steps_done);
                    run.record.texts = texts;
                });
            }
            Reply::Resumed => stage(DistillStage::Running),
            Reply::Paused => {
                stage(DistillStage::Paused);
                self.start_waiting();
            }
            Reply::HeldOut(loss) => self.update(key, |run| run.record.add_held_out(loss)),
            Reply::Glimpse(glimpse) => self.update(key, |run| run.record.add_glimpse(glimpse)),
            Reply::Step(step) => {
                self.update(key, |run| run.record.add_step(step));
                let now = js_sys::Date::now();
                if now - self.last_shown.get_value() > MILLIS_BETWEEN_UPDATES {
                    self.show();
                }
                return;
            }
            Reply::Suspended { millis } => self.update(key, |run| run.suspended_millis += millis),
            Reply::Saved { n_steps_done } => self.on_saved(key, n_steps_done, files),
            Reply::NotSaved { why } => {
                self.update(key, |run| run.keeping = Keeping::InMemory { why });
            }
            Reply::Ended => self.on_ended(key),
            Reply::SizeMeasured(size) => self.update(key, |run| run.measuring.push(size)),
            Reply::SizesMeasured => {
                self.update(key, |run| {
                    run.record.sizes = Some(std::mem::take(&mut run.measuring));
                });
                self.end_task(key);
                self.save(key);
            }
            Reply::HandedOver { manifest, paths } => {
                let files = paths.into_iter().zip(files).collect();
                let adopted = AdoptedFamily { manifest, files, home: FamilyHome::Bundle };
                match self.session.adopt(adopted) {
                    Ok(()) => {
                        let n_steps = self.with_run(key, |run| run.record.steps.len());
                        self.on_dial.set(n_steps.map(|n_steps| (key.to_owned(), n_steps)));
                        self.end_task(key);
                    }
                    Err(notice) => self.fail(key, notice),
                }
            }
            Reply::Failed { notice } => self.fail(key, notice),
        }
        self.show();
    }

    /// The worker listens: it gets the run, then what was requested before.
    fn begin(self, key: &str) {
        let key = key.to_owned();
        spawn_local(async move {
            let Some((name, settings)) =
                self.with_run(&key, |run| (run.name(), run.record.settings.clone()))
            else {
                return;
            };
            let is_saved = self.with_run(&key, |run| run.n_saved_steps.is_some()) == Some(true);
            let live = self.update_live(&key, |live| {
                (live.checkpoint.clone(), live.texts.clone(), live.is_paused)
            });
            let Some((checkpoint, texts, is_paused)) = live else { return };
            let (origin, files) = if is_saved {
                let checkpoint = match checkpoint {
                    Some(checkpoint) => Ok(checkpoint),
                    None => stored_checkpoint(&key).await,
                };
                let name = format::capitalized(&name);
                match checkpoint {
                    Ok(checkpoint) => (Origin::Checkpoint { name }, vec![checkpoint]),
                    Err(why) => {
                        let next = "Delete this run, and start it again with the same settings.";
                        let what = format!("{name} cannot be resumed.");
                        return self.fail(&key, Notice::new(what, why, next));
                    }
                }
            } else {
                let (texts, files): (Vec<String>, Vec<Blob>) = texts.into_iter().unzip();
                (Origin::New { settings, texts }, files)
            };
            let (manifest_url, manifest) = self.session.bundle_of_teacher();
            let start = Request::Start { manifest_url, manifest, origin, is_paused };
            let waiting = self.update_live(&key, |live| {
                live.is_listening = true;
                std::mem::take(&mut live.waiting)
            });
            self.ask_with(&key, start, &files);
            for request in waiting.unwrap_or_default() {
                self.ask(&key, request);
            }
        });
    }

    fn on_saved(self, key: &str, n_steps: usize, files: Vec<Blob>) {
        // A worker that was started from the checkpoint sends the same again; one that ends or pauses has
        // measured since.
        let is_known = |run: &Run| run.n_saved_steps == Some(n_steps) && !run.stage.is_busy();
        if self.with_run(key, is_known) == Some(true) {
            return;
        }
        self.update(key, |run| run.n_saved_steps = Some(n_steps));
        self.update_live(key, |live| live.checkpoint = files.into_iter().next());
        self.save(key);
    }

    fn on_ended(self, key: &str) {
        self.update(key, |run| {
            if run.stage.is_busy() {
                let is_done = run.record.steps.len() >= run.record.settings.n_steps;
                run.stage = if is_done { DistillStage::Ended } else { DistillStage::Stopped };
            }
        });
        self.end_idle_worker(key);
        self.start_waiting();
    }

    fn end_task(self, key: &str) {
        self.update(key, |run| run.task = None);
        self.end_idle_worker(key);
    }

    /// Terminates the worker of a student whose checkpoint is all that is needed.
    fn end_idle_worker(self, key: &str) {
        let is_idle = |run: &Run| {
            let is_saved = run.n_saved_steps == Some(run.record.steps.len());
            is_saved && run.task.is_none() && !run.stage.is_busy()
        };
        if self.with_run(key, is_idle) == Some(true) {
            self.end_worker(key);
        }
    }

    /// Whether the sizes of this run are being measured, and how many are.
    pub fn n_measured(run: &Run) -> Option<usize> {
        (run.task == Some(Task::MeasureSizes)).then_some(run.measuring.len())
    }
}
