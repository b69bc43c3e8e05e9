use boomerang_core::generate::Sampling;
use boomerang_tests::browser::Page;
use serde_json::json;

use super::{N_TOKENS, Native, PROMPT, ids};

const TEMPERATURE: f64 = 1.5;

/// What stop 1 generates, in native code.
fn expected(native: &Native, temperature: f64, seed: u64) -> Vec<u32> {
    native.tokens(&native.path()[1], Sampling::Random { temperature, seed })
}

/// The page with a sampled text of stop 1.
async fn drawn(native: &Native, seed: u64) -> Page {
    let prompt = PROMPT.replace(' ', "+");
    let query = format!("explore/?k=1&s={seed}&t={TEMPERATURE}&n={N_TOKENS}&p={prompt}");
    let page = Page::open(&[], &query).await;
    page.ready().await;
    page.click("#generate").await;
    wait_for(&page, &expected(native, TEMPERATURE, seed)).await;
    page
}

async fn wait_for(page: &Page, tokens: &[u32]) {
    page.wait_for("#output", "data-token-ids", &[&ids(tokens)]).await;
    page.wait_for("main", "data-state", &["ready"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_text_is_sampled_again_for_another_seed_and_temperature() {
    let native = Native::open();
    let page = drawn(&native, 1).await;
    let report = page.text(".output-box .run-report").await;
    assert!(!report.contains("resampled"), "{report}");
    for seed in [2, 3, 1] {
        page.set("#seed", &seed.to_string()).await;
        wait_for(&page, &expected(&native, TEMPERATURE, seed)).await;
        let report = page.text(".output-box .run-report").await;
        assert!(report.contains("resampled without running the model"), "{report}");
    }
    page.set("#temperature", "0.7").await;
    wait_for(&page, &expected(&native, 0.7, 1)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_several_quick_changes_counts() {
    let native = Native::open();
    let page = drawn(&native, 1).await;
    let script = "const field = document.querySelector('#seed'); \
                  const next = seed => { field.value = seed; \
                      field.dispatchEvent(new Event('change', {bubbles: true})); \
                      if (seed < 9) requestAnimationFrame(() => next(seed + 1)); }; next(2);";
    page.run(script, Vec::new()).await;
    wait_for(&page, &expected(&native, TEMPERATURE, 9)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_prompt_is_not_generated_before_the_user_asks() {
    let native = Native::open();
    let page = drawn(&native, 1).await;
    let before = page.attribute("#output", "data-token-ids").await;
    page.set("#prompt", "add 1 2 :").await;
    page.set("#seed", "2").await;
    assert_eq!(page.attribute("main", "data-state").await, "ready");
    assert_eq!(page.attribute("#output", "data-token-ids").await, before);
    let n_earlier = "return document.querySelectorAll('.earlier li').length;";
    assert_eq!(page.run(n_earlier, Vec::new()).await, json!(0));
    page.close().await;
}
