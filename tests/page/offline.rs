use boomerang_tests::browser::Page;
use serde_json::json;

use super::{native_tokens, tokens_at};

/// Set on `main` once the browser has everything that a reload needs.
const KEPT: &str = "return document.querySelector('main').dataset.kept;";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_page_and_model_come_from_the_browser() {
    let mut page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.wait_until(KEPT, json!("true")).await;
    page.stop_server();
    for view in ["explore/", ""] {
        page.go(view).await;
        page.wait_for("main", "data-state", &["offered", "ready"]).await;
    }
    page.go("explore/").await;
    page.ready().await;
    assert_eq!(tokens_at(&page, 0).await, native_tokens()[0]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_kept_before_its_model_is_loaded() {
    let mut page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let kept = "const names = await caches.keys(); \
                return names.includes('boomerang-bundles') \
                    && (await caches.match(new URL('index.html', document.baseURI))) !== undefined \
                    && (await caches.match(new URL('bundle/manifest.json', document.baseURI))) \
                        !== undefined;";
    for _ in 0..100 {
        if page.promised(kept, Vec::new()).await == json!(true) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let names = "return (await (await caches.open((await caches.keys()) \
                     .find(name => name.startsWith('boomerang-page-')))).keys()) \
                     .map(request => request.url).filter(url => url.includes('engine-'));";
    assert_eq!(page.promised(names, Vec::new()).await, json!([]));
    page.stop_server();
    page.go("").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.close().await;
}
