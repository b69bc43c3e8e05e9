//! Lessons: the list, and one of them next to what it is about.

use boomerang_engine::notice::Notice;
use boomerang_lessons::built_in::LANGUAGES;
use boomerang_lessons::{Beside, Facts, FamilyName, Lesson, parse};
use leptos::prelude::*;

use crate::browser::location::LESSON;
use crate::browser::location::query;
use crate::browser::route::Route;
use crate::components::engine_status::EngineStatus;
use crate::components::lesson_card::LessonCard;
use crate::components::notice_box::NoticeBox;
use crate::components::panels::Panels;
use crate::components::published_sizes::PublishedSizes;
use crate::state::bench::{Bench, Limits};
use crate::state::lessons::{Attempt, Card, Lessons, Subject, not_a_lesson, other_family};
use crate::state::session::Session;
use crate::text::format;
use crate::text::published::NAME;
use crate::views::device::DeviceView;
use crate::views::distill::DistillView;
use crate::views::with_bench;

#[component]
pub fn Learn() -> impl IntoView {
    let session: Session = expect_context();
    let route: Route = expect_context();
    let lessons = Lessons::open();
    let own = RwSignal::new(None::<Lesson>);
    let name = Memo::new(move |_| {
        route.n_steps.track();
        query(LESSON)
    });
    // With the language of its texts; that of a file is not known.
    let lesson = Memo::new(move |_| match own.get() {
        Some(lesson) => Some((lesson, None)),
        None => Some((lessons.named(&name.get()?)?, Some(lessons.language.get_untracked()))),
    });
    let shown = move || match lesson.get() {
        Some((lesson, language)) => {
            // The view of the device has it itself.
            let has_status = lesson.beside != Beside::Device;
            let lecture =
                move |bench| view! { <Lecture bench lesson=lesson.clone() language own/> };
            view! {
                {has_status.then(|| view! { <EngineStatus session/> })}
                {with_bench(lecture)}
            }
            .into_any()
        }
        None => view! { <LessonList lessons own/> }.into_any(),
    };
    view! { {shown} }
}

/// The list of lessons, and their language.
#[component]
fn LessonList(lessons: Lessons, own: RwSignal<Option<Lesson>>) -> impl IntoView {
    let refusal = RwSignal::new(None::<Notice>);
    let entry = |(name, lesson): (&'static str, Lesson)| {
        view! {
            <li>
                <h2><a href=format!("learn/?l={name}")>{lesson.title}</a></h2>
                {lesson.about.into_iter().map(|text| view! { <p>{text}</p> }).collect_view()}
                <p class="quiet" lang="en">{format::count(lesson.steps.len(), "step")}</p>
            </li>
        }
    };
    let entries =
        move || lessons.texts.get().unwrap_or_default().into_iter().map(entry).collect_view();
    let language = |&(code, name): &(&'static str, &'static str)| {
        let is_chosen = move || lessons.language.get() == code;
        view! { <option value=code lang=code selected=is_chosen>{name}</option> }
    };
    let open = move |text: String| match parse(&text) {
        Ok(lesson) => own.set(Some(lesson)),
        Err(error) => refusal.set(Some(not_a_lesson(&error))),
    };
    let on_file = move |event: leptos::ev::Event| crate::browser::files::read_chosen(&event, open);
    view! {
        <section class="panel prose" aria-labelledby="lessons-heading">
            <h1 id="lessons-heading">"Lessons"</h1>
            <label class="own-lesson">
                "Language of the lessons: "
                <select
                    id="lesson-language"
                    on:change=move |event| lessons.choose(&event_target_value(&event))
                >
                    {LANGUAGES.iter().map(language).collect_view()}
                </select>
            </label>
            {move || lessons.failure.get().map(|notice| view! { <NoticeBox notice/> })}
            <ul class="lessons" lang=move || lessons.language.get()>{entries}</ul>
            <label class="own-lesson">
                "Open your own lesson, a Markdown file: "
                <input type="file" accept=".md,.txt,text/markdown,text/plain" on:change=on_file/>
            </label>
            {move || refusal.get().map(|notice| view! { <NoticeBox notice/> })}
        </section>
    }
}

/// A lesson with what it is about, if it is true of the family; the user's own state is restored after
/// it.
#[component]
fn Lecture(
    bench: Bench,
    lesson: Lesson,
    language: Option<&'static str>,
    own: RwSignal<Option<Lesson>>,
) -> impl IntoView {
    let before = bench.state();
    on_cleanup(move || bench.apply(&before));
    let subject = Subject::of(lesson.beside, bench);
    let family = StoredValue::new(family_name(lesson.beside, bench));
    let shown = move || {
        let is_published = lesson.beside == Beside::Published;
        let Some(facts) = subject.facts.get() else {
            let text = match (is_published, subject.is_missing.get()) {
                (true, true) => "This page comes without the results that the lesson is about.",
                (true, false) => "Loading the results …",
                (false, _) => "Loading the recordings of this family …",
            };
            return view! { <p class="quiet panel">{text}</p> }.into_any();
        };
        match lesson.filled(&facts) {
            Ok(filled) => {
                let attempt = open(&lesson, filled, &facts, family);
                view! { <Course bench subject attempt language beside=lesson.beside own/> }
                    .into_any()
            }
            Err(unsupported) => {
                let loaded = family.with_value(|family| family.name.clone());
                let notice = other_family(&lesson, &loaded, &unsupported);
                view! {
                    <section class="panel lesson-card" id="other-family">
                        <h1 lang=language>{lesson.title.clone()}</h1>
                        <NoticeBox notice/>
                        <p><a href="learn/" on:click=move |_| own.set(None)>"All lessons"</a></p>
                    </section>
                }
                .into_any()
            }
        }
    };
    view! { <div class="lecture">{shown}</div> }
}

fn open(
    lesson: &Lesson,
    filled: Lesson,
    facts: &Facts,
    family: StoredValue<FamilyName>,
) -> Attempt {
    Attempt::open(lesson, filled, facts, Some(family.get_value()))
}

fn family_name(beside: Beside, bench: Bench) -> FamilyName {
    if beside == Beside::Published {
        return FamilyName { name: NAME.to_owned(), fingerprint: None };
    }
    bench.dial.family.with_value(|family| FamilyName {
        name: family.manifest().name.clone(),
        fingerprint: Some(family.fingerprint().to_owned()),
    })
}

/// The lesson's card, and what it is about. At both ends there are only the questions.
#[component]
fn Course(
    bench: Bench,
    subject: Subject,
    attempt: Attempt,
    language: Option<&'static str>,
    beside: Beside,
    own: RwSignal<Option<Lesson>>,
) -> impl IntoView {
    let limits = RwSignal::new(Limits::default());
    let is_step = Memo::new(move |_| matches!(attempt.card(), Card::Step(_)));
    let about = match beside {
        Beside::Bench => view! { <Panels bench limits=limits.into() is_lesson=true/> }.into_any(),
        Beside::Teach => view! { <DistillView/> }.into_any(),
        Beside::Device => view! { <DeviceView/> }.into_any(),
        Beside::Published => view! {
            {move || subject.published.get().map(|family| view! { <PublishedSizes family/> })}
        }
        .into_any(),
    };
    view! {
        <LessonCard bench attempt limits language on_leave=move || own.set(None)/>
        <div class="lesson-about" hidden=move || !is_step.get()>{about}</div>
    }
}
