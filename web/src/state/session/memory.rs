//! How much of the family has room where the engine runs.

use boomerang_core::plan::Patch;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::Session;
use crate::browser::backend::Backend;
use crate::browser::budget::Budget;
use crate::family::FamilyCard;
use crate::text::format;

impl Session {
    /// Whether all sizes have room here, as far as is known.
    pub fn has_room_for_all(self) -> bool {
        self.tight.with(Option::is_none)
    }

    /// Which of some sizes have room here, as far as is known.
    pub fn roomy(self, path: &[Patch]) -> Vec<Patch> {
        path.iter().filter(|patch| self.has_room(patch)).cloned().collect()
    }

    /// The largest stop of the dial that has room here, as far as is known.
    pub fn last_roomy_stop(self, family: &FamilyCard) -> usize {
        self.roomy(family.path()).len().saturating_sub(1)
    }

    /// Which sizes have room, when not all have.
    pub fn room_in_words(self) -> Option<String> {
        let n_sizes = self.tight.with(|tight| tight.as_ref().map(|(n_sizes, _)| *n_sizes))?;
        self.family.with(|family| {
            let family = family.as_ref()?;
            let largest = family.measured_path().get(n_sizes.checked_sub(1)?)?;
            Some(format!(
                "{n_sizes} of {} have room here, up to {}",
                format::count(family.measured_path().len(), "size"),
                format::count(family.size(largest).n_layers, "layer"),
            ))
        })
    }

    /// Whether this member has room here, as far as is known.
    pub fn has_room(self, patch: &Patch) -> bool {
        let Some(n_sizes) = self.tight.with(|tight| tight.as_ref().map(|(n_sizes, _)| *n_sizes))
        else {
            return true;
        };
        self.family
            .with(|family| family.as_ref().is_some_and(|family| family.is_within(patch, n_sizes)))
    }

    /// Why the family has no room here.
    pub(super) fn refusal(self, backend: Backend) -> Option<Notice> {
        self.family.with_untracked(|family| Budget::of_browser(backend).refusal(family.as_deref()?))
    }

    /// How many sizes have room where the engine runs; told to the reader, too.
    pub(super) fn measure_room(self) -> usize {
        let backend = self
            .choice
            .with_untracked(|choice| choice.as_ref().map_or(Backend::Cpu, |it| it.backend));
        let (n_sizes, words) = self.family.with_untracked(|family| {
            family.as_deref().map_or((0, None), |family| {
                let budget = Budget::of_browser(backend);
                (budget.n_sizes(family), budget.in_words(family))
            })
        });
        self.tight.set(words.map(|words| (n_sizes, words)));
        n_sizes
    }
}
