use std::fs;

use boomerang_core::bundle::MANIFEST;
use boomerang_tests::browser::Page;
use serde_json::json;

use super::{PROMPT, SOFTWARE_GPU, copied_bundle, native_tokens, tokens_at};

/// Keeps hold of the workers that the page starts from now on.
pub(super) const WATCH_WORKERS: &str = "window.workers = []; const Own = window.Worker; \
                             window.Worker = function (...given) { \
                                 const worker = new Own(...given); \
                                 window.workers.push(worker); return worker; };";

#[tokio::test(flavor = "multi_thread")]
async fn when_the_worker_dies_the_texts_stay_and_the_next_one_takes_over() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.run(WATCH_WORKERS, Vec::new()).await;
    let expected = native_tokens();
    page.ready().await;
    assert_eq!(tokens_at(&page, 0).await, expected[0]);
    let written = page.text("#output").await;

    let death = "window.workers.at(-1).dispatchEvent(\
                     new ErrorEvent('error', {message: 'unreachable executed'}));";
    page.run(death, Vec::new()).await;
    page.wait_for("main", "data-state", &["failed"]).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains("unreachable executed"), "{notice}");
    assert_eq!(page.text("#output").await, written);
    let prompt = page.run("return document.querySelector('#prompt').value;", Vec::new()).await;
    assert_eq!(prompt, json!(PROMPT));

    page.click("#try-again").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    assert_eq!(tokens_at(&page, 1).await, expected[1]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_without_an_error_is_replaced_by_stop() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.run(WATCH_WORKERS, Vec::new()).await;
    page.ready().await;
    page.wait_until("return document.querySelector('#progress') === null;", json!(true)).await;
    // As when the system ends its process: no message, and no error event.
    page.run("window.workers.at(-1).terminate();", Vec::new()).await;
    page.set("#prompt", PROMPT).await;
    page.click("#generate").await;
    page.wait_for("main", "data-state", &["generating"]).await;
    let unresponsive = "return document.querySelector('#unresponsive') !== null;";
    page.wait_until(unresponsive, json!(true)).await;
    page.click("#stop").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let prompt = page.run("return document.querySelector('#prompt').value;", Vec::new()).await;
    assert_eq!(prompt, json!(PROMPT));
    assert!(page.text(".run-heading").await.contains("stopped"));
    assert_eq!(tokens_at(&page, 1).await, native_tokens()[1]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_the_page_says_how_much_is_stored() {
    let folder = copied_bundle();
    fs::remove_file(folder.path().join("student/layer-01.safetensors")).unwrap();
    let page = Page::open_with(folder.path(), &[], "explore/?device=cpu").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("#load").await;
    page.wait_for("main", "data-state", &["failed"]).await;
    // The tokenizer, the student's embedding and its first layer come before.
    let kept = page.text("#kept").await;
    assert!(kept.contains("stored in this browser: 3 of "), "{kept}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_gpu_build_says_so() {
    let page = Page::open(&SOFTWARE_GPU, "explore/?device=webgpu").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let workers = "document.querySelector('meta[name=boomerang-workers]').content = 'cpu';";
    page.run(workers, Vec::new()).await;
    page.click("#load").await;
    page.wait_for("main", "data-state", &["failed"]).await;
    assert!(page.text(".notice").await.contains("This site has no build for WebGPU."));
    page.click("#use-cpu").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_build_is_recognized() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.run(WATCH_WORKERS, Vec::new()).await;
    page.click("#load").await;
    page.wait_until("return window.workers.length > 0;", json!(true)).await;
    let other = "window.workers[0].dispatchEvent(new MessageEvent('message', \
                     {data: [Uint8Array.of(0, 1)]}));";
    page.run(other, Vec::new()).await;
    page.wait_for("main", "data-state", &["failed"]).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains("different builds"), "{notice}");
    page.close().await;
}

/// Makes the page treat the software GPU as a real one.
const REAL_GPU: &str = "const most = 2 ** 30; GPU.prototype.requestAdapter = async () => ({\
                            info: {vendor: 'acme'}, features: new Set(), \
                            limits: {maxStorageBufferBindingSize: most, maxBufferSize: most}});";

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_not_a_failure_of_the_gpu() {
    let folder = copied_bundle();
    let missing = "student/layer-00.safetensors";
    fs::remove_file(folder.path().join(missing)).unwrap();
    let page = Page::open_with(folder.path(), &SOFTWARE_GPU, "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.run(REAL_GPU, Vec::new()).await;
    page.click("#load").await;
    page.wait_for("main", "data-state", &["failed"]).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains(missing), "{notice}");
    assert_eq!(page.attribute("main", "data-backend").await, "webgpu");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_bundle_is_reported_on_every_view() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), "{\"format\": \"zip\", \"version\": 1}").unwrap();
    let page = Page::open_with(folder.path(), &[], "").await;
    for view in ["", "explore/", "sweep/"] {
        page.go(view).await;
        page.wait_for("main", "data-state", &["failed"]).await;
        let notice = page.text(".notice").await;
        assert!(notice.contains("boomerang-bundle"), "/{view}: {notice}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_bundle_is_never_markup() {
    let folder = tempfile::tempdir().unwrap();
    let manifest =
        fs::read_to_string(boomerang_tests::root().join("assets/demo/bundle/manifest.json"));
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest.unwrap()).unwrap();
    let hostile = "<img src=x onerror='document.title=1'>";
    manifest["name"] = json!(hostile);
    manifest["prompts"] = json!([hostile]);
    fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
    let page = Page::open_with(folder.path(), &[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    assert!(page.text(".foot").await.contains(hostile));
    assert!(page.text(".example").await.contains("<img"));
    let images = page.run("return document.querySelectorAll('img').length;", Vec::new()).await;
    assert_eq!(images, json!(0));
    page.close().await;
}
