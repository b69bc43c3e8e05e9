//! Runs in the browser's storage: listed when the view is opened, stored while they run, deleted.

use boomerang_engine::store::runs::{delete_run, store_run, stored_runs};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::keeping::{from_stored, to_stored};
use super::run::Keeping;
use super::{Distillation, LiveRun};

impl Distillation {
    /// Lists the runs of earlier visits, once.
    pub fn open_stored(self) {
        if self.is_opened.get_value() {
            return;
        }
        self.is_opened.set_value(true);
        spawn_local(async move {
            let stored = match stored_runs().await {
                Ok(stored) => stored,
                Err(why) => return self.store_failure.set(Some(why)),
            };
            let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
            for stored in stored {
                match from_stored(stored) {
                    Ok(run) => runs.push(run),
                    Err(run) => unreadable.push(run),
                }
            }
            self.live.update_value(|live| {
                live.extend(runs.iter().map(|run| (run.key.clone(), LiveRun::new(Vec::new()))));
            });
            if self.selected_key.get_untracked().is_none() {
                self.selected_key.set(runs.last().map(|run| run.key.clone()));
            }
            // Before those that were started meanwhile, which count on.
            let n_stored = runs.iter().map(|run| run.number).max().unwrap_or(0);
            self.now.update_value(|now| {
                now.iter_mut().for_each(|run| run.number += n_stored);
                runs.append(now);
                *now = runs;
            });
            self.unreadable.set(unreadable);
            self.show();
        });
    }

    /// Stores a run as it is at its last checkpoint; while one is being stored, the next waits.
    pub(super) fn save(self, key: &str) {
        let is_first = self.update_live(key, |live| {
            live.is_unsaved = true;
            !std::mem::replace(&mut live.is_saving, true)
        });
        if is_first != Some(true) {
            return;
        }
        let key = key.to_owned();
        spawn_local(async move {
            while self.update_live(&key, |live| std::mem::take(&mut live.is_unsaved)) == Some(true)
            {
                self.save_now(&key).await;
            }
            self.update_live(&key, |live| live.is_saving = false);
        });
    }

    async fn save_now(self, key: &str) {
        let record = self.with_run(key, |run| {
            run.n_saved_steps.map(|n_steps| (n_steps, to_stored(run, n_steps)))
        });
        let Some((n_steps, record)) = record.flatten() else { return };
        let checkpoint = self.update_live(key, |live| live.checkpoint.clone()).flatten();
        let outcome = store_run(key, &record, checkpoint.as_ref()).await;
        if self.with_run(key, |_| ()).is_none() {
            // It was deleted meanwhile.
            self.delete_stored(key.to_owned());
            return;
        }
        self.update(key, |run| {
            run.keeping = match outcome {
                Ok(()) => Keeping::Stored { n_steps },
                Err(why) => Keeping::InMemory { why },
            };
        });
        self.show();
    }

    /// Deletes a run that cannot be read.
    pub fn delete_unreadable(self, key: String) {
        self.unreadable.update(|runs| runs.retain(|run| run.key != key));
        self.delete_stored(key);
    }

    pub(super) fn delete_stored(self, key: String) {
        spawn_local(async move {
            if let Err(why) = delete_run(&key).await {
                self.store_failure.set(Some(why));
            }
        });
    }
}
