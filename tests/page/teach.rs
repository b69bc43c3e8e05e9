use boomerang_core::corpus::{Corpus, distill_recipe};
use boomerang_core::distill::{Batch, Distiller, StepReport, TextRows};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::{LayerPlan, Patch, PatchOrder};
use boomerang_tests::browser::Page;
use boomerang_tests::{block_on, read_json, root};
use serde_json::{Value, json};

use super::{Native, tokens_at};

pub(super) const PANEL: &str = "#teaching";

/// What the page has as a file: a line for each step, its numbers by name.
pub(super) async fn steps(page: &Page) -> Vec<Vec<(String, f64)>> {
    let script = "return decodeURIComponent(\
                  document.querySelector('[download=\"teaching.csv\"]').href.split(',').slice(1).join(','));";
    let file = page.run(script, Vec::new()).await;
    let mut lines = file.as_str().unwrap().lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let numbers = |line: &str| {
        let numbers = line.split(',').map(|number| number.parse().unwrap_or(f64::NAN));
        names.iter().map(|name| (*name).to_owned()).zip(numbers).collect()
    };
    lines.map(numbers).collect()
}

const N_STEPS: usize = 3;

/// The student that the demo distills, after the first of `n_steps` steps in native code.
pub(super) fn native_run(
    native: &Native,
    batches: impl Iterator<Item = Batch>,
    n_steps: usize,
) -> (Distiller, Vec<StepReport>) {
    native_run_of(&native.manifest.plan, native, batches, n_steps)
}

/// The same for a student that keeps other layers.
pub(super) fn native_run_of(
    plan: &LayerPlan,
    native: &Native,
    batches: impl Iterator<Item = Batch>,
    n_steps: usize,
) -> (Distiller, Vec<StepReport>) {
    let teacher = native.family.teacher().clone();
    let student = teacher.prune(plan).unwrap();
    let settings = distill_recipe::settings(
        distill_recipe::loss_weights(),
        distill_recipe::LEARNING_RATE,
        n_steps,
    );
    let mut distiller = Distiller::new(teacher, student, settings, 0);
    let steps = batches.take(n_steps).map(|batch| block_on(distiller.step(&[batch])).unwrap());
    let steps = steps.collect();
    (distiller, steps)
}

fn native_steps(native: &Native, batches: impl Iterator<Item = Batch>) -> Vec<StepReport> {
    native_run(native, batches, N_STEPS).1
}

/// The loss of every size of the student after so many steps, in the order of the page.
pub(super) fn native_sizes(native: &Native, n_steps: usize) -> Vec<f64> {
    let (corpus, seq) = corpus();
    let (distiller, _) = native_run(native, corpus.batches(0, seq), n_steps);
    let path = PatchOrder::Last.path(&native.manifest.plan).unwrap();
    let held_out = [held_out()];
    let loss = |patch: &Patch| block_on(distiller.member_loss(patch, &held_out)).unwrap();
    path.iter().map(loss).collect()
}

/// What the student after so many steps writes after the first prompt of the bundle.
pub(super) fn native_sample(native: &Native, n_steps: usize) -> String {
    let (corpus, seq) = corpus();
    let (distiller, _) = native_run(native, corpus.batches(0, seq), n_steps);
    let student = distiller.student();
    let prompt = native.tokenizer.encode(&native.manifest.prompts[0], true).unwrap();
    let mut generation = Generation::new(student.model(), &prompt, 12, Sampling::Greedy).unwrap();
    let mut tokens = Vec::new();
    while let Some(token) = block_on(generation.next()).unwrap() {
        if student.model().config().end_tokens().contains(&token) {
            break;
        }
        tokens.push(token);
    }
    native.tokenizer.decode(&tokens).unwrap()
}

/// The sequences that the page holds out of the generated corpus.
fn held_out() -> Batch {
    let (corpus, seq) = corpus();
    corpus.batches(1_000_000, seq).next().unwrap()
}

/// The corpus of the embedded teacher, and the length of its rows.
pub(super) fn corpus() -> (Corpus, usize) {
    let made = read_json(root().join("assets/teacher/made.json"));
    let number = |key: &str| made[key].as_u64().unwrap();
    (Corpus::new(number("corpus_seed")), number("seq_len") as usize)
}

/// Distills in the page, and compares each step with one in native code.
async fn distill_as(page: &Page, native: &[StepReport]) {
    distill(page, native.len()).await;
    are_equal(page, native).await;
}

pub(super) async fn distill(page: &Page, n_steps: usize) {
    start(page, n_steps).await;
    page.wait_for(PANEL, "data-state", &["ended"]).await;
}

pub(super) async fn start(page: &Page, n_steps: usize) {
    page.set("#teach-steps", &n_steps.to_string()).await;
    page.click("#teach-start").await;
}

/// Compares the steps of the selected run with those in native code on the CPU.
pub(super) async fn are_equal(page: &Page, native: &[StepReport]) {
    are_within(1e-4, page, native).await;
}

/// As [`are_equal`], with differences below `tolerance`.
pub(super) async fn are_within(tolerance: f64, page: &Page, native: &[StepReport]) {
    let reported = steps(page).await;
    assert_eq!(reported.len(), native.len());
    for (step, native) in reported.iter().zip(native) {
        let terms = &native.terms;
        let expected = [
            ("loss", terms.total),
            ("ce", terms.cross_entropy.unwrap()),
            ("kl", terms.kl.unwrap()),
            ("cosine", terms.mean_alignment().unwrap()),
            ("lr", native.learning_rate),
            ("tokens", native.n_tokens as f64),
        ];
        for (name, value) in expected {
            let (_, found) = step.iter().find(|(own, _)| own == name).unwrap();
            assert!(
                (found - value).abs() < tolerance,
                "{name}: {found} here, {value} in native code"
            );
        }
    }
}

pub(super) async fn open() -> Page {
    let page = Page::open(&[], "teach/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn the_distillation_is_not_fetched_before_it_is_started() {
    let page = open().await;
    let fetched = "return performance.getEntriesByType('resource').map(e => e.name).join();";
    let fetched = page.run(fetched, Vec::new()).await;
    assert!(!fetched.as_str().unwrap().contains("engine-"), "{fetched}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_in_the_page_have_the_loss_of_steps_in_native_code() {
    let page = open().await;
    let (corpus, seq) = corpus();
    distill_as(&page, &native_steps(&Native::open(), corpus.batches(0, seq))).await;
    let finding = page.text("#teach-state").await;
    assert!(finding.contains("Over 3 steps the held-out loss fell from"), "{finding}");
    page.close().await;
}

/// Some lines of the corpus, without unknown words.
fn lines(n_rows: usize) -> String {
    let (corpus, seq) = corpus();
    corpus.rows(99, seq).take(n_rows).map(|row| corpus.text(&row.tokens) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_is_distilled_on_the_users_own_text() {
    let page = open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.txt");
    let text = lines(60);
    std::fs::write(&file, &text).unwrap();
    page.choose("#teach-texts", &file).await;
    let told =
        "return document.querySelector('#teach-texts-status').textContent.includes('mine.txt');";
    page.wait_until(told, json!(true)).await;

    let native = Native::open();
    let end_token = native.family.teacher().model().config().end_tokens().first().copied();
    let tokens = native.tokenizer.encode(&text, true).unwrap();
    let (_, seq) = corpus();
    let rows = TextRows::new(&[tokens], seq, end_token, distill_recipe::TOKENS_PER_STEP).unwrap();
    let n_held_out = rows.n_held_out();
    distill_as(&page, &native_steps(&native, rows.into_lessons(0))).await;
    let caption = page.text("#teaching figcaption").await;
    assert!(caption.contains("Trained on mine.txt"), "{caption}");
    assert!(caption.contains(&format!("{n_held_out} are held out")), "{caption}");
    assert!(caption.contains("the held-out loss fell from"), "{caption}");
    page.click("#teach-take").await;
    let on_dial = "return document.querySelector('#teach-status a') !== null;";
    page.wait_until(on_dial, json!(true)).await;
    let name = page.text(".foot").await;
    assert!(name.contains("distilled here on your own texts"), "{name}");

    // And the generated corpus again.
    page.click("#teach-corpus").await;
    assert!(page.text("#teach-texts-status").await.contains("generated corpus"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_texts_are_refused_with_numbers() {
    let page = open().await;
    let folder = tempfile::tempdir().unwrap();
    let large = vec![b'a'; 5 << 20];
    let cases: [(&str, &[u8], &str); 3] = [
        ("short.txt", b"1 + 2", "at least 1024"),
        ("picture.txt", &[b'a', 0xff, 0xfe], "line 1, column 2"),
        ("large.txt", &large, "at most 4.2 MB"),
    ];
    for (name, bytes, expected) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        page.choose("#teach-texts", &file).await;
        let told = format!(
            "return document.querySelector('#teach-texts-status').textContent.includes('{name}');"
        );
        page.wait_until(&told, json!(true)).await;
        page.click("#teach-start").await;
        page.wait_for(PANEL, "data-state", &["failed"]).await;
        let notice = page.text("#teaching .notice").await;
        assert!(notice.contains(expected), "{notice}");
    }
    page.close().await;
}

async fn step(page: &Page) -> u64 {
    page.attribute("#teach-numbers", "data-step").await.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_of_few_layers_pauses_resumes_and_is_put_on_the_dial() {
    let page = open().await;
    page.set("#keep-many", "2").await;
    page.click("#keep-first").await;
    assert!(page.text("#kept-status").await.starts_with("2 layers of 12"));
    page.set("#teach-steps", "500").await;
    page.click("#teach-start").await;
    page.wait_for(PANEL, "data-state", &["teaching"]).await;
    page.wait_until("return document.querySelector('#teach-numbers') !== null;", json!(true)).await;
    page.click("#teach-pause").await;
    page.wait_for(PANEL, "data-state", &["paused"]).await;
    let held = step(&page).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(step(&page).await, held, "a paused student takes no step");
    assert!(!page.text(".saves").await.is_empty(), "what is there can be kept");

    page.click("#teach-pause").await;
    let on = format!(
        "return Number(document.querySelector('#teach-numbers').dataset.step) > {held} + 5;"
    );
    page.wait_until(&on, json!(true)).await;
    page.click("#teach-stop").await;
    page.wait_for(PANEL, "data-state", &["stopped"]).await;
    let reported = steps(&page).await;
    let losses: Vec<f64> = reported.iter().map(|step| step[1].1).collect();
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    assert!(losses.last() < losses.first(), "{losses:?}");

    page.click("#teach-take").await;
    let on_dial = "return document.querySelector('#teach-status a') !== null;";
    page.wait_until(on_dial, json!(true)).await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.click("nav a[href='explore/']").await;
    let name = page.text(".foot").await;
    assert!(name.contains("Boomerang demo, distilled here"), "{name}");
    let stops = "return document.querySelector('#size-dial').max;";
    // Patching a block of one layer makes no larger member: two layers have two sizes.
    page.wait_until(stops, json!("1")).await;
    assert!(!tokens_at(&page, 0).await.is_empty(), "the distilled student generates");
    let native = Native::open();
    let whole = native.path().pop().unwrap();
    assert_eq!(tokens_at(&page, 1).await, native.tokens(&whole, Sampling::Greedy));

    // And the page's own student again.
    page.click("nav a[href='teach/']").await;
    page.click("#teach-back").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.click("nav a[href='explore/']").await;
    let last = Value::from((native.path().len() - 1).to_string());
    page.wait_until(stops, last).await;
    let own = native.tokens(&native.path()[0], Sampling::Greedy);
    assert_eq!(tokens_at(&page, 0).await, own);
    page.close().await;
}
