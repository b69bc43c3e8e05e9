//! What the reader plays with on every view: a family, a dial on it, a draft of a text.

use std::sync::Arc;

use leptos::prelude::*;

use crate::family::FamilyCard;
use crate::family::order::OrderChoice;
use crate::state::address::Address;
use crate::state::device::DeviceState;
use crate::state::dial::Dial;
use crate::state::draft::{Draft, Draw};
use crate::state::lens::LensState;
use crate::state::session::{Session, Stage};
use crate::text::controls::Control;
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
    /// What the link by which the page was opened asks for and does not get.
    pub complaints: StoredValue<Vec<String>>,
    /// What was found inside a size.
    pub lens: LensState,
    /// What was found of this machine.
    pub device: DeviceState,
    /// What that link hides and locks.
    pub limits: StoredValue<Limits>,
}

/// Parts of the bench that are not shown, and parts that cannot be changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub hidden: Vec<Control>,
    pub locked: Vec<Control>,
}

impl Bench {
    /// As the link says, where it says something.
    pub fn new(session: Session, family: Arc<FamilyCard>, link: Link) -> Self {
        let complaints = StoredValue::new(link.complaints(&family));
        let tells_of_a_text = link.is_of(&family);
        let (hidden, locked) = (link.hidden.clone(), link.locked.clone());
        let limits =
            Limits { hidden: hidden.unwrap_or_default(), locked: locked.unwrap_or_default() };
        let draft = Draft::new(&family, &link);
        let dial = Dial::new(family, &link);
        let compared = RwSignal::new(dial.family.with_value(|family| link.compared(family)));
        let address = Address::new(link, session, dial, draft, compared);
        if tells_of_a_text {
            write_when_ready(session, draft, dial);
        }
        let limits = StoredValue::new(limits);
        let (lens, device) = (LensState::new(), DeviceState::new());
        Self { session, dial, draft, compared, address, complaints, limits, lens, device }
    }
}

impl Bench {
    /// Brings dial and draft into the state of a link.
    pub fn apply(self, link: &Link) {
        self.dial.apply(link);
        self.draft.apply(link);
    }

    /// Whether this is the family on the bench, if perhaps in another order.
    pub fn is_of(self, family: &FamilyCard) -> bool {
        self.dial.family.with_value(|own| own.fingerprint() == family.fingerprint())
    }

    /// The bench as it stands, its set of blocks whatever the order of the dial.
    pub fn as_link(self) -> Link {
        let blocks = Some(untrack(|| self.dial.blocks()));
        Link { stop: None, blocks, compared: None, ..self.address.now() }
    }

    /// Dial and draft as they stand, whole: applying it later brings them back.
    pub fn state(self) -> Link {
        untrack(|| {
            // A stop of another order would be taken for one of the bundle's.
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
            if self.draft.draw.get() == Draw::Random {
                link.seed = Some(self.draft.seed.get());
                link.temperature = Some(self.draft.temperature.get());
            }
            link
        })
    }
}

/// The bench, once there is a family; `None` before.
pub fn use_bench() -> RwSignal<Option<Bench>> {
    expect_context()
}

/// Writes the text of a link once the model is here.
fn write_when_ready(session: Session, draft: Draft, dial: Dial) {
    Effect::new(move |is_written: Option<bool>| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        let is_written = is_written.unwrap_or(false);
        let is_first = session.run.with_untracked(Option::is_none);
        if is_ready && !is_written && is_first && draft.has_prompt() {
            session.generate(draft.task(dial));
        }
        is_written || is_ready
    });
}
