use std::fs;

use boomerang_tests::browser::Page;
use boomerang_tests::root;
use serde_json::json;

use super::own::{checkpoints, choose, random_family};
use super::packed::zip;

/// Larger ones take a reader's time.
const MOST_BYTES: usize = 300_000;
/// The height of a headless window beyond that of its page.
const FRAME: u32 = 139;
const PROMPT: &str = "say ka lo mi backwards :";

/// The window as it is, as a file in docs/images.
async fn take(page: &Page, name: &str) {
    page.run("document.activeElement.blur(); window.scrollTo(0, 0);", Vec::new()).await;
    page.settled().await;
    let png = page.client.screenshot().await.expect("the browser takes a picture");
    assert!(png.len() < MOST_BYTES, "{name} has {} bytes", png.len());
    fs::write(root().join("docs/images").join(name), png).expect("docs/images can be written");
}

/// The flag for a page of this height.
fn window(height: u32) -> String {
    format!("--window-size=1280,{}", height + FRAME)
}

/// Opens a view on the CPU, on a page of this height, with the model loaded.
async fn open(view: &str, height: u32) -> Page {
    let size = window(height);
    let query = format!("{view}?device=cpu&n=12&p={}", PROMPT.replace(' ', "+"));
    let page = Page::open(&[&size, "--hide-scrollbars"], &query).await;
    page.ready().await;
    page.wait_until("return document.querySelector('#progress') === null;", json!(true)).await;
    page
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; `cargo xtask pictures` runs it"]
async fn the_size_dial_with_texts_of_four_sizes() {
    let page = open("explore/", 1560).await;
    for stop in ["0", "2", "5", "3"] {
        page.set("#size-dial", stop).await;
        page.click("#generate").await;
        page.wait_for("main", "data-state", &["ready"]).await;
    }
    take(&page, "explorer.png").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; `cargo xtask pictures` runs it"]
async fn all_sizes_along_one_text() {
    let page = open("sweep/", 1080).await;
    page.click("#sweep").await;
    page.wait_until(
        "return document.querySelector('[download=\"sweep.csv\"]') !== null;",
        json!(true),
    )
    .await;
    take(&page, "explorer-sweep.png").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; `cargo xtask pictures` runs it"]
async fn the_layers_of_one_size() {
    let page = open("lens/", 1780).await;
    let is_free = "return !document.querySelector('#lens').disabled && \
                   !document.querySelector('#paragraph-table').textContent.includes('…');";
    page.wait_until(is_free, json!(true)).await;
    page.click("#lens").await;
    page.wait_until("return document.querySelector('#lens-table') !== null;", json!(true)).await;
    take(&page, "explorer-inside.png").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; `cargo xtask pictures` runs it"]
async fn an_uploaded_family() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("family.zip");
    fs::write(&path, zip(&checkpoints(&random_family()))).expect("a temporary file");
    let page = Page::open(&[&window(880), "--hide-scrollbars"], "models/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    choose(&page, "#own-zip", &path).await;
    take(&page, "explorer-own.png").await;
    page.close().await;
}
