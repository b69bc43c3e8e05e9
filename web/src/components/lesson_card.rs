//! One step of a lesson: instructions, a question, and the navigation.

use leptos::prelude::*;

use super::download::{data_url, save};
use crate::browser::files;
use crate::state::bench::{Bench, Limits};
use crate::text::lesson::{Answers, Kind, Lesson, Question, answer_sheet};
use crate::text::link::Link;

#[component]
pub fn LessonCard(
    bench: Bench,
    lesson: Lesson,
    limits: RwSignal<Limits>,
    /// When the user goes to the list of lessons.
    on_leave: impl Fn() + 'static,
) -> impl IntoView {
    let n_steps = lesson.steps.len();
    let key = format!("boomerang answers: {}", lesson.title);
    let saved: Option<Answers> =
        files::saved(&key).and_then(|text| serde_json::from_str(&text).ok());
    let answers = RwSignal::new(saved.unwrap_or_default());
    Effect::new(move |_| {
        let text = answers.with(serde_json::to_string);
        files::save(&key, &text.unwrap_or_default());
    });
    let at = RwSignal::new(0_usize);
    let lesson = StoredValue::new(lesson);
    Effect::new(move |_| {
        let step = lesson.with_value(|lesson| lesson.steps[at.get()].clone());
        limits.set(Limits { hidden: step.hidden, locked: step.locked });
        if let Some(state) = step.state {
            bench.apply(&Link::parse(&state));
        }
    });
    let go = move |to: usize| at.set(to.min(n_steps - 1));
    let on_key = window_event_listener(leptos::ev::keydown, move |event| {
        // Space belongs to the control that has focus.
        let is_free = event.target().is_none_or(|target| {
            let tag = js_sys::Reflect::get(&target, &"tagName".into()).ok();
            tag.and_then(|tag| tag.as_string()).is_none_or(|tag| tag == "BODY" || tag == "MAIN")
        });
        if event.key() == " " && is_free {
            event.prevent_default();
            let now = at.get_untracked();
            go(if event.shift_key() { now.saturating_sub(1) } else { now + 1 });
        }
    });
    on_cleanup(move || on_key.remove());
    let card = move || {
        let number = at.get();
        let step = lesson.with_value(|lesson| lesson.steps[number].clone());
        let question = step.question.map(|question| {
            view! { <Ask number question answers/> }
        });
        view! {
            <h2>{step.title}</h2>
            {step.paragraphs.into_iter().map(|text| view! { <p>{text}</p> }).collect_view()}
            {question}
        }
    };
    let is_last = move || at.get() + 1 == n_steps;
    view! {
        <section class="panel lesson-card" aria-labelledby="lesson-heading">
            <h1 id="lesson-heading">{lesson.with_value(|lesson| lesson.title.clone())}</h1>
            <p class="quiet" role="status" id="lesson-place">
                {move || format!("Step {} of {n_steps}", at.get() + 1)}
            </p>
            <div class="lesson-step">{card}</div>
            <p class="button-row">
                <button
                    type="button"
                    id="lesson-back"
                    disabled=move || at.get() == 0
                    on:click=move |_| go(at.get_untracked().saturating_sub(1))
                >
                    "Back"
                </button>
                <button
                    type="button"
                    class="primary"
                    id="lesson-next"
                    disabled=is_last
                    on:click=move |_| go(at.get_untracked() + 1)
                >
                    "Next"
                </button>
                <a href="learn/" on:click=move |_| on_leave()>"All lessons"</a>
            </p>
            <Show when=is_last>
                <Sheet lesson answers/>
            </Show>
        </section>
    }
}

#[component]
fn Ask(number: usize, question: Question, answers: RwSignal<Answers>) -> impl IntoView {
    let answer = move || answers.with(|answers| answers.get(&number).cloned().unwrap_or_default());
    let set = move |value: String| {
        answers.update(|answers| {
            if value.is_empty() {
                answers.remove(&number);
            } else {
                answers.insert(number, value);
            }
        });
    };
    let first = untrack(answer);
    let field = match question.kind {
        Kind::Text => view! {
            <textarea
                rows="2"
                prop:value=first
                on:input=move |event| set(event_target_value(&event))
            ></textarea>
        }
        .into_any(),
        Kind::Number => view! {
            <input
                type="number"
                step="any"
                prop:value=first
                on:input=move |event| set(event_target_value(&event))
            />
        }
        .into_any(),
        Kind::Choice(choices) => {
            let option = |choice: String| {
                let is_chosen = choice == first;
                let value = choice.clone();
                view! { <option value=value selected=is_chosen>{choice}</option> }
            };
            view! {
                <select on:change=move |event| set(event_target_value(&event))>
                    <option value="">"–"</option>
                    {choices.into_iter().map(option).collect_view()}
                </select>
            }
            .into_any()
        }
    };
    view! { <label class="ask">{question.text} {field}</label> }
}

/// The answers as a file; nothing is sent.
#[component]
fn Sheet(lesson: StoredValue<Lesson>, answers: RwSignal<Answers>) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let download = move |_| {
        let sheet = lesson.with_value(|lesson| {
            answers.with_untracked(|answers| answer_sheet(lesson, &name.get_untracked(), answers))
        });
        save("answers.json", &data_url("application/json", &sheet));
    };
    view! {
        <div class="sheet">
            <label>
                "Your name on the answer sheet"
                <input
                    type="text"
                    autocomplete="name"
                    on:input=move |event| name.set(event_target_value(&event))
                />
            </label>
            <p class="button-row">
                <button type="button" id="save-answers" on:click=download>"Save answers"</button>
                <button
                    type="button"
                    on:click=move |_| {
                        // A browser that cannot print shows that.
                        let _ = window().print();
                    }
                >
                    "Print"
                </button>
            </p>
            <p class="quiet">"Your answers stay in this browser; submit the file yourself."</p>
        </div>
    }
}
