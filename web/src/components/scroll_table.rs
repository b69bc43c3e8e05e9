//! A table that may be wider than its space: it scrolls, and shows on which side it goes on.

use leptos::html;
use leptos::prelude::*;

use super::width::on_resize;

/// Less than this many pixels of a table are not worth a hint.
const SLACK: i32 = 2;

#[component]
pub fn ScrollTable(
    /// What the table holds, for screen readers.
    label: &'static str,
    /// Whether it scrolls within a limited height.
    #[prop(optional)]
    is_tall: bool,
    children: Children,
) -> impl IntoView {
    let frame = NodeRef::<html::Div>::new();
    let (hidden, set_hidden) = signal((false, false));
    let update = move || {
        if let Some(frame) = frame.get_untracked() {
            let now = hidden_sides(frame.scroll_left(), frame.client_width(), frame.scroll_width());
            if hidden.get_untracked() != now {
                set_hidden.set(now);
            }
        }
    };
    on_resize(frame, update);
    view! {
        <div class="table-part">
            <div
                class="table-frame"
                class:hides-left=move || hidden.get().0
                class:hides-right=move || hidden.get().1
            >
                <div
                    class="table-scroll"
                    class:table-tall=is_tall
                    tabindex="0"
                    role="region"
                    aria-label=label
                    node_ref=frame
                    on:scroll=move |_| update()
                >
                    {children()}
                </div>
            </div>
            <p class="quiet table-more" aria-hidden="true">
                {move || hidden.get().1.then_some("More columns to the right →")}
            </p>
        </div>
    }
}

/// Whether columns are hidden to the left and to the right, from pixels.
fn hidden_sides(scrolled: i32, width: i32, of: i32) -> (bool, bool) {
    (scrolled > SLACK, scrolled + width + SLACK < of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_where_more_of_it_can_be_scrolled_to() {
        assert_eq!(hidden_sides(0, 300, 300), (false, false));
        assert_eq!(hidden_sides(0, 300, 900), (false, true));
        assert_eq!(hidden_sides(200, 300, 900), (true, true));
        assert_eq!(hidden_sides(600, 300, 900), (true, false));
    }
}
