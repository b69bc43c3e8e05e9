//! What the reader plays with on every view: a family, a dial on it, a draft of a text.

use std::sync::Arc;

use leptos::prelude::*;

use crate::address::{Address, opened_link};
use crate::dial::Dial;
use crate::draft::Draft;
use crate::family::FamilyCard;
use crate::session::{Session, Stage};

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
    /// Whether that link tells of a text of this very model.
    pub replays: bool,
}

impl Bench {
    pub fn new(session: Session, family: Arc<FamilyCard>) -> Self {
        let link = opened_link();
        let complaints = StoredValue::new(link.complaints(&family));
        let replays = link.is_of(&family);
        let draft = Draft::new(&family, &link);
        let dial = Dial::new(family, &link);
        let compared = RwSignal::new(dial.family.with_value(|family| link.compared(family)));
        let address = Address::new(link, session, dial, draft, compared);
        if replays {
            write_when_ready(session, draft, dial);
        }
        Self { session, dial, draft, compared, address, complaints, replays }
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
