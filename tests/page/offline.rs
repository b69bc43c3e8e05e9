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
