use boomerang_tests::browser::Page;
use serde_json::{Value, json};

/// Opens the page in a frame: the driver waits for pages, not for frames that are added later.
const OPEN_IN_FRAME: &str = "const frame = document.createElement('iframe'); frame.id = 'slow'; \
                             frame.src = new URL('./?embed=1', location.href).href; \
                             document.body.append(frame);";
/// What the page in the frame says before its program runs.
const PROGRESS: &str = "const page = document.querySelector('#slow').contentDocument; \
                        const words = page?.querySelector('#before-words')?.textContent ?? ''; \
                        const bar = page?.querySelector('#before-bar'); \
                        return [words, bar?.value ?? 0, bar?.max ?? 0];";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_connection_the_page_counts_the_bytes_of_its_program() {
    let page = Page::open(&[], "about/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.devtools("Network.enable", json!({})).await;
    page.devtools("Network.setCacheDisabled", json!({"cacheDisabled": true})).await;
    page.devtools("Network.setBypassServiceWorker", json!({"bypass": true})).await;
    let speed = json!({"offline": false, "latency": 0, "downloadThroughput": 50_000,
                       "uploadThroughput": 50_000});
    page.devtools("Network.emulateNetworkConditions", speed).await;
    page.run(OPEN_IN_FRAME, Vec::new()).await;
    let has_begun = "const page = document.querySelector('#slow').contentDocument; \
                     return (page?.querySelector('#before-bar')?.value ?? 0) > 0;";
    page.wait_until(has_begun, json!(true)).await;
    let first = page.run(PROGRESS, Vec::new()).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let second = page.run(PROGRESS, Vec::new()).await;
    assert!(first[0].as_str().unwrap().ends_with(" MB"), "{first}");
    assert!(number(&second[1]) > number(&first[1]), "{first} {second}");
    assert!(number(&second[1]) < number(&second[2]), "{second}");
    let hidden = "const page = document.querySelector('#slow').contentDocument; \
                  return page.querySelector('#before-unable').hidden \
                      && page.querySelector('#before-failed').hidden;";
    assert_eq!(page.run(hidden, Vec::new()).await, json!(true));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_browser_without_webassembly_is_told_that_it_cannot_run_the_page() {
    let page = Page::open(&[], "").await;
    let without = json!({"source": "delete window.WebAssembly;"});
    page.devtools("Page.addScriptToEvaluateOnNewDocument", without).await;
    page.reload().await;
    assert!(page.text("#before").await.contains("This browser cannot run the page"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_load_is_named_with_the_reason() {
    let page = Page::open(&[], "about/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.devtools("Network.enable", json!({})).await;
    page.devtools("Network.setBypassServiceWorker", json!({"bypass": true})).await;
    page.devtools("Network.setBlockedURLs", json!({"urls": ["*boomerang-web*.wasm"]})).await;
    page.reload().await;
    let shown = "return document.querySelector('#before-failed')?.hidden === false;";
    page.wait_until(shown, json!(true)).await;
    assert!(!page.text("#before-why").await.is_empty());
    page.close().await;
}
