use std::fs;
use std::path::Path;

use boomerang_core::bundle::MANIFEST;
use boomerang_core::plan::Patch;
use boomerang_tests::browser::Page;
use boomerang_tests::root;
use serde_json::json;

use super::{manifest, native_tokens, tokens_at};

/// The committed bundle without the last file that a page fetches; that file's path.
fn bundle_without_its_end(folder: &Path) -> String {
    let manifest = manifest();
    let files: Vec<String> = manifest.files().map(|file| file.path.clone()).collect();
    let (last, others) = files.split_last().unwrap();
    for path in others.iter().map(String::as_str).chain([MANIFEST]) {
        copy(path, folder);
    }
    last.clone()
}

fn copy(path: &str, folder: &Path) {
    let to = folder.join(path);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(root().join("assets/demo/bundle").join(path), to).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn loaded_sizes_generate_while_the_rest_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = bundle_without_its_end(folder.path());
    let page = Page::open_with(folder.path(), &[], "explore/").await;
    page.ready().await;
    let expected = native_tokens();
    let last = expected.len() - 1;
    page.wait_until("return document.querySelector('#load-rest') !== null;", json!(true)).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains(&missing) && notice.contains("Loading stopped"), "{notice}");
    assert_eq!(page.attribute("#reach", "data-sizes").await, last.to_string());
    assert_eq!(tokens_at(&page, 0).await, expected[0]);
    assert_eq!(tokens_at(&page, last - 1).await, expected[last - 1]);

    // The teacher lacks a layer, and the page names it.
    assert_eq!(tokens_at(&page, last).await, Vec::<u32>::new());
    let refusal = page.text(".output-box .notice").await;
    assert!(refusal.contains(&missing), "{refusal}");

    copy(&missing, folder.path());
    page.click("#load-rest").await;
    page.wait_for("#reach", "data-sizes", &[&expected.len().to_string()]).await;
    assert_eq!(tokens_at(&page, last).await, expected[last]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_student_nothing_can_be_generated() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest();
    let student = manifest.files_of(&Patch::none(&manifest.plan));
    let (lost, here) = student.split_last().unwrap();
    for path in here.iter().map(|file| file.path.as_str()).chain([MANIFEST]) {
        copy(path, folder.path());
    }
    let page = Page::open_with(folder.path(), &[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("#load").await;
    page.wait_for("main", "data-state", &["failed"]).await;
    let notice = page.text(".notice").await;
    assert!(notice.contains(&lost.path), "{notice}");
    page.close().await;
}
