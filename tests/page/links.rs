use boomerang_core::bundle::MANIFEST;
use boomerang_core::generate::Sampling;
use boomerang_native_trainer::serve::Server;
use boomerang_tests::browser::{Page, serve};
use boomerang_tests::passage::{Passage, Spoiled};
use boomerang_tests::root;
use serde_json::json;

use super::{N_TOKENS, Native, PROMPT, ids, manifest};

fn serve_demo() -> Server {
    serve(&root().join("assets/demo/bundle"))
}

/// A link to a text of twelve sampled tokens at stop 2, with or without the model's fingerprint.
fn drawn(fingerprint: &str) -> String {
    format!("explore/?k=2&p={}&n={N_TOKENS}&s=7&t=1.2&h={fingerprint}", PROMPT.replace(' ', "+"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_generates_the_same_text_again_once_the_model_is_loaded() {
    let native = Native::open();
    let sampling = Sampling::Random { temperature: 1.2, seed: 7 };
    let expected = ids(&native.tokens(&native.path()[2], sampling));
    let page = Page::open(&[], &drawn(&native.manifest.fingerprint())).await;
    page.ready().await;
    page.wait_for("#output", "data-token-ids", &[&expected]).await;
    assert_eq!(page.text("#link-notes").await, "");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_another_model_is_reported_and_waits() {
    let page = Page::open(&[], &drawn("0123456789ab")).await;
    page.ready().await;
    let notes = page.text("#link-notes").await;
    assert!(notes.contains("another model (0123456789ab"), "{notes:?}");
    assert_eq!(page.attribute("#output", "data-token-ids").await, "");
    let dial = page.run("return document.querySelector('#size-dial').value;", Vec::new()).await;
    assert_eq!(dial, json!("2"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_this_server_leads_to_no_other() {
    let (server, other) = (serve_demo(), serve_demo());
    let elsewhere = Passage::to(other.address());
    elsewhere.spoil(Spoiled { is_open: true, ..Spoiled::default() });
    let here = Passage::to(server.address());
    let to = format!("{}bundle/{MANIFEST}", elsewhere.url());
    let sent_on = Some((format!("away/{MANIFEST}"), to));
    here.spoil(Spoiled { sent_on, ..Spoiled::default() });
    let page = Page::open_at(&here.url(), &[], "explore/?m=away/").await;
    page.wait_for("main", "data-state", &["failed"]).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains("a link may not lead to another address"), "{notice}");
    assert!(elsewhere.passed().is_empty());
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_follows_the_page_and_survives_a_reload() {
    let page = Page::open(&[], "explore/?device=cpu").await;
    page.ready().await;
    page.set("#size-dial", "1").await;
    page.set("#prompt", "<b>a & b</b>").await;
    let address = "return location.search;";
    page.wait_until(address, json!("?device=cpu&k=1&p=%3Cb%3Ea+%26+b%3C/b%3E")).await;
    page.client.refresh().await.expect("the page opens again");
    page.ready().await;
    let prompt = page.run("return document.querySelector('#prompt').value;", Vec::new()).await;
    assert_eq!(prompt, json!("<b>a & b</b>"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_clipboard_the_link_can_be_copied_from_a_field() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.run("Object.defineProperty(navigator, 'clipboard', {value: undefined});", Vec::new())
        .await;
    page.click("#copy-link").await;
    let fingerprint = manifest().fingerprint();
    // Shown first, selected then.
    let selected = "const e = document.querySelector('#link-field'); \
                    const text = e ? e.value.slice(e.selectionStart, e.selectionEnd) : ''; \
                    return text ? new URL(text).search : '';";
    page.wait_until(selected, json!(format!("?h={fingerprint}"))).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_link_that_cannot_be_applied_are_reported() {
    let page = Page::open(&[], "explore/?k=99&s=seven").await;
    page.ready().await;
    let notes = page.text("#link-notes").await;
    assert!(notes.contains("stop 99") && notes.contains("s=seven"), "{notes:?}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dial_patches_in_another_order_and_the_link_contains_it() {
    let page = Page::open(&[], "explore/?k=1").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let pressed = "return [...document.querySelectorAll('#layer-strip button')]\
                   .map(it => it.ariaPressed === 'true');";
    let before = page.run(pressed, Vec::new()).await;
    page.run("document.querySelector('#order input:not(:checked)').click();", Vec::new()).await;
    page.wait_until("return new URLSearchParams(location.search).get('o');", json!("first")).await;
    // The set of blocks stays, though no stop of the new order has it.
    assert_eq!(page.run(pressed, Vec::new()).await, before);
    page.set("#size-dial", "1").await;
    let first = page.run(pressed, Vec::new()).await;
    let patched: Vec<bool> = serde_json::from_value(first).unwrap();
    assert!(patched[0] && !patched[patched.len() - 1], "{patched:?}");
    assert_eq!(page.attribute("#here-mark", "data-measured").await, "false");
    page.wait_until("return new URLSearchParams(location.search).get('k');", json!("1")).await;
    page.reload().await;
    page.wait_for("main", "data-state", &["offered"]).await;
    assert_eq!(page.run(pressed, Vec::new()).await, json!(patched));
    page.close().await;
}
