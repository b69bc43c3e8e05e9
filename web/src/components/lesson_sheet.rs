//! The answer sheet of a lesson: shown, saved as a file, or printed; nothing is sent.

use boomerang_lessons::Asked;
use leptos::prelude::*;

use super::download::{data_url, save};
use crate::state::lessons::{Attempt, SheetRow};

#[component]
pub fn LessonSheet(
    attempt: Attempt,
    /// Of the questions and answers.
    language: Option<&'static str>,
) -> impl IntoView {
    let download = move |_| {
        let sheet = untrack(|| attempt.sheet());
        let name = format!("answers-{}.json", sheet.sheet);
        save(&name, &data_url("application/json", &sheet.to_json()));
    };
    let has_scores = attempt.lesson.with_value(|lesson| lesson.n_scored() > 0);
    let is_checked = Memo::new(move |_| attempt.is_checked());
    let score = move || {
        let score = attempt.score();
        is_checked.get().then(|| {
            format!(
                "Before: {} of {2} right. After: {} of {2} right.",
                score.before, score.after, score.of
            )
        })
    };
    let rows = move || attempt.rows().into_iter().map(row).collect_view();
    view! {
        <div class="sheet">
            <h2>"Your answers"</h2>
            <p class="sheet-name">{move || attempt.name()}</p>
            <Show when=move || has_scores && !is_checked.get()>
                <p class="button-row">
                    <button type="button" id="lesson-check" on:click=move |_| attempt.check()>
                        "Show the right answers"
                    </button>
                    <span class="quiet">"Your answers cannot be changed after that."</span>
                </p>
            </Show>
            <p role="status" id="lesson-score">{score}</p>
            <div class="table-scroll" tabindex="0" role="region" aria-label="Your answers">
                <table class="sheet-table" lang=language>
                    <thead lang="en">
                        <tr>
                            <th scope="col">"Question"</th>
                            <th scope="col">"Before"</th>
                            <th scope="col">"Answer"</th>
                            <th scope="col">"Right answer"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <label>
                "Name or alias on the answer sheet (optional)"
                <input
                    type="text"
                    id="sheet-name"
                    maxlength="80"
                    autocomplete="nickname"
                    prop:value=move || attempt.name()
                    on:input=move |event| attempt.set_name(event_target_value(&event))
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
                <button type="button" id="lesson-again" on:click=move |_| attempt.start_again()>
                    "Start again"
                </button>
            </p>
            <p class="quiet">
                "Your answers stay in this browser; submit the file yourself. \"Start again\" forgets \
                 them, for the next person at this computer."
            </p>
        </div>
    }
}

fn row(row: SheetRow) -> impl IntoView {
    let SheetRow { question, answers, right } = row;
    let marks = right.as_ref().map(|(marks, _)| marks.clone()).unwrap_or_default();
    let cell = |at: usize| {
        let (_, answer) = answers.get(at)?;
        let mark = marks.get(at).filter(|_| !answer.is_empty()).map(|&is_right| {
            let words = if is_right { "right" } else { "wrong" };
            view! { <span lang="en">" (" {words} ")"</span> }
        });
        let answer = if answer.is_empty() { "–".to_owned() } else { answer.clone() };
        Some(view! { {answer} {mark} })
    };
    // A question of a step was not asked before.
    let is_at_both_ends = answers.first().is_some_and(|(asked, _)| *asked == Asked::Before);
    let (before, answer) = if is_at_both_ends { (cell(0), cell(1)) } else { (None, cell(0)) };
    view! {
        <tr>
            <th scope="row">{question}</th>
            <td>{before}</td>
            <td>{answer}</td>
            <td>{right.map(|(_, right)| right)}</td>
        </tr>
    }
}
