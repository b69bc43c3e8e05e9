//! The questions of a lesson.

use boomerang_lessons::{Asked, Kind, Question};
use leptos::prelude::*;

use crate::state::lessons::Attempt;

const BEFORE: &str = "You will be asked the same again at the end. Nobody expects you to know the \
                      answers now.";

/// The questions at both ends, at one of them.
#[component]
pub fn Check(attempt: Attempt, asked: Asked) -> impl IntoView {
    let check = attempt.lesson.with_value(|lesson| lesson.check.clone()).unwrap_or_default();
    let questions = (1..).zip(check.questions).map(|(number, question)| {
        view! { <Ask attempt asked number question/> }
    });
    let hint = if asked == Asked::Before { BEFORE } else { "The same questions as at the start." };
    let locked = move || {
        let is_before = asked == Asked::Before;
        (is_before && attempt.is_locked(asked))
            .then_some(" Your answers are kept as you gave them.")
    };
    view! {
        <h2>{check.title}</h2>
        {check.paragraphs.into_iter().map(|text| view! { <p>{text}</p> }).collect_view()}
        <p class="quiet" lang="en">{hint} {locked}</p>
        {questions.collect_view()}
    }
}

/// One question with a field for its answer.
#[component]
pub fn Ask(
    attempt: Attempt,
    asked: Asked,
    /// Of the question at both ends, or of the step, from 1.
    number: usize,
    question: Question,
) -> impl IntoView {
    // Not the current answer: a number that is half typed would be replaced.
    let first = untrack(|| attempt.answer(asked, number));
    let set = move |value: String| attempt.set(asked, number, value);
    let is_locked = Memo::new(move |_| attempt.is_locked(asked));
    let field = match question.kind {
        Kind::Text => view! {
            <textarea
                rows="2"
                maxlength="2000"
                prop:value=first
                disabled=move || is_locked.get()
                on:input=move |event| set(event_target_value(&event))
            ></textarea>
        }
        .into_any(),
        Kind::Number => view! {
            <input
                type="number"
                step="any"
                prop:value=first
                disabled=move || is_locked.get()
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
                <select
                    disabled=move || is_locked.get()
                    on:change=move |event| set(event_target_value(&event))
                >
                    <option value="">"–"</option>
                    {choices.into_iter().map(option).collect_view()}
                </select>
            }
            .into_any()
        }
    };
    view! { <label class="ask">{question.text} {field}</label> }
}
