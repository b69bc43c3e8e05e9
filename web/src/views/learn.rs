//! Lessons: the list, and one of them next to the bench.

use boomerang_engine::notice::{Notice, chain};
use leptos::prelude::*;

use crate::browser::location::LESSON;
use crate::browser::location::query;
use crate::browser::route::Route;
use crate::components::engine_status::EngineStatus;
use crate::components::lesson_card::LessonCard;
use crate::components::notice_box::NoticeBox;
use crate::components::panels::Panels;
use crate::state::bench::{Bench, Limits};
use crate::state::session::Session;
use crate::text::lesson::{BUILT_IN, Lesson, built_in, parse};
use crate::views::with_bench;

#[component]
pub fn Learn() -> impl IntoView {
    let session: Session = expect_context();
    let route: Route = expect_context();
    let own = RwSignal::new(None::<Lesson>);
    let lesson = Memo::new(move |_| {
        route.n_steps.track();
        own.get().or_else(|| query(LESSON).and_then(|name| built_in(&name)))
    });
    let shown = move || match lesson.get() {
        Some(lesson) => view! {
            <EngineStatus session/>
            {with_bench(move |bench| view! { <Lecture bench lesson=lesson.clone() own/> })}
        }
        .into_any(),
        None => view! { <Lessons own/> }.into_any(),
    };
    view! { {shown} }
}

/// The list of lessons.
#[component]
fn Lessons(own: RwSignal<Option<Lesson>>) -> impl IntoView {
    let refusal = RwSignal::new(None::<Notice>);
    let entry = |(name, text): (&'static str, &'static str)| {
        let lesson = parse(text).ok()?;
        Some(view! {
            <li>
                <h2><a href=format!("learn/?l={name}")>{lesson.title}</a></h2>
                {lesson.about.into_iter().map(|text| view! { <p>{text}</p> }).collect_view()}
                <p class="quiet">{crate::text::format::count(lesson.steps.len(), "step")}</p>
            </li>
        })
    };
    let open = move |text: String| match parse(&text) {
        Ok(lesson) => own.set(Some(lesson)),
        Err(error) => {
            let next = "Correct the file and choose it again.";
            refusal.set(Some(Notice::new("This is not a lesson.", chain(&error), next)));
        }
    };
    let on_file = move |event: leptos::ev::Event| crate::browser::files::read_chosen(&event, open);
    view! {
        <section class="panel prose" aria-labelledby="lessons-heading">
            <h1 id="lessons-heading">"Lessons"</h1>
            <ul class="lessons">{BUILT_IN.into_iter().map(entry).collect_view()}</ul>
            <label class="own-lesson">
                "Open your own lesson, a Markdown file: "
                <input type="file" accept=".md,.txt,text/markdown,text/plain" on:change=on_file/>
            </label>
            {move || refusal.get().map(|notice| view! { <NoticeBox notice/> })}
        </section>
    }
}

/// A lesson's card and the bench with the settings of its step; the user's own state is restored after
/// it.
#[component]
fn Lecture(bench: Bench, lesson: Lesson, own: RwSignal<Option<Lesson>>) -> impl IntoView {
    let before = bench.state();
    on_cleanup(move || bench.apply(&before));
    let limits = RwSignal::new(Limits::default());
    view! {
        <div class="lecture">
            <LessonCard bench lesson limits on_leave=move || own.set(None)/>
            <Panels bench limits=limits.into() is_lesson=true/>
        </div>
    }
}
