use std::fs;

use boomerang_core::bundle::{MANIFEST, Manifest};
use boomerang_lessons::built_in::text;
use boomerang_lessons::{Asked, Facts, parse};
use boomerang_tests::browser::Page;
use boomerang_tests::read;
use serde_json::{Value, json};

use super::{copied_bundle, manifest};

const DIAL: &str = "return document.querySelector('#size-dial')?.value;";
const PLACE: &str = "return document.querySelector('#lesson-place')?.textContent;";

/// Opens a built-in lesson and waits for its first card.
async fn open(query: &str) -> Page {
    let page = Page::open(&[], query).await;
    page.wait_until("return document.querySelector('#lesson-next') !== null;", json!(true)).await;
    page
}

/// Sets the field of the question with this number on the card, from 1.
async fn answer(page: &Page, number: usize, value: &str) {
    let set = "const field = document.querySelectorAll('.ask')[arguments[0] - 1]\
                   .querySelector('input, select, textarea'); \
               field.value = arguments[1]; \
               for (const kind of ['input', 'change']) { \
                   field.dispatchEvent(new Event(kind, {bubbles: true})); \
               }";
    page.run(set, vec![json!(number), json!(value)]).await;
}

/// The expected answers of the questions at both ends of the first lesson.
fn right_answers() -> Vec<String> {
    let recordings = manifest().recordings.unwrap();
    let bundle = boomerang_tests::root().join("assets/demo/bundle");
    let bytes = read(bundle.join(&recordings.path));
    let recordings = boomerang_core::bundle::Recordings::from_json(&bytes, &manifest()).unwrap();
    let facts = Facts::of_bundle(&manifest(), Some(&recordings));
    let lesson = parse(text("en", "sizes").unwrap()).unwrap().filled(&facts).unwrap();
    let answer = |number| lesson.question(Asked::After, number).unwrap().answer.clone();
    (1..=3).map(|number| answer(number).unwrap().value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_sets_hides_and_locks_and_the_users_state_is_restored() {
    let page = Page::open(&[], "explore/?k=4").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("nav a[href='learn/']").await;
    let listed = "return document.querySelector(\"a[href='learn/?l=sizes']\") !== null;";
    page.wait_until(listed, json!(true)).await;
    page.click("a[href='learn/?l=sizes']").await;
    page.wait_until(PLACE, json!("Card 1 of 6")).await;
    page.click("#lesson-next").await;
    page.wait_until(DIAL, json!("0")).await;
    let part = "const part = document.querySelector('[data-part=' + arguments[0] + ']'); \
                return [part.hidden, part.querySelector('.part').inert];";
    assert_eq!(page.run(part, vec![json!("curve")]).await, json!([true, false]));
    assert_eq!(page.run(part, vec![json!("strip")]).await, json!([false, true]));

    page.click("#lesson-next").await;
    page.wait_until(DIAL, json!("1")).await;
    page.set(".ask input", "10").await;
    page.click("#lesson-back").await;
    page.click("#lesson-next").await;
    let answer = "return document.querySelector('.ask input').value;";
    assert_eq!(page.run(answer, Vec::new()).await, json!("10"));

    page.wait_until("return new URLSearchParams(location.search).get('l');", json!("sizes")).await;

    page.click("nav a[href='explore/']").await;
    page.wait_until(DIAL, json!("4")).await;
    page.wait_until("return location.search;", json!("?k=4")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_questions_at_both_ends_are_scored_on_the_sheet() {
    let right = right_answers();
    let page = open("learn/?l=sizes").await;
    // Nothing next to the questions shows the answers.
    let is_hidden = "return document.querySelector('.lesson-about').hidden;";
    assert_eq!(page.run(is_hidden, Vec::new()).await, json!(true));
    answer(&page, 1, "5").await;
    answer(&page, 2, &right[1]).await;
    for _ in 0..5 {
        page.click("#lesson-next").await;
    }
    page.wait_until(PLACE, json!("Card 6 of 6")).await;
    for number in 1..=3 {
        answer(&page, number, &right[number - 1]).await;
    }
    page.set("#sheet-name", "Ada").await;
    // What would be saved as a file.
    let sheet = "const made = []; \
                 const click = HTMLElement.prototype.click; \
                 HTMLAnchorElement.prototype.click = function () { made.push(this.href); }; \
                 document.querySelector('#save-answers').click(); \
                 HTMLAnchorElement.prototype.click = click; \
                 return decodeURIComponent(made[0].slice(made[0].indexOf(',') + 1));";
    let Value::String(sheet) = page.run(sheet, Vec::new()).await else { panic!("no sheet") };
    let sheet = boomerang_lessons::Sheet::from_json(sheet.as_bytes()).unwrap();
    assert_eq!((sheet.score.before, sheet.score.after, sheet.score.of), (1, 3, 3));
    assert_eq!((sheet.name.as_deref(), sheet.sheet.len()), (Some("Ada"), 16));
    let fingerprint = sheet.family.unwrap().fingerprint;
    assert_eq!(fingerprint, Some(manifest().fingerprint()));

    page.click("#lesson-check").await;
    assert!(page.text("#lesson-score").await.starts_with("Before: 1 of 3 right. After: 3 of 3"));
    let is_locked = "return document.querySelector('.ask input').disabled;";
    assert_eq!(page.run(is_locked, Vec::new()).await, json!(true));
    page.click("#lesson-again").await;
    page.wait_until(PLACE, json!("Card 1 of 6")).await;
    let value = "return document.querySelector('.ask input').value;";
    assert_eq!(page.run(value, Vec::new()).await, json!(""));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_before_the_first_step_cannot_be_changed_later() {
    let page = open("learn/?l=sizes").await;
    answer(&page, 1, "5").await;
    page.click("#lesson-next").await;
    page.click("#lesson-back").await;
    let field = "const field = document.querySelector('.ask input'); \
                 return [field.value, field.disabled];";
    assert_eq!(page.run(field, Vec::new()).await, json!(["5", true]));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lessons_are_read_in_the_chosen_language() {
    let page = Page::open(&[], "learn/").await;
    let titles = "return [...document.querySelectorAll('.lessons h2')].map(it => it.textContent);";
    let in_language = |language: &str| {
        let titles = boomerang_lessons::built_in::NAMES
            .map(|name| parse(text(language, name).unwrap()).unwrap().title);
        json!(titles)
    };
    page.wait_until(titles, in_language("en")).await;
    page.set("#lesson-language", "de").await;
    page.wait_until(titles, in_language("de")).await;
    // Also after a reload, and in the lesson.
    page.go("learn/?l=chance").await;
    let heading = "return document.querySelector('#lesson-heading')?.textContent;";
    page.wait_until(heading, json!("Zufall beim Erzeugen")).await;
    assert_eq!(page.attribute("#lesson-heading", "lang").await, "de");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_that_is_not_true_of_the_family_names_the_one_that_it_is_made_for() {
    let folder = copied_bundle();
    let path = folder.path().join(MANIFEST);
    let mut manifest = manifest();
    manifest.curve.points.clear();
    fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
    assert!(Manifest::from_json(&fs::read_to_string(&path).unwrap()).is_ok());
    let page = Page::open_with(folder.path(), &[], "learn/?l=sizes").await;
    page.wait_until("return document.querySelector('#other-family') !== null;", json!(true)).await;
    let notice = page.text("#other-family .notice").await;
    assert!(notice.contains("made for Boomerang demo") && notice.contains("teacher accuracy"));
    // Another lesson needs no curve.
    page.go("learn/?l=chance").await;
    page.wait_until("return document.querySelector('#lesson-next') !== null;", json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_family_is_shown_by_its_recordings() {
    let page = open("learn/?l=real").await;
    page.click("#lesson-next").await;
    let layers = "return document.querySelector('.published output').textContent;";
    page.wait_until(layers, json!("16 layers")).await;
    page.set("#published-dial", "14").await;
    page.wait_until(layers, json!("30 layers")).await;
    assert!(page.text(".lesson-step").await.contains("30 layers and 135 M parameters"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn about_and_lessons_have_the_numbers_of_the_loaded_family() {
    let page = Page::open(&[], "about/").await;
    let plan = manifest().plan;
    let numbers = format!(
        "a teacher of {} layers and a student of {}",
        plan.n_teacher_layers(),
        plan.n_student_layers()
    );
    let has =
        format!("return document.querySelector('article').textContent.includes({numbers:?});");
    page.wait_until(&has, json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_lesson_is_refused_with_its_line() {
    let page = Page::open(&[], "learn/").await;
    let choose = "const field = document.querySelector('input[type=file]'); \
                  const files = new DataTransfer(); \
                  files.items.add(new File([arguments[0]], 'lesson.md')); \
                  field.files = files.files; \
                  field.dispatchEvent(new Event('change', {bubbles: true}));";
    page.wait_until("return document.querySelector('input[type=file]') !== null;", json!(true))
        .await;
    page.run(choose, vec![json!("# Mine\n\n## One\nlock: wheel\n")]).await;
    page.wait_until("return document.querySelector('.notice') !== null;", json!(true)).await;
    assert!(page.text(".notice").await.contains("line 4: lock: invalid value \"wheel\""));
    page.run(choose, vec![json!("# Mine\n\n## One\nstate: ?k=5\n\nLook.\n")]).await;
    page.wait_until(DIAL, json!("5")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_hides_and_locks_and_an_embedded_page_has_no_head() {
    let page = Page::open(&[], "explore/?hide=curve&lock=dial&embed=1").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let state = "return [document.querySelector('[data-part=curve]').hidden, \
                 document.querySelector('[data-part=dial] .part').inert, \
                 document.querySelector('.head')];";
    assert_eq!(page.run(state, Vec::new()).await, json!([true, true, null]));
    page.close().await;
}
