//! The state that all views share: a family, its dial, and the draft of a request.

use std::sync::Arc;

use boomerang_core::plan::Patch;
use boomerang_lessons::controls::Control;
use leptos::prelude::*;

use crate::family::FamilyCard;
use crate::family::order::OrderChoice;
use crate::state::address::Address;
use crate::state::device::DeviceState;
use crate::state::dial::Dial;
use crate::state::draft::{Draft, SamplingMode};
use crate::state::lens::LensState;
use crate::state::session::{Session, Stage};
use crate::text::link::Link;

/// The state that the views share; it lives as long as the page, whichever view is shown.
#[derive(Clone, Copy)]
pub struct Bench {
    pub session: Session,
    pub dial: Dial,
    pub draft: Draft,
    /// Stops of the dial that are compared, ascending.
    pub compared: RwSignal<Vec<usize>>,
    pub address: Address,
    /// The settings of the link that could not be applied.
    pub link_problems: StoredValue<Vec<String>>,
    /// The results of the lens.
    pub lens: LensState,
    /// The results on this machine.
    pub device: DeviceState,
    /// What the link hides and locks.
    pub limits: StoredValue<Limits>,
}

/// Parts of the bench that are not shown, and parts that cannot be changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub hidden: Vec<Control>,
    pub locked: Vec<Control>,
}

impl Bench {
    /// With the settings of the link, else the defaults.
    pub fn new(session: Session, family: Arc<FamilyCard>, link: Link) -> Self {
        let link_problems = StoredValue::new(link.problems(&family));
        // Without its prompt, a link has no text to generate again.
        let is_whole = link.is_of(&family) && !link.is_without_prompt;
        let text_members = is_whole.then(|| link.span_members(&family));
        let (hidden, locked) = (link.hidden.clone(), link.locked.clone());
        let limits =
            Limits { hidden: hidden.unwrap_or_default(), locked: locked.unwrap_or_default() };
        let draft = Draft::new(&family, &link, session.run);
        let dial = Dial::new(family, &link);
        let compared = RwSignal::new(dial.family.with_value(|family| link.compared(family)));
        let address = Address::new(link, session, dial, draft, compared);
        if let Some(members) = text_members {
            generate_when_ready(session, draft, dial, members);
        }
        let limits = StoredValue::new(limits);
        let (lens, device) = (LensState::new(), DeviceState::new());
        Self { session, dial, draft, compared, address, link_problems, limits, lens, device }
    }
}

impl Bench {
    /// Sets dial and draft to the state of a link.
    pub fn apply(self, link: &Link) {
        self.dial.apply(link);
        self.draft.apply(link);
    }

    /// Whether this is the family on the bench, in any order.
    pub fn is_of(self, family: &FamilyCard) -> bool {
        self.dial.family.with_value(|own| own.fingerprint() == family.fingerprint())
    }

    /// The current state, with its blocks independent of the order of the dial.
    pub fn as_link(self) -> Link {
        let blocks = Some(untrack(|| self.dial.blocks()));
        Link { stop: None, blocks, compared: None, ..self.address.now() }
    }

    /// The complete state of dial and draft, to be restored later.
    pub fn state(self) -> Link {
        untrack(|| {
            // A stop of another order would be mistaken for one of the bundle's.
            let is_usual =
                self.dial.family.with_value(|family| family.order() == OrderChoice::Bundle);
            let stop = self.dial.stop.get().filter(|_| is_usual);
            let mut link = Link {
                prompt: Some(self.draft.prompt.get()),
                n_tokens: Some(self.draft.n_tokens.get()),
                stop,
                blocks: stop.is_none().then(|| self.dial.blocks()),
                ..Link::default()
            };
            self.draft.chat.put_all_into(&mut link);
            if self.draft.mode.get() == SamplingMode::Sample {
                link.seed = Some(self.draft.seed.get());
                link.temperature = Some(self.draft.temperature.get());
            }
            link
        })
    }
}

/// The bench, once a family is open; `None` before.
pub fn use_bench() -> RwSignal<Option<Bench>> {
    expect_context()
}

/// Generates the text of a link once the model is loaded: with the member of the dial, or with these
/// in turn.
fn generate_when_ready(
    session: Session,
    draft: Draft,
    dial: Dial,
    members: Option<Vec<(Patch, usize)>>,
) {
    Effect::new(move |is_done: Option<bool>| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        let is_done = is_done.unwrap_or(false);
        let is_first = session.run.with_untracked(Option::is_none);
        if is_ready && !is_done && is_first && draft.has_prompt() {
            match members.clone() {
                Some(members) => draft.send_to(session, dial, members),
                None => draft.send(session, dial),
            }
        }
        is_done || is_ready
    });
}
