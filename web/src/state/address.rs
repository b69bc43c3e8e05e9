//! The address of the page: read once, and kept to what the reader sees.

use std::time::Duration;

use leptos::prelude::*;

use crate::browser::location::{LESSON, opened_link, replace};
use crate::browser::view::Place;
use crate::family::order::OrderChoice;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::session::Session;
use crate::text::link::{Link, compared_by_itself};

/// Browsers refuse an address that changes with every pixel of a dial.
const REST: Duration = Duration::from_millis(250);

/// What the page says in its address.
#[derive(Clone, Copy)]
pub struct Address {
    /// As the page was opened.
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

    /// Rewrites the address whenever the page has come to rest in another state, or on another view.
    pub fn keep(self, view: RwSignal<Place>) {
        let mut show = debounce(REST, move |link: Link| {
            // The page works as well with an old address; browsers refuse it in some frames.
            let _ = replace(&in_its_lesson(link).query());
        });
        Effect::new(move |_| {
            view.track();
            // A text that was written is told with its model, so that a reload writes it again.
            let has_text = self.session.run.with(Option::is_some);
            show(self.link(has_text));
        });
    }

    /// A link to this very text and the model that writes it.
    pub fn to_share(self) -> String {
        let location = window().location();
        let place =
            location.origin().unwrap_or_default() + &location.pathname().unwrap_or_default();
        untrack(|| place + &in_its_lesson(self.link(true)).query())
    }

    /// What the address says once the page has come to rest.
    pub fn now(self) -> Link {
        untrack(|| self.link(false))
    }

    fn link(self, with_fingerprint: bool) -> Link {
        let Link { hidden, locked, others, .. } = self.opened.get_value();
        // A family that was brought is opened again from where it is kept.
        let bundle = self.session.bundle_in_address();
        let mut link = Link { bundle, hidden, locked, others, ..Link::default() };
        self.dial.put_into(&mut link);
        self.draft.put_into(&mut link);
        let compared = self.compared.get();
        self.dial.family.with_value(|family| {
            link.compared = Some(compared).filter(|it| *it != compared_by_itself(family));
            link.order = Some(family.order()).filter(|&order| order != OrderChoice::Bundle);
            link.fingerprint = with_fingerprint.then(|| family.fingerprint().to_owned());
        });
        link
    }
}

/// With the lesson that is open now, and no other: the views set it, and not the bench.
fn in_its_lesson(mut link: Link) -> Link {
    let is_lesson = |(key, _): &(String, String)| key == LESSON;
    link.others.retain(|other| !is_lesson(other));
    link.others.extend(opened_link().others.into_iter().filter(is_lesson));
    link
}
