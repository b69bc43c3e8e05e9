//! Which sizes of the family fit in memory where the engine runs.

use boomerang_core::plan::Patch;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::Session;
use crate::browser::backend::Backend;
use crate::browser::budget::Budget;
use crate::family::FamilyCard;
use crate::text::format;

/// What fits in memory, when not all sizes do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The smallest ones.
    pub n_sizes: usize,
    pub message: String,
}

impl Session {
    /// Whether all sizes fit in memory, as far as is known.
    pub fn fits_all(self) -> bool {
        self.memory_limit.with(Option::is_none)
    }

    /// Those of some sizes that fit in memory, as far as is known.
    pub fn fitting(self, path: &[Patch]) -> Vec<Patch> {
        path.iter().filter(|patch| self.fits(patch)).cloned().collect()
    }

    /// The largest stop of the dial that fits in memory, as far as is known.
    pub fn last_fitting_stop(self, family: &FamilyCard) -> usize {
        self.fitting(family.path()).len().saturating_sub(1)
    }

    /// Which sizes fit, when not all do.
    pub fn memory_summary(self) -> Option<String> {
        let n_sizes = self.n_fitting()?;
        self.family.with(|family| {
            let family = family.as_ref()?;
            let largest = family.measured_path().get(n_sizes.checked_sub(1)?)?;
            Some(format!(
                "{n_sizes} of {} fit in memory, up to {}",
                format::count(family.measured_path().len(), "size"),
                format::count(family.size(largest).n_layers, "layer"),
            ))
        })
    }

    /// Whether this member fits in memory, as far as is known.
    pub fn fits(self, patch: &Patch) -> bool {
        let Some(n_sizes) = self.n_fitting() else { return true };
        self.family
            .with(|family| family.as_ref().is_some_and(|family| family.is_within(patch, n_sizes)))
    }

    /// Bytes of the files that are fetched: those of the sizes that fit in memory.
    pub fn bytes_to_load(self) -> u64 {
        let n_sizes = self.n_fitting().unwrap_or(usize::MAX);
        self.family.with(|family| family.as_ref().map_or(0, |family| family.bytes_to_load(n_sizes)))
    }

    fn n_fitting(self) -> Option<usize> {
        self.memory_limit.with(|limit| limit.as_ref().map(|limit| limit.n_sizes))
    }

    /// Why not even the smallest size fits.
    pub(super) fn memory_refusal(self, backend: Backend) -> Option<Notice> {
        self.family.with_untracked(|family| Budget::of_browser(backend).refusal(family.as_deref()?))
    }

    /// How many sizes fit where the engine runs; also shown on the page.
    pub(super) fn update_memory_limit(self) -> usize {
        let backend = self
            .choice
            .with_untracked(|choice| choice.as_ref().map_or(Backend::Cpu, |it| it.backend));
        self.limit_memory(backend)
    }

    /// The same for a backend that is not chosen yet.
    pub(super) fn limit_memory(self, backend: Backend) -> usize {
        let (n_sizes, message) = self.family.with_untracked(|family| {
            family.as_deref().map_or((0, None), |family| {
                let budget = Budget::of_browser(backend);
                (budget.n_sizes(family), budget.in_words(family))
            })
        });
        self.memory_limit.set(message.map(|message| MemoryLimit { n_sizes, message }));
        n_sizes
    }
}
