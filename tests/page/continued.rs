use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::Patch;
use boomerang_tests::block_on;
use boomerang_tests::browser::Page;
use serde_json::json;

use super::{N_TOKENS, Native, PROMPT, ids};

/// Tokens of a text that these stops of the dial write in turn, `n` each; every span from scratch.
fn expected(native: &Native, stops: &[usize], n: usize) -> Vec<u32> {
    let path = native.path();
    let ends = native.family.teacher().model().config().end_tokens();
    let mut text = native.prompt();
    for &stop in stops {
        let member = native.family.member(&path[stop]);
        let mut generation = Generation::new(&member, &text, n, Sampling::Greedy).unwrap();
        let next = || block_on(generation.next()).unwrap();
        let tokens: Vec<u32> =
            std::iter::from_fn(next).take_while(|token| !ends.contains(token)).collect();
        text.extend(tokens);
    }
    text.split_off(native.prompt().len())
}

async fn wait_for(page: &Page, tokens: &[u32]) {
    page.wait_for("#output", "data-token-ids", &[&ids(tokens)]).await;
    page.wait_for("main", "data-state", &["ready"]).await;
}

/// Two sizes that share layers, in the order of the embedded family.
const STOPS: [usize; 2] = [2, 3];

/// The page with a text of the first of these stops that the second has continued.
async fn continued(native: &Native, n: usize) -> Page {
    let query = format!("explore/?k={}&n={n}&p={}", STOPS[0], PROMPT.replace(' ', "+"));
    let page = Page::open(&[], &query).await;
    page.ready().await;
    page.click("#generate").await;
    wait_for(&page, &expected(native, &STOPS[..1], n)).await;
    page.set("#size-dial", &STOPS[1].to_string()).await;
    page.click("#continue-run").await;
    wait_for(&page, &expected(native, &STOPS, n)).await;
    page
}

fn n_layers(native: &Native, patch: &Patch) -> usize {
    native.family.plan().recipe(patch).layers.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_continues_the_text_with_the_tokens_of_native_code() {
    let native = Native::open();
    let page = continued(&native, 3).await;
    let patches = STOPS.map(|stop| native.path()[stop].clone());
    let n_layers = patches.each_ref().map(|patch| n_layers(&native, patch));
    let layers = n_layers.map(|n_layers| format!("{n_layers} layers"));
    let labels = "return [...document.querySelectorAll('#output .span-label')] \
                  .map(label => label.textContent);";
    assert_eq!(page.run(labels, Vec::new()).await, json!(layers));
    // Keys and values of the shared layers, at all positions but the last.
    let n_shared = native.family.plan().n_shared_layers(&patches[0], &patches[1]);
    assert!(n_shared > 0);
    let n_read = native.prompt().len() + expected(&native, &STOPS[..1], 3).len() - 1;
    let report = page.text(".output-box .run-report").await;
    let reused = format!("{n_shared} of {} layers reused at {n_read} positions", n_layers[1]);
    assert!(report.contains(&reused), "{reused}: {report}");
    // Nothing is left to continue with the same size.
    let button = "return document.querySelector('#continue-run') === null;";
    assert_eq!(page.run(button, Vec::new()).await, json!(true));
    page.set("#size-dial", "0").await;
    page.click("#continue-run").await;
    wait_for(&page, &expected(&native, &[STOPS[0], STOPS[1], 0], 3)).await;
    let legend = page.text("#span-legend").await;
    assert!(legend.contains(&layers[0]) && legend.contains(&layers[1]), "{legend}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_text_of_two_sizes_generates_it_again() {
    let native = Native::open();
    let page = continued(&native, 3).await;
    page.wait_until("return location.search.includes('spans=');", json!(true)).await;
    let query = page.run("return location.search;", Vec::new()).await;
    page.go(&format!("explore/{}", query.as_str().unwrap())).await;
    page.ready().await;
    wait_for(&page, &expected(&native, &STOPS, 3)).await;
    assert_eq!(page.text("#link-notes").await, "");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_sizes_wrote_breaks_no_rule_of_accessibility() {
    let native = Native::open();
    let page = continued(&native, N_TOKENS).await;
    page.settled().await;
    let found = super::axe::violations(&page).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    page.close().await;
}
