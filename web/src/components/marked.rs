//! A text with the differences from the teacher's marked.

use leptos::prelude::*;

use crate::text::difference::Stretch;
use crate::text::visible::visible;

#[component]
pub fn Marked(stretches: Vec<Stretch>) -> impl IntoView {
    let stretch = |Stretch { text, differs }: Stretch| {
        if differs {
            view! { <mark class="differs">{visible(&text)}</mark> }.into_any()
        } else {
            view! { <span>{visible(&text)}</span> }.into_any()
        }
    };
    stretches.into_iter().map(stretch).collect_view()
}
