//! Which member the reader has chosen, and what follows from it.

use std::sync::Arc;

use boomerang_core::curve::CurveStop;
use boomerang_core::plan::Patch;
use leptos::prelude::*;

use crate::family::{FamilyCard, MemberSize};

/// The chosen patch of a family.
#[derive(Clone, Copy)]
pub struct Dial {
    pub family: StoredValue<Arc<FamilyCard>>,
    pub patch: RwSignal<Patch>,
    pub size: Memo<MemberSize>,
    /// The stop of the dial, unless the patch is off the path.
    pub stop: Memo<Option<usize>>,
    /// What was measured of this very patch.
    pub score: Memo<Option<CurveStop>>,
}

impl Dial {
    /// Half-way along the path.
    pub fn new(family: Arc<FamilyCard>) -> Self {
        let family = StoredValue::new(family);
        let start =
            family.with_value(|family| family.path()[family.last_stop().div_ceil(2)].clone());
        let patch = RwSignal::new(start);
        let of_patch = move || (family.get_value(), patch.get());
        let size = Memo::new(move |_| {
            let (family, patch) = of_patch();
            family.size(&patch)
        });
        let stop = Memo::new(move |_| {
            let (family, patch) = of_patch();
            family.stop_of(&patch)
        });
        let score = Memo::new(move |_| {
            let (family, patch) = of_patch();
            family.score(&patch).cloned()
        });
        Self { family, patch, size, stop, score }
    }

    /// Goes to a stop of the dial; larger numbers mean the teacher.
    pub fn turn_to(self, stop: usize) {
        let patch =
            self.family.with_value(|family| family.path()[stop.min(family.last_stop())].clone());
        self.patch.set(patch);
    }

    /// Where the dial stands: at its stop, or at the one below a patch that is off the path.
    pub fn position(self) -> usize {
        self.stop.get().unwrap_or_else(|| {
            self.family.with_value(|family| self.patch.with(|patch| family.stop_below(patch)))
        })
    }
}
