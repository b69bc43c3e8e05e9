use boomerang_core::evaluate::{Examination, PrefixTree, Stack, TextDoc};
use boomerang_core::plan::Patch;
use boomerang_core::similarity::{Depth, look_inside};
use boomerang_tests::block_on;
use boomerang_tests::browser::Page;
use serde_json::{Value, json};

use super::{Native, PROMPT};

/// The predictions of the layers of a member along the prompt, in native code.
fn depths(native: &Native, patch: &Patch) -> Vec<Depth> {
    let alignment = native.family.plan().alignment_of(patch);
    let teacher = native.family.teacher().model();
    let member = native.family.member(patch);
    block_on(look_inside(teacher, &member, &alignment, &native.prompt(), 0)).unwrap()
}

/// Mean nats of a token of `text` under a member, in native code.
fn nats(native: &Native, patch: &Patch, text: &str) -> f64 {
    let member = native.family.member(patch);
    let doc = TextDoc::new(native.tokenizer.encode(text, true).unwrap(), text.len());
    let max_seq = member.config().max_seq;
    let examination = Examination::new(&[doc], &[], None, max_seq).unwrap();
    let tree = PrefixTree::new(&[Stack::whole(0, &member)]);
    let scores = block_on(examination.score(&[&member], &tree, 1024, &mut |_| {})).unwrap();
    scores[0].perplexity.unwrap().nats_per_token
}

fn query(stop: usize) -> String {
    format!("?p={}&k={stop}", PROMPT.replace(' ', "+"))
}

async fn all(page: &Page, script: &str) -> Vec<String> {
    let Value::Array(values) = page.run(script, Vec::new()).await else { panic!("{script}") };
    values.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layer_predicts_in_the_page_what_it_predicts_in_native_code() {
    let native = Native::open();
    let path = native.path();
    let page = Page::open(&[], &format!("lens/{}", query(1))).await;
    page.ready().await;
    // The bundle's paragraph is scored automatically, and then the engine is free.
    let is_free = "return !document.querySelector('#lens').disabled && \
                   !document.querySelector('#paragraph-table').textContent.includes('…');";
    page.wait_until(is_free, json!(true)).await;
    page.click("#lens").await;
    page.wait_until("return document.querySelector('#lens-table') !== null;", json!(true)).await;
    let rows = "return [...document.querySelectorAll('#lens-table tbody tr')]\
                .map(row => row.dataset.tokenIds);";
    let expected: Vec<String> = depths(&native, &path[1])
        .iter()
        .map(|depth| {
            let tokens: Vec<u32> = depth.guesses.iter().map(|guess| guess.token).collect();
            super::ids(&tokens)
        })
        .collect();
    assert_eq!(all(&page, rows).await, expected);
    let names = "return [...document.querySelectorAll('#lens-table tbody th')]\
                 .map(cell => cell.textContent);";
    let layers = native.family.plan().recipe(&path[1]).layers;
    let expected: Vec<String> =
        ["text".to_owned()].into_iter().chain(layers.iter().map(ToString::to_string)).collect();
    assert_eq!(all(&page, names).await, expected);
    let finding = page.text("#lens-state").await;
    assert!(finding.contains("the prediction no longer changes"), "{finding}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layers_read_the_prompt_that_is_typed_on_the_view() {
    let page = Page::open(&[], "lens/?device=cpu").await;
    page.ready().await;
    page.set("#prompt", "2 + 3").await;
    page.wait_until("return !document.querySelector('#lens').disabled;", json!(true)).await;
    page.click("#lens").await;
    page.wait_until("return document.querySelector('#lens-table') !== null;", json!(true)).await;
    let heads = "return [...document.querySelectorAll('#lens-table thead th')].slice(-3)\
                 .map(cell => cell.textContent);";
    assert_eq!(all(&page, heads).await, ["2", "+", "3"]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paragraph_is_scored_again_when_a_block_is_clicked() {
    let native = Native::open();
    let path = native.path();
    let page = Page::open(&[], &format!("lens/{}", query(0))).await;
    page.ready().await;
    let text = "sort 7 2 9 4 : 2 4 7 9";
    page.set("#paragraph", text).await;
    let cells = "const cells = [...document.querySelectorAll('#paragraph-table .nats')]\
                 .map(cell => cell.textContent);";
    let all_read = format!("{cells} return cells.every(cell => Number(cell) > 0);");
    page.wait_until(&all_read, json!(true)).await;
    let numbers =
        |cells: Vec<String>| cells.iter().map(|it| it.parse().unwrap()).collect::<Vec<f64>>();
    let (student, teacher) = (&path[0], &path[path.len() - 1]);
    let found = numbers(all(&page, &format!("{cells} return cells;")).await);
    let expected = [student, student, teacher].map(|patch| nats(&native, patch, text));
    assert!(found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-3), "{found:?}");

    page.set("#size-dial", &(path.len() - 1).to_string()).await;
    page.wait_until(&format!("{cells} return cells[1] === cells[2];"), json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_view_checks_measures_and_reports() {
    let native = Native::open();
    let n_sizes = native.path().len();
    let page = Page::open(&[], "device/").await;
    page.ready().await;
    let facts = page.text("#machine").await;
    assert!(facts.contains("Browser") && facts.contains("WebAssembly"), "{facts}");

    // Both need files that the bundle may come without.
    let is_enabled = |id: &str| format!("return !document.querySelector('{id}').disabled;");
    if native.manifest.recordings.is_some() {
        page.wait_until(&is_enabled("#check"), json!(true)).await;
        page.click("#check").await;
        page.wait_for("main", "data-state", &["ready"]).await;
        let finding = page.text("#check-state").await;
        assert!(finding.starts_with(&format!("All {n_sizes} sizes generate what")), "{finding}");
    }
    if native.manifest.task.is_some() {
        page.wait_until(&is_enabled("#measure"), json!(true)).await;
        page.click("#measure").await;
        page.wait_for("main", "data-state", &["ready"]).await;
        let rows = "return document.querySelectorAll('#measure-table tbody tr').length;";
        assert_eq!(page.run(rows, Vec::new()).await, json!(n_sizes));
        let report = "return document.querySelector('#report').value.includes('## Evaluation');";
        assert_eq!(page.run(report, Vec::new()).await, json!(true));
    }
    page.close().await;
}
