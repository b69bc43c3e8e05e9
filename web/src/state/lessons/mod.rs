//! Lessons: their texts in the user's language, and what is known of the family that they are about.

mod attempt;

use boomerang_engine::fetch::{FetchError, Redirects, fetch_text};
use boomerang_engine::notice::{Notice, chain};
use boomerang_lessons::built_in::{LANGUAGES, NAMES, folder, language_for};
use boomerang_lessons::{Beside, Facts, Lesson, LessonError, Unsupported, parse};
use leptos::prelude::*;
use leptos::task::spawn_local;

pub use attempt::{Attempt, Card, SheetRow};

use crate::browser::files;
use crate::browser::language::preferred_languages;
use crate::state::bench::Bench;
use crate::state::published::fetch_published;
use crate::text::published::PublishedFamily;

/// Where the chosen language is saved.
const LANGUAGE: &str = "boomerang lesson language";
/// Where the build of the page puts the texts, from `web/lessons`.
const FOLDER: &str = "lessons";

/// The lessons that come with the page.
#[derive(Clone, Copy)]
pub struct Lessons {
    /// One of [`LANGUAGES`], by its code.
    pub language: RwSignal<&'static str>,
    /// By name, in the order of the list; `None` until they are loaded.
    pub texts: RwSignal<Option<Vec<(&'static str, Lesson)>>>,
    pub failure: RwSignal<Option<Notice>>,
}

impl Lessons {
    /// In the language that was chosen before, else the browser's; loads the texts, and again when the
    /// language changes.
    pub fn open() -> Self {
        let saved = files::saved(LANGUAGE);
        let preferred = preferred_languages();
        let wanted = saved.iter().chain(&preferred).map(String::as_str);
        let lessons = Self {
            language: RwSignal::new(language_for(wanted)),
            texts: RwSignal::new(None),
            failure: RwSignal::new(None),
        };
        Effect::new(move |_| lessons.load(lessons.language.get()));
        lessons
    }

    /// Remembers the language with this code; an unknown code changes nothing.
    pub fn choose(self, code: &str) {
        if let Some((code, _)) = LANGUAGES.iter().find(|(own, _)| *own == code) {
            files::save(LANGUAGE, code);
            self.language.set(*code);
        }
    }

    /// The lesson of that name, once it is loaded.
    pub fn named(self, name: &str) -> Option<Lesson> {
        self.texts.with(|texts| {
            let (_, lesson) = texts.as_ref()?.iter().find(|(own, _)| *own == name)?;
            Some(lesson.clone())
        })
    }

    fn load(self, language: &'static str) {
        spawn_local(async move {
            let texts = fetch_all(language).await;
            if self.language.try_get_untracked() != Some(language) {
                // The view is closed, or another language was chosen meanwhile.
                return;
            }
            self.failure.try_set(texts.as_ref().err().cloned());
            if let Ok(texts) = texts {
                self.texts.try_set(Some(texts));
            }
        });
    }
}

async fn fetch_all(language: &str) -> Result<Vec<(&'static str, Lesson)>, Notice> {
    let mut texts = Vec::new();
    for name in NAMES {
        let path = format!("{FOLDER}/{}{name}.md", folder(language));
        let text =
            fetch_text(&path, Redirects::Refused).await.map_err(|error| unfetched(&error))?;
        texts.push((name, parse(&text).map_err(|error| not_a_lesson(&error))?));
    }
    Ok(texts)
}

fn unfetched(error: &FetchError) -> Notice {
    let next = "Reload the page; if that does not help, build it again.";
    Notice::new("The lessons could not be loaded.", chain(error), next)
}

/// Why a file is not shown.
pub fn not_a_lesson(error: &LessonError) -> Notice {
    let next = "Correct the file and choose it again.";
    Notice::new("This is not a lesson.", chain(error), next)
}

/// Why a lesson is not shown with this family, with the family that it is made for.
pub fn other_family(lesson: &Lesson, loaded: &str, unsupported: &Unsupported) -> Notice {
    let made_for = lesson.family.as_deref().unwrap_or("another family");
    Notice::new(
        format!("This lesson is made for {made_for}."),
        format!("The loaded family, {loaded}, does not show what it says: {unsupported}."),
        "Open that family on \u{201c}Models\u{201d}, or choose another lesson.",
    )
}

/// The family that a lesson is about.
#[derive(Clone, Copy)]
pub struct Subject {
    /// `None` until its recordings are loaded.
    pub facts: Memo<Option<Facts>>,
    /// The family whose results come without weights, if the lesson is about that one.
    pub published: RwSignal<Option<PublishedFamily>>,
    /// Whether the page comes without these results.
    pub is_missing: RwSignal<bool>,
}

impl Subject {
    pub fn of(beside: Beside, bench: Bench) -> Self {
        let published = RwSignal::new(None::<PublishedFamily>);
        let is_missing = RwSignal::new(false);
        if beside == Beside::Published {
            spawn_local(async move {
                let found = fetch_published().await;
                is_missing.try_set(found.is_none());
                published.try_set(found);
            });
        }
        let facts = Memo::new(move |_| match beside {
            Beside::Published => {
                published.with(|family| family.as_ref().map(PublishedFamily::facts))
            }
            _ => facts_of(bench),
        });
        Self { facts, published, is_missing }
    }
}

/// `None` while the recordings are being loaded.
fn facts_of(bench: Bench) -> Option<Facts> {
    bench.session.recordings.with(|recordings| {
        bench.dial.family.with_value(|family| {
            let manifest = family.manifest();
            let is_complete = recordings.is_some() || manifest.recordings.is_none();
            is_complete.then(|| Facts::of_bundle(manifest, recordings.as_deref()))
        })
    })
}

#[cfg(test)]
mod tests {
    use boomerang_core::bundle::Recordings;
    use boomerang_lessons::built_in;

    use super::*;
    use crate::family::FamilyCard;
    use crate::text::link::Link;

    const MANIFEST: &str = include_str!("../../../../assets/demo/bundle/manifest.json");
    const RECORDINGS: &[u8] = include_bytes!("../../../../assets/demo/bundle/recordings.json");
    const CURVE: &str = include_str!("../../../../assets/families/smollm2/results/curve.csv");
    const TEXTS: &str = include_str!("../../../../assets/families/smollm2/results/recordings.json");

    #[test]
    fn every_state_of_a_lesson_is_one_of_its_family() {
        let family = FamilyCard::from_json(MANIFEST).unwrap();
        let recordings = Recordings::from_json(RECORDINGS, family.manifest()).unwrap();
        let facts = Facts::of_bundle(family.manifest(), Some(&recordings));
        let published = PublishedFamily::parse(CURVE, TEXTS).unwrap().facts();
        for (language, name, lesson) in built_in::all().unwrap() {
            let is_published = lesson.beside == Beside::Published;
            let facts = if is_published { &published } else { &facts };
            let lesson = lesson
                .filled(facts)
                .unwrap_or_else(|unsupported| panic!("{language}/{name}: {unsupported}"));
            for step in &lesson.steps {
                let link = Link::parse(step.state.as_deref().unwrap_or_default());
                let problems = link.problems(&family);
                assert!(problems.is_empty(), "{language}/{name}, {}: {problems:?}", step.title);
                assert!(link.others.is_empty(), "{name}, {}: {:?}", step.title, link.others);
            }
        }
    }

    #[test]
    fn a_lesson_says_for_which_family_it_is_made() {
        let text = "# S\nfamily: Demo\n\n## One\n{sizes} sizes.\n";
        let lesson = parse(text).unwrap();
        let unsupported = lesson.filled(&Facts::default()).unwrap_err();
        let notice = other_family(&lesson, "tiny", &unsupported);
        assert_eq!(notice.what, "This lesson is made for Demo.");
        assert!(notice.why.contains("tiny") && notice.why.contains("sizes"), "{notice:?}");
    }
}
