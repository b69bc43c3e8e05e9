//! The address of the page: read once, then updated to the state of the page.

use std::time::Duration;

use leptos::prelude::*;

use crate::browser::location::{LESSON, opened_link, replace};
use crate::browser::view::View;
use crate::family::order::OrderChoice;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::session::Session;
use crate::text::link::{Link, default_comparison};

/// Browsers limit how often an address may change.
const REST: Duration = Duration::from_millis(250);

/// The state of the page that is in its address.
#[derive(Clone, Copy)]
pub struct Address {
    /// The link that opened the page.
    opened: StoredValue<Link>,
    session: Session,
    dial: Dial,
    draft: Draft,
    /// The stops that are compared.
    compared: RwSignal<Vec<usize>>,
}

impl Address {
    pub fn new(
        opened: Link,
        session: Session,
        dial: Dial,
        draft: Draft,
        compared: RwSignal<Vec<usize>>,
    ) -> Self {
        Self { opened: StoredValue::new(opened), session, dial, draft, compared }
    }

    /// Updates the address after each change of the state or the view.
    pub fn keep(self, view: RwSignal<View>) {
        let mut show = debounce(REST, move |link: Link| {
            // The page also works with an old address; browsers refuse the update in some frames.
            let _ = replace(&in_its_lesson(link.for_address()).query());
        });
        Effect::new(move |_| {
            view.track();
            // With a generated text, the link contains its model, so that a reload generates it again.
            let has_text = self.session.run.with(Option::is_some);
            show(self.link(has_text));
        });
    }

    /// A link to the current text and the model that generated it.
    pub fn to_share(self) -> String {
        let location = window().location();
        let page = location.origin().unwrap_or_default() + &location.pathname().unwrap_or_default();
        untrack(|| page + &in_its_lesson(self.link(true).for_address()).query())
    }

    /// Whether the prompt is too long for a link to it.
    pub fn lacks_prompt(self) -> bool {
        untrack(|| self.link(true).for_address().is_without_prompt)
    }

    /// The prompt, to be sent without a link.
    pub fn prompt(self) -> String {
        untrack(|| self.link(true).prompt.unwrap_or_default())
    }

    /// The current state as a link.
    pub fn now(self) -> Link {
        untrack(|| self.link(false))
    }

    fn link(self, with_fingerprint: bool) -> Link {
        let Link { hidden, locked, others, .. } = self.opened.get_value();
        // An uploaded family is opened again from the store.
        let bundle = self.session.bundle_in_address();
        let mut link = Link { bundle, hidden, locked, others, ..Link::default() };
        self.dial.put_into(&mut link);
        self.draft.put_into(&mut link);
        let compared = self.compared.get();
        self.dial.family.with_value(|family| {
            link.compared = Some(compared).filter(|it| *it != default_comparison(family));
            link.order = Some(family.order()).filter(|&order| order != OrderChoice::Bundle);
            link.fingerprint = with_fingerprint.then(|| family.fingerprint().to_owned());
        });
        link
    }
}

/// With the open lesson, which is set by the views and not by the bench.
fn in_its_lesson(mut link: Link) -> Link {
    let is_lesson = |(key, _): &(String, String)| key == LESSON;
    link.others.retain(|other| !is_lesson(other));
    link.others.extend(opened_link().others.into_iter().filter(is_lesson));
    link
}
