use boomerang_core::generate::{Guess, Sampling, TextComparison};
use boomerang_core::plan::Patch;
use boomerang_tests::block_on;
use boomerang_tests::browser::Page;
use serde_json::{Value, json};

use super::{N_TOKENS, Native, PROMPT, ids};

/// The predictions of a member along the teacher's text, in native code.
fn guesses(native: &Native, patch: &Patch) -> Vec<Guess> {
    let prompt = native.prompt();
    let written = native.tokens(native.path().last().unwrap(), Sampling::Greedy);
    let text = [prompt.clone(), written].concat();
    let along =
        TextComparison::new(native.family.teacher().model(), &text, prompt.len() - 1).unwrap();
    block_on(along.guesses(&native.family.member(patch))).unwrap()
}

fn n_differing(guesses: &[Guess], others: &[Guess]) -> usize {
    guesses.iter().zip(others).filter(|(own, other)| own.token != other.token).count()
}

fn query() -> String {
    format!("?p={}&n={N_TOKENS}", PROMPT.replace(' ', "+"))
}

async fn all(page: &Page, script: &str) -> Vec<String> {
    let Value::Array(values) = page.run(script, Vec::new()).await else { panic!("{script}") };
    values.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_side_by_side_generate_and_are_compared_as_in_native_code() {
    let native = Native::open();
    let path = native.path();
    let (student, teacher) = (&path[0], &path[path.len() - 1]);
    let page = Page::open(&[], &format!("compare/{}&c=0-{}", query(), path.len() - 1)).await;
    page.ready().await;
    page.click("#compare").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let written = "return [...document.querySelectorAll('.column')].map(e => e.dataset.tokenIds);";
    let expected = [student, teacher].map(|patch| ids(&native.tokens(patch, Sampling::Greedy)));
    assert_eq!(all(&page, written).await, expected);

    let (own, others) = (guesses(&native, student), guesses(&native, teacher));
    let n_same = own.len() - n_differing(&own, &others);
    let agreement = page.text(".column .agreement").await;
    assert_eq!(agreement, format!("{n_same} of {} tokens", own.len()));
    let kl = own.iter().map(|guess| guess.kl).sum::<f64>() / own.len() as f64;
    let shown = page.text(".column .kl").await;
    let shown: f64 = shown.split(' ').next().unwrap().parse().unwrap();
    assert!((shown - kl).abs() < 2e-4, "the page shows {shown}, native code {kl}");
    let file = "return decodeURIComponent(document.querySelector('[download=\"compare.csv\"]').href)\
                .trim().split('\\n').length;";
    assert_eq!(page.run(file, Vec::new()).await, json!(3));
    let marks = page.run("return document.querySelectorAll('mark.differs').length;", Vec::new());
    assert_eq!(marks.await.as_u64().unwrap() > 0, expected[0] != expected[1]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_marks_differences_from_the_teacher() {
    let native = Native::open();
    let all_guesses: Vec<Vec<Guess>> =
        native.path().iter().map(|patch| guesses(&native, patch)).collect();
    let page = Page::open(&[], &format!("sweep/{}", query())).await;
    page.ready().await;
    page.click("#sweep").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let flips = "return [...document.querySelectorAll('#sweep-table tbody tr')]\
                 .map(row => String(row.querySelectorAll('.flips').length));";
    let teacher = all_guesses.last().unwrap();
    let expected: Vec<String> =
        all_guesses.iter().map(|own| n_differing(own, teacher).to_string()).collect();
    assert_eq!(all(&page, flips).await, expected);

    let file = "return decodeURIComponent(document.querySelector('[download=\"sweep.csv\"]').href)\
                .split('\\n').length;";
    // The head, and nothing behind the last line's end.
    let n_lines = all_guesses.iter().map(Vec::len).sum::<usize>() + 2;
    assert_eq!(page.run(file, Vec::new()).await, json!(n_lines));
    let finding = page.text("#sweep-state").await;
    assert!(finding.contains("the teacher predicts"), "{finding}");
    page.close().await;
}

const DONE: &str = "return document.querySelector('#compare-state').textContent.includes('Done');";

#[tokio::test(flavor = "multi_thread")]
async fn side_by_side_can_be_stopped_and_started_again() {
    let page = Page::open(&[], "compare/?n=60").await;
    page.ready().await;
    page.run(
        "document.querySelector('#compare').click();\
         requestAnimationFrame(() => document.querySelector('#compare-stop').click());",
        Vec::new(),
    )
    .await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.click("#compare").await;
    page.wait_until(DONE, json!(true)).await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.close().await;
}
