//! What the engine answers, and who hears it.

use boomerang_engine::messages::Reply;
use leptos::prelude::*;

use super::{Progress, Session, Stage, Work};
use crate::state::trial::Trial;

impl Session {
    pub(super) fn hear(self, reply: Reply) {
        match reply {
            Reply::Ready { .. } => {
                self.ask_for_family();
                self.stored.rest();
                self.look_at_store();
            }
            Reply::Progress { bytes, total, path } => {
                self.progress.set(Some(Progress { bytes, total, path }));
            }
            Reply::Arrived { path } => self.keep_in_mind(path),
            Reply::Loaded => {
                self.progress.set(None);
                self.keep_for_offline();
                self.look_at_store();
            }
            Reply::LoadFailed { notice } => {
                self.progress.set(None);
                if self.stage.with_untracked(|stage| *stage == Stage::Loading) {
                    // It says nothing about the GPU, which another attempt may use.
                    self.end(notice);
                } else {
                    self.gap.set(Some(notice));
                    self.look_at_store();
                }
            }
            reply @ (Reply::Stored { .. }
            | Reply::Verified { .. }
            | Reply::NotKept { .. }
            | Reply::StoreFailed { .. }) => self.stored.hear(reply),
            Reply::Failed { id: None, notice } => self.fail(notice),
            reply => match self.work.get_untracked() {
                Work::Run => self.hear_of_run(reply),
                Work::Asked => self.hear_of_request(&reply),
                // Nobody waits for it any more.
                Work::Trial(place) if place.with_untracked(Option::is_none) => {
                    let ends = matches!(
                        reply,
                        Reply::Done { .. } | Reply::Ended { .. } | Reply::Failed { .. }
                    );
                    if ends {
                        self.stage.set(Stage::Ready);
                    }
                }
                Work::Trial(place) => {
                    let is_answered = place
                        .try_update(|trial| trial.as_mut().is_some_and(|trial| trial.hear(reply)));
                    if is_answered == Some(true) {
                        self.go_on_with(place);
                    }
                }
            },
        }
    }

    /// A file is here; the smallest size may be whole with it.
    fn keep_in_mind(self, path: String) {
        self.here.update(|here| {
            here.insert(path);
        });
        let is_loading = self.stage.with_untracked(|stage| *stage == Stage::Loading);
        let has_student = self.family.with_untracked(|family| {
            let family = family.as_ref()?;
            Some(
                self.here.with_untracked(|here| family.n_missing_bytes(&family.path()[0], here))
                    == 0,
            )
        });
        if is_loading && has_student == Some(true) {
            self.stage.set(Stage::Ready);
            let pending = self.pending.try_update_value(Option::take).flatten();
            if let Some(act) = pending {
                act();
            }
        }
    }

    fn hear_of_run(self, reply: Reply) {
        let id = match &reply {
            Reply::Started { id, .. } | Reply::Token { id, .. } | Reply::Done { id, .. } => *id,
            Reply::Failed { id: Some(id), .. } => *id,
            _ => return,
        };
        // The last words of a text that gave way to another.
        if self.run.with_untracked(|run| run.as_ref().is_some_and(|run| run.id != id)) {
            return;
        }
        let is_done = matches!(reply, Reply::Done { .. } | Reply::Failed { .. });
        if let Reply::Failed { notice, .. } = reply {
            self.refusal.set(Some(notice));
        } else {
            self.run.update(|run| {
                if let Some(run) = run {
                    run.hear(&reply);
                }
            });
        }
        if is_done {
            self.stage.set(Stage::Ready);
        }
    }

    fn hear_of_request(self, reply: &Reply) {
        let is_over = matches!(reply, Reply::Ended { .. } | Reply::Failed { .. });
        let hearer = self.hearer.get_value();
        if is_over {
            self.hearer.set_value(None);
            self.stage.set(Stage::Ready);
        }
        if let Some(hear) = hearer {
            hear(reply);
        }
    }

    /// Asks for what a trial needs next; when that is nothing, it is over.
    pub(super) fn go_on_with(self, place: RwSignal<Option<Trial>>) {
        let id = self.next_id();
        let request = place.try_update(|trial| trial.as_mut()?.next_request(id)).flatten();
        match request {
            Some(request) => self.ask(&request),
            None => self.stage.set(Stage::Ready),
        }
    }
}
