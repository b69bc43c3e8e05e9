use boomerang_tests::browser::Page;
use serde_json::json;

use super::{Native, PROMPT};

/// The address without the page's own.
const SEARCH: &str = "return location.search;";

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_the_prompt_are_counted_beside_it() {
    let native = Native::open();
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.set("#prompt", PROMPT).await;
    let n_tokens = native.prompt().len();
    let script = "return document.querySelector('#prompt-tokens').textContent.split(' of ')[0];";
    page.wait_until(script, json!(n_tokens.to_string())).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_longer_than_the_context_window_is_not_sent() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.set("#prompt", &"sort ".repeat(3000)).await;
    let refusal = "return document.querySelector('#prompt-refused').textContent\
                       .includes('context window');";
    page.wait_until(refusal, json!(true)).await;
    let disabled = "return document.querySelector('#generate').disabled;";
    assert_eq!(page.run(disabled, Vec::new()).await, json!(true));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enormous_prompt_is_refused_and_is_not_in_the_address() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.set("#prompt", &"x".repeat(200_000)).await;
    assert!(page.text("#prompt-refused").await.contains("200,000 bytes"));
    let disabled = "return document.querySelector('#generate').disabled;";
    assert_eq!(page.run(disabled, Vec::new()).await, json!(true));
    page.wait_until("return location.search.includes('noprompt=1');", json!(true)).await;
    let search = page.run(SEARCH, Vec::new()).await;
    assert!(search.as_str().unwrap().len() < 200, "{search}");
    page.click("#copy-link").await;
    page.wait_until("return document.querySelector('#copy-prompt') !== null;", json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_reverses_text_is_shown_and_has_no_effect() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.set("#prompt", "sort\u{202e} 7 2").await;
    page.set("#n-tokens", "4").await;
    page.click("#generate").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let output = page.text("#output").await;
    assert!(output.contains("⟨U+202E⟩") && !output.contains('\u{202e}'), "{output}");
    page.close().await;
}
