//! One card of a lesson: instructions, questions, and the navigation.

use boomerang_lessons::{Asked, Step};
use leptos::prelude::*;

use super::lesson_ask::{Ask, Check};
use super::lesson_sheet::LessonSheet;
use crate::state::bench::{Bench, Limits};
use crate::state::lessons::{Attempt, Card};
use crate::text::link::Link;

#[component]
pub fn LessonCard(
    bench: Bench,
    attempt: Attempt,
    limits: RwSignal<Limits>,
    /// Of the lesson's texts, unless it is the page's.
    language: Option<&'static str>,
    /// When the user goes to the list of lessons.
    on_leave: impl Fn() + 'static,
) -> impl IntoView {
    let n_cards = attempt.cards().len();
    // Not the answers, which change with every key.
    let at = Memo::new(move |_| attempt.at());
    let current = Memo::new(move |_| (attempt.card(), attempt.id()));
    let step_of = move |index: usize| attempt.lesson.with_value(|it| it.steps[index].clone());
    Effect::new(move |_| {
        let (Card::Step(index), _) = current.get() else { return limits.set(Limits::default()) };
        let Step { hidden, locked, state, .. } = step_of(index);
        limits.set(Limits { hidden, locked });
        if let Some(state) = state {
            bench.apply(&Link::parse(&state));
        }
    });
    let on_key = window_event_listener(leptos::ev::keydown, move |event| {
        // Space belongs to the control that has focus.
        let is_free = event.target().is_none_or(|target| {
            let tag = js_sys::Reflect::get(&target, &"tagName".into()).ok();
            tag.and_then(|tag| tag.as_string()).is_none_or(|tag| tag == "BODY" || tag == "MAIN")
        });
        if event.key() == " " && is_free {
            event.prevent_default();
            let now = at.get_untracked();
            attempt.go(if event.shift_key() { now.saturating_sub(1) } else { now + 1 });
        }
    });
    on_cleanup(move || on_key.remove());
    let card = move || match current.get().0 {
        Card::Before => view! { <Check attempt asked=Asked::Before/> }.into_any(),
        Card::After => view! { <Check attempt asked=Asked::After/> }.into_any(),
        Card::Step(index) => {
            let Step { title, paragraphs, question, .. } = step_of(index);
            let question = question.map(|question| {
                view! { <Ask attempt asked=Asked::Step number=index + 1 question/> }
            });
            view! {
                <h2>{title}</h2>
                {paragraphs.into_iter().map(|text| view! { <p>{text}</p> }).collect_view()}
                {question}
            }
            .into_any()
        }
    };
    let is_last = Memo::new(move |_| at.get() + 1 == n_cards);
    view! {
        <section class="panel lesson-card" aria-labelledby="lesson-heading">
            <h1 id="lesson-heading" lang=language>
                {attempt.lesson.with_value(|lesson| lesson.title.clone())}
            </h1>
            <p class="quiet" role="status" id="lesson-place">
                {move || format!("Card {} of {n_cards}", at.get() + 1)}
            </p>
            <div class="lesson-step" lang=language>{card}</div>
            <p class="button-row">
                <button
                    type="button"
                    id="lesson-back"
                    disabled=move || at.get() == 0
                    on:click=move |_| attempt.go(at.get_untracked().saturating_sub(1))
                >
                    "Back"
                </button>
                <button
                    type="button"
                    class="primary"
                    id="lesson-next"
                    disabled=move || is_last.get()
                    on:click=move |_| attempt.go(at.get_untracked() + 1)
                >
                    "Next"
                </button>
                <a href="learn/" on:click=move |_| on_leave()>"All lessons"</a>
            </p>
            <Show when=move || is_last.get()>
                <LessonSheet attempt language/>
            </Show>
        </section>
    }
}
