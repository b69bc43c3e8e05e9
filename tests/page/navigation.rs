use boomerang_tests::browser::Page;
use serde_json::json;

use super::axe::VIEWS;

/// Whether the page shows a view, and which.
const TITLE: &str = "return document.title;";

#[tokio::test(flavor = "multi_thread")]
async fn every_address_shows_a_view() {
    let page = Page::open(&[], "").await;
    // Lessons are within a view.
    let views: Vec<&str> = VIEWS.into_iter().filter(|view| !view.contains('?')).collect();
    let mut titles = Vec::new();
    for &view in &views {
        page.go(view).await;
        page.wait_for("main", "data-state", &["offered"]).await;
        titles.push(page.run(TITLE, Vec::new()).await.as_str().unwrap().to_owned());
    }
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), views.len(), "{titles:?}");
    assert!(!titles.iter().any(|title| title.starts_with("Not found")), "{titles:?}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_navigation_leads_to_every_view() {
    let page = Page::open(&[], "").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    // The tools are shown once one of them is.
    let links = ["explore/", "compare/", "sweep/", "lens/"];
    let others = ["teach/", "learn/", "device/", "models/", "about/"];
    for view in links.into_iter().chain(others) {
        page.click(&format!("nav a[href='{view}']")).await;
        page.wait_until("return location.pathname;", json!(format!("/{view}"))).await;
        page.wait_for("nav a[aria-current=page]", "href", &[view]).await;
    }
    page.click(".brand").await;
    page.wait_until("return location.pathname;", json!("/")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_menu_closes_on_a_choice_and_on_escape() {
    let page = Page::open(&[], "").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let is_open = "return document.querySelector('.more').open;";
    page.click("nav a[href='about/']").await;
    page.wait_until(is_open, json!(false)).await;
    page.click(".more > summary").await;
    page.wait_until(is_open, json!(true)).await;
    page.run(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}));",
        Vec::new(),
    )
    .await;
    page.wait_until(is_open, json!(false)).await;
    let focused = "return document.activeElement.parentElement.className;";
    assert_eq!(page.run(focused, Vec::new()).await, json!("more"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_focus_stays_near_the_button_that_loads() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("#load").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let focused = "return document.activeElement.id;";
    assert_eq!(page.run(focused, Vec::new()).await, json!("engine-status"));
    page.close().await;
}
