//! Another family on the page, distilled here or uploaded, and back to the bundle's own.

use std::sync::Arc;

use boomerang_engine::messages::{FamilyRequest, Request};
use boomerang_engine::notice::{Notice, chain};
use boomerang_engine::store::{is_kept_only, kept_address};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use super::{FamilySource, Session, Stage};
use crate::browser::bundle_source::is_elsewhere;
use crate::browser::files::NamedFile;
use crate::family::FamilyCard;
use crate::family::order::OrderChoice;
use crate::state::request_status::RequestStatus;

/// A family that replaces the bundle's.
pub struct AdoptedFamily {
    pub manifest: String,
    /// Its files that are on no server.
    pub files: Vec<NamedFile>,
    pub home: FamilyHome,
}

/// Where the other files of a family are, and whether it is stored for the next visit.
pub enum FamilyHome {
    /// Next to the bundle's manifest; nothing is stored.
    Bundle,
    /// Only in this browser, under its fingerprint.
    Kept,
    /// Next to its own manifest, at this address.
    At(String),
}

impl Session {
    /// The current manifest, and the address next to which its files are.
    pub fn manifest(self) -> (String, String) {
        let FamilySource { manifest_url, manifest, .. } = self.source.get_value();
        (manifest_url, manifest)
    }

    /// Whether the family's files are on another server than the page.
    pub fn is_elsewhere(self) -> bool {
        self.source.with_value(|source| is_elsewhere(&source.manifest_url))
    }

    /// Puts another family on the dial. Its other files are fetched, except those that the engine has.
    ///
    /// # Errors
    /// A [`Notice`] when the manifest is invalid; then the current family stays.
    pub fn adopt(self, adopted: AdoptedFamily) -> Result<(), Notice> {
        let AdoptedFamily { manifest, files, home } = adopted;
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            let next = "The previous family is still loaded.";
            Notice::new("This family cannot be used.", chain(&error), next)
        })?;
        let is_kept = !matches!(home, FamilyHome::Bundle);
        if self.original.with_untracked(Option::is_none) {
            self.original.set(Some(self.source.get_value()));
        }
        let manifest_url = match home {
            FamilyHome::Bundle => self.original.with_untracked(|original| {
                original.as_ref().map(|original| original.manifest_url.clone()).unwrap_or_default()
            }),
            FamilyHome::Kept => kept_address(family.fingerprint()),
            FamilyHome::At(url) => url,
        };
        self.source.set_value(FamilySource { manifest_url, manifest, is_kept });
        self.uploaded.set_value(files);
        self.forget();
        // Larger matrices may need another device.
        let can_keep_device = self.family.with_untracked(|before| {
            let largest = |family: &FamilyCard| family.largest_tensor_bytes();
            before.as_deref().is_some_and(|before| largest(before) >= largest(&family))
        });
        let family = Arc::new(family);
        self.family.set(Some(Arc::clone(&family)));
        if is_kept {
            // It has its own questions, too.
            self.task.set(None);
            spawn_local(async move { self.open_recordings(&family).await });
        }
        if can_keep_device && self.is_stage(&Stage::Ready) {
            self.begin_loading(None);
            self.ask_for_family();
        } else {
            // An engine that is busy, loading or failed is replaced by a new one.
            self.load();
        }
        Ok(())
    }

    /// Whether the family on the dial is another one than the bundle's.
    pub fn has_adopted(self) -> bool {
        // A page that was opened without a bundle has none to return to.
        self.original.with(|original| original.as_ref().is_some_and(|it| !it.manifest.is_empty()))
    }

    /// Puts the bundle's own family back on the dial.
    ///
    /// # Errors
    /// As [`Session::adopt`], which accepts a manifest that was used before.
    pub fn restore_bundle(self) -> Result<(), Notice> {
        let Some(original) = self.original.get_untracked() else { return Ok(()) };
        let FamilySource { manifest_url, manifest, .. } = original;
        let home = FamilyHome::At(manifest_url);
        self.adopt(AdoptedFamily { manifest, files: Vec::new(), home })?;
        self.original.set(None);
        Ok(())
    }

    /// Changes the order in which the dial patches; weights and texts stay.
    ///
    /// Without effect while the engine is busy or loading: waiting requests refer to the old order.
    pub fn reorder(self, choice: OrderChoice) {
        if !untrack(|| self.can_ask()) {
            return;
        }
        // Their rows refer to the old order.
        self.comparison.set(None);
        self.sweep.set(None);
        self.family.update(|family| {
            if let Some(family) = family {
                *family = Arc::new(family.in_order(choice));
            }
        });
        // The bench is created again, and the focus was in it.
        request_animation_frame(|| request_animation_frame(focus_order));
    }

    /// Requests the family of a new engine, with its files that are on no server.
    pub(super) fn ask_for_family(self) {
        let FamilySource { manifest_url, manifest, is_kept } = self.source.get_value();
        let n_sizes = self.update_memory_limit();
        let (paths, files): (Vec<String>, Vec<Blob>) =
            self.uploaded.get_value().into_iter().unzip();
        if self.original.with_untracked(Option::is_none) {
            self.ask(&Request::Family(FamilyRequest::Load { manifest_url, manifest, n_sizes }));
            return;
        }
        let request = FamilyRequest::Adopt { manifest_url, manifest, n_sizes, paths, is_kept };
        let request = Request::Family(request);
        self.engine.with_value(|engine| {
            if let Some(engine) = engine {
                engine.ask_with(&request, &files);
            }
        });
    }

    /// The folder for the address, so that a reload restores the family on the dial.
    pub fn bundle_in_address(self) -> Option<String> {
        let address = self.source.with_value(|source| source.manifest_url.clone());
        if is_kept_only(&address) { Some(address) } else { self.opened_bundle.get_value() }
    }

    /// Results of the previous family would be mistaken for those of the new one.
    fn forget(self) {
        self.recordings.set(None);
        self.run.set(None);
        self.earlier_runs.set(Vec::new());
        self.run_failure.set(None);
        self.comparison.set(None);
        self.sweep.set(None);
        self.abandon_question(RequestStatus::Stopped);
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
