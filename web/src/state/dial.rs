//! The member that the user has chosen, and what follows from it.

use std::sync::Arc;

use boomerang_core::curve::{CurveStop, SizeCurve};
use boomerang_core::plan::Patch;
use leptos::prelude::*;

use crate::family::{FamilyCard, MemberSize};
use crate::state::device::{MeasuredHere, with_measured};
use crate::text::link::Link;

/// The chosen patch of a family.
#[derive(Clone, Copy)]
pub struct Dial {
    pub family: StoredValue<Arc<FamilyCard>>,
    pub patch: RwSignal<Patch>,
    pub size: Memo<MemberSize>,
    /// The stop of the dial, unless the patch is off the path.
    pub stop: Memo<Option<usize>>,
    /// The measurements of this patch, by the bundle or on this machine.
    pub score: Memo<Option<CurveStop>>,
    /// Whether they were made on this machine.
    pub is_scored_here: Memo<bool>,
    /// What was measured on this machine.
    pub measured_here: RwSignal<Vec<MeasuredHere>>,
    /// The bundle's curve with these measurements.
    pub curve: Memo<SizeCurve>,
}

impl Dial {
    /// At the link's patch, or half-way along the path.
    pub fn new(family: Arc<FamilyCard>, link: &Link) -> Self {
        let half_way = || family.path()[first_stop(&family)].clone();
        let start = link.patch(&family).unwrap_or_else(half_way);
        let family = StoredValue::new(family);
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
        let measured_here = RwSignal::new(Vec::<MeasuredHere>::new());
        let bundle_score = move || {
            let (family, patch) = of_patch();
            family.score(&patch).cloned()
        };
        let here = move || {
            let is_it = |it: &&MeasuredHere| patch.with(|patch| it.patch == *patch);
            measured_here.with(|all| all.iter().find(is_it).map(MeasuredHere::stop))
        };
        let score = Memo::new(move |_| bundle_score().or_else(here));
        let is_scored_here = Memo::new(move |_| bundle_score().is_none() && here().is_some());
        let curve = Memo::new(move |_| {
            family.with_value(|family| measured_here.with(|all| with_measured(family, all)))
        });
        Self { family, patch, size, stop, score, is_scored_here, measured_here, curve }
    }

    /// Goes to a stop of the dial; numbers beyond the last mean the teacher.
    pub fn turn_to(self, stop: usize) {
        let patch =
            self.family.with_value(|family| family.path()[stop.min(family.last_stop())].clone());
        self.patch.set(patch);
    }

    /// Goes to the patch of a link, if it has one that the family has.
    pub fn apply(self, link: &Link) {
        if let Some(patch) = self.family.with_value(|family| link.patch(family)) {
            self.patch.set(patch);
        }
    }

    /// Puts the position of the dial into a link, unless it is the default.
    pub fn put_into(self, link: &mut Link) {
        let stop = self.stop.get();
        let first = self.family.with_value(|family| first_stop(family));
        link.stop = stop.filter(|&stop| stop != first);
        link.blocks = stop.is_none().then(|| self.blocks());
    }

    /// Which blocks are the teacher's, first to last.
    pub fn blocks(self) -> Vec<bool> {
        self.patch.with(|patch| self.family.with_value(|family| family.flags(patch)))
    }

    /// Moves by that many stops, up to the ends.
    pub fn step(self, by: isize) {
        let stop = untrack(|| self.position());
        let last = self.family.with_value(|family| family.last_stop());
        self.turn_to(stop.saturating_add_signed(by).min(last));
    }

    /// The stop of the patch, or the one below a patch that is off the path.
    pub fn position(self) -> usize {
        self.stop.get().unwrap_or_else(|| {
            self.family.with_value(|family| self.patch.with(|patch| family.stop_below(patch)))
        })
    }
}

/// The default position.
fn first_stop(family: &FamilyCard) -> usize {
    family.last_stop().div_ceil(2)
}
