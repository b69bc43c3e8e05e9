//! Another family in the page: one whose files were made here, and the bundle's own again.

use std::sync::Arc;

use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use js_sys::Uint8Array;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Session, Source, Stage, Work};
use crate::family::FamilyCard;

/// A file that no server has: its path and its bytes.
pub type Brought = (String, Uint8Array);

impl Session {
    /// The manifest that is in use, and the address beside which its files are.
    pub fn manifest(self) -> (String, String) {
        let Source { manifest_url, manifest } = self.source.get_value();
        (manifest_url, manifest)
    }

    /// Puts another family on the dial. Files that are not brought come from beside the manifest of
    /// the bundle; those that the engine has it keeps.
    ///
    /// # Errors
    /// A [`Notice`] when the manifest is none, and then everything stays.
    pub fn adopt(self, manifest: String, brought: Vec<Brought>) -> Result<(), Notice> {
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            let next = "The family before is still here.";
            Notice::new("This family cannot be used.", chain(&error), next)
        })?;
        if self.original.with_untracked(Option::is_none) {
            let manifest = self.source.with_value(|source| source.manifest.clone());
            self.original.set(Some(manifest));
        }
        self.source.update_value(|source| source.manifest = manifest);
        self.brought.set_value(brought);
        self.forget();
        self.family.set(Some(Arc::new(family)));
        if self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            self.begin_loading();
            self.ask_for_family();
        } else {
            // An engine at work, on its way or dead gives way to a new one.
            self.load();
        }
        Ok(())
    }

    /// Whether the family on the dial is not the bundle's own.
    pub fn has_adopted(self) -> bool {
        self.original.with(Option::is_some)
    }

    /// Puts the bundle's own family back on the dial.
    ///
    /// # Errors
    /// As [`Session::adopt`]; there is none for a manifest that was used before.
    pub fn give_back(self) -> Result<(), Notice> {
        let Some(manifest) = self.original.get_untracked() else { return Ok(()) };
        self.adopt(manifest, Vec::new())?;
        self.original.set(None);
        spawn_local(async move {
            if let Some(family) = self.family.get_untracked() {
                self.open_extras(&family).await;
            }
        });
        Ok(())
    }

    /// Asks a new engine for the family, with what no server has of it.
    pub(super) fn ask_for_family(self) {
        let (manifest_url, manifest) = self.manifest();
        let (paths, files): (Vec<String>, Vec<Uint8Array>) =
            self.brought.get_value().into_iter().unzip();
        if self.original.with_untracked(Option::is_none) {
            self.ask(&Request::Load { manifest_url, manifest });
            return;
        }
        let request = Request::Adopt { manifest_url, manifest, paths };
        self.engine.with_value(|engine| {
            if let Some(engine) = engine {
                engine.ask_with(&request, &files);
            }
        });
    }

    /// Texts of the family before would be taken for those of the new one.
    fn forget(self) {
        self.recordings.set(None);
        self.run.set(None);
        self.earlier_runs.set(Vec::new());
        self.refusal.set(None);
        self.comparison.set(None);
        self.sweep.set(None);
        self.work.set(Work::Run);
        let hearer = self.hearer.try_update_value(Option::take).flatten();
        if let Some(hear) = hearer {
            hear(&Reply::Ended { id: self.last_id.get_value(), is_stopped: true });
        }
        self.pending.set_value(None);
    }
}
