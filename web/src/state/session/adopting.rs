//! Another family in the page: one whose files were made here, and the bundle's own again.

use std::sync::Arc;

use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use boomerang_engine::store::{is_kept_only, kept_address};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use super::{Session, Source, Stage, Work};
use crate::browser::files::NamedFile;
use crate::family::FamilyCard;
use crate::family::order::OrderChoice;

/// A family that is to take the place of the bundle's.
pub struct Newcomer {
    pub manifest: String,
    pub brought: Vec<NamedFile>,
    pub home: Home,
}

/// Where what is not brought of a family is, and whether it is kept for the next visit.
pub enum Home {
    /// Beside the bundle's manifest; nothing is kept.
    Bundle,
    /// In this browser alone, under its fingerprint.
    Kept,
    /// Beside its own manifest, at this address.
    At(String),
}

impl Session {
    /// The manifest that is in use, and the address beside which its files are.
    pub fn manifest(self) -> (String, String) {
        let Source { manifest_url, manifest, .. } = self.source.get_value();
        (manifest_url, manifest)
    }

    /// Puts another family on the dial. Files that are not brought are fetched; those that the engine
    /// has it keeps.
    ///
    /// # Errors
    /// A [`Notice`] when the manifest is none, and then everything stays.
    pub fn adopt(self, newcomer: Newcomer) -> Result<(), Notice> {
        let Newcomer { manifest, brought, home } = newcomer;
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            let next = "The family before is still here.";
            Notice::new("This family cannot be used.", chain(&error), next)
        })?;
        let is_own = !matches!(home, Home::Bundle);
        if self.original.with_untracked(Option::is_none) {
            self.original.set(Some(self.source.get_value()));
        }
        let manifest_url = match home {
            Home::Bundle => self.original.with_untracked(|original| {
                original.as_ref().map(|original| original.manifest_url.clone()).unwrap_or_default()
            }),
            Home::Kept => kept_address(family.fingerprint()),
            Home::At(url) => url,
        };
        self.source.set_value(Source { manifest_url, manifest, is_kept: is_own });
        self.brought.set_value(brought);
        self.forget();
        // Larger matrices may need another device.
        let fits_as_well = self.family.with_untracked(|before| {
            let largest = |family: &FamilyCard| family.largest_tensor_bytes();
            before.as_deref().is_some_and(|before| largest(before) >= largest(&family))
        });
        let family = Arc::new(family);
        self.family.set(Some(Arc::clone(&family)));
        if is_own {
            // What it is asked is its own, too.
            self.task.set(None);
            spawn_local(async move { self.open_recordings(&family).await });
        }
        if fits_as_well && self.stage.with_untracked(|stage| *stage == Stage::Ready) {
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
        // A page that came without a bundle has none to go back to.
        self.original.with(|original| original.as_ref().is_some_and(|it| !it.manifest.is_empty()))
    }

    /// Puts the bundle's own family back on the dial.
    ///
    /// # Errors
    /// As [`Session::adopt`]; there is none for a manifest that was used before.
    pub fn give_back(self) -> Result<(), Notice> {
        let Some(original) = self.original.get_untracked() else { return Ok(()) };
        let Source { manifest_url, manifest, .. } = original;
        let home = Home::At(manifest_url);
        self.adopt(Newcomer { manifest, brought: Vec::new(), home })?;
        self.original.set(None);
        Ok(())
    }

    /// Has the dial patch in another order; weights and texts stay.
    ///
    /// Nothing happens while the engine is at work or on its way: what waits for it is told of the
    /// order before.
    pub fn reorder(self, choice: OrderChoice) {
        if !untrack(|| self.can_ask()) {
            return;
        }
        // Their rows are those of the order before.
        self.comparison.set(None);
        self.sweep.set(None);
        self.family.update(|family| {
            if let Some(family) = family {
                *family = Arc::new(family.in_order(choice));
            }
        });
        // The bench is set up anew, and the reader was on it.
        request_animation_frame(|| request_animation_frame(focus_order));
    }

    /// Asks a new engine for the family, with what no server has of it.
    pub(super) fn ask_for_family(self) {
        let Source { manifest_url, manifest, is_kept } = self.source.get_value();
        let n_sizes = self.measure_room();
        let (paths, files): (Vec<String>, Vec<Blob>) = self.brought.get_value().into_iter().unzip();
        if self.original.with_untracked(Option::is_none) {
            self.ask(&Request::Load { manifest_url, manifest, n_sizes });
            return;
        }
        let request = Request::Adopt { manifest_url, manifest, n_sizes, paths, is_kept };
        self.engine.with_value(|engine| {
            if let Some(engine) = engine {
                engine.ask_with(&request, &files);
            }
        });
    }

    /// The folder in the address, as it has to be for a reload to bring back what is on the dial.
    pub fn bundle_in_address(self) -> Option<String> {
        let address = self.source.with_value(|source| source.manifest_url.clone());
        if is_kept_only(&address) { Some(address) } else { self.opened_bundle.get_value() }
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

fn focus_order() {
    let chosen = document().query_selector("#order input:checked").ok().flatten();
    if let Some(chosen) = chosen {
        let chosen: web_sys::HtmlElement = wasm_bindgen::JsCast::unchecked_into(chosen);
        // A page that cannot focus can be used with a pointer.
        let _ = chosen.focus();
    }
}
