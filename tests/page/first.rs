use std::fs;

use boomerang_core::bundle::MANIFEST;
use boomerang_core::chart::Format;
use boomerang_core::generate::Sampling;
use boomerang_tests::browser::Page;
use serde_json::json;

use super::{Native, PROMPT, copied_bundle, ids, manifest};

/// Addresses of everything that the page has fetched.
const FETCHED: &str = "return performance.getEntriesByType('resource').map(e => e.name);";
/// The same, to be continued.
const FETCHED_NAMES: &str =
    "return performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)";

async fn fetched(page: &Page) -> String {
    page.run(FETCHED, Vec::new()).await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_model_is_fetched_before_it_is_requested() {
    let page = Page::open(&[], "").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.wait_until("return document.querySelector('.recorded-text') !== null;", json!(true)).await;
    let fetched = fetched(&page).await;
    assert!(!fetched.contains("safetensors") && !fetched.contains("engine-"), "{fetched}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_fetched_by_the_view_that_asks_them() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.wait_until("return document.querySelector('.recorded-text') !== null;", json!(true)).await;
    let task = &manifest().task.unwrap().path;
    let has_task = format!("{FETCHED_NAMES}.some(name => name.endsWith('{task}'));");
    assert_eq!(page.run(&has_task, Vec::new()).await, json!(false));
    page.click("nav a[href='device/']").await;
    page.wait_until(&has_task, json!(true)).await;
    page.wait_until("return !document.querySelector('#measure').disabled;", json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stop_of_the_dial_has_a_text_before_the_model_is_there() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let native = Native::open();
    let prompt = &native.manifest.prompts[0];
    for (stop, patch) in native.path().iter().enumerate() {
        page.set("#size-dial", &stop.to_string()).await;
        let member = native.family.member(patch);
        let n_layers = format!("{} layers", member.n_layers());
        let heading = page.text(".recorded strong").await;
        assert_eq!(heading, n_layers);
        assert!(page.text(".recorded-text").await.starts_with(prompt.trim()));
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn billions_of_parameters_are_counted_whole() {
    let mut manifest = manifest();
    let sizes = [
        ("hidden_size", 8192),
        ("intermediate_size", 28672),
        ("num_attention_heads", 64),
        ("num_key_value_heads", 8),
        ("head_dim", 128),
    ];
    for (key, size) in sizes {
        manifest.config[key] = json!(size);
    }
    for point in &mut manifest.curve.points {
        point.size_bytes = 4 * u64::from(u32::MAX);
    }
    let config = manifest.config().unwrap();
    let n_params = config.n_params_of(manifest.plan.n_student_layers(), manifest.student.tied);
    assert!(n_params > u64::from(u32::MAX));
    let folder = copied_bundle();
    let json = serde_json::to_string(&manifest).unwrap();
    fs::write(folder.path().join(MANIFEST), json).unwrap();
    let page = Page::open_with(folder.path(), &[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.set("#size-dial", "0").await;
    assert_eq!(page.text("#n-params").await, Format::Count.value(n_params as f64));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_measurements_names_the_commands_that_add_them() {
    let mut manifest = manifest();
    manifest.curve.points.clear();
    let folder = copied_bundle();
    let json = serde_json::to_string(&manifest).unwrap();
    fs::write(folder.path().join(MANIFEST), json).unwrap();
    let page = Page::open_with(folder.path(), &[], "explore/").await;
    page.wait_until("return document.querySelector('#unmeasured') !== null;", json!(true)).await;
    let text = page.text(".curve-panel").await;
    assert!(text.contains("boomerang eval") && text.contains("--eval measured"), "{text}");
    page.click(".curve-panel a[href='lens/']").await;
    page.wait_until("return document.querySelector('#paragraph') !== null;", json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dial_and_text_share_a_screen_of_1280_by_800() {
    let page = Page::open(&["--window-size=1280,800"], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.wait_until("return document.querySelector('.recorded-text') !== null;", json!(true)).await;
    let bottom = "return Math.max(...['#size-dial', '#layer-strip', '.recorded-text'].map(part => \
                  document.querySelector(part).getBoundingClientRect().bottom));";
    let bottom = page.run(bottom, Vec::new()).await.as_f64().unwrap();
    assert!(bottom <= 800.0, "they end at {bottom}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_fetched_for_what_is_asked_of_it() {
    let native = Native::open();
    let teacher = native.path().last().unwrap().clone();
    let last_stop = native.path().len() - 1;
    let query = format!("explore/?k={last_stop}&n=12&p={}", PROMPT.replace(' ', "+"));
    let page = Page::open(&[], &query).await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("#generate").await;
    let expected = ids(&native.tokens(&teacher, Sampling::Greedy));
    page.wait_for("#output", "data-token-ids", &[&expected]).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_opened_by_its_address_is_that_view() {
    let page = Page::open(&[], "sweep/").await;
    page.wait_for("nav a[aria-current=page]", "href", &["sweep/"]).await;
    assert_eq!(page.text("h1").await, "All sizes at once");
    page.click("nav a[href='explore/']").await;
    page.wait_until("return location.pathname;", json!("/explore/")).await;
    page.wait_until("return document.activeElement.id;", json!("main")).await;
    let title = page.run("return document.title;", Vec::new()).await;
    assert_eq!(title, json!("Explore · Boomerang"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dial_follows_the_keys_on_every_view() {
    let page = Page::open(&[], "explore/?k=2").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let press = "document.body.dispatchEvent(new KeyboardEvent('keydown', \
                 {key: arguments[0], bubbles: true}));";
    page.run(press, vec![json!("]")]).await;
    let stop = "return document.querySelector('#size-dial').value;";
    page.wait_until(stop, json!("3")).await;
    page.run(press, vec![json!("?")]).await;
    page.wait_until("return document.querySelector('#keys').open;", json!(true)).await;
    page.close().await;
}
