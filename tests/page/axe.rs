use std::env;

use boomerang_tests::browser::Page;
use boomerang_tests::read;
use serde_json::Value;

use super::{N_TOKENS, PROMPT};

pub(super) const VIEWS: [&str; 12] = [
    "",
    "explore/",
    "compare/",
    "sweep/",
    "lens/",
    "device/",
    "models/",
    "teach/",
    "learn/",
    "learn/?l=sizes",
    "learn/?l=real",
    "about/",
];

/// Rule and element of everything that axe-core objects to on the page as it stands.
async fn violations(page: &Page) -> Vec<String> {
    let axe = env::var_os("AXE").expect("AXE names an axe.min.js; `cargo xtask test` sets it");
    let axe = String::from_utf8(read(axe)).unwrap();
    page.run(&format!("{axe}; window.axe = axe;"), Vec::new()).await;
    let script = "const done = arguments[0]; \
                  axe.run(document, {resultTypes: ['violations']}) \
                     .then(found => done(found.violations.flatMap(it => \
                         it.nodes.map(node => it.id + ' at ' + node.target.join(' ') + ': ' \
                             + node.failureSummary)))) \
                     .catch(error => done([String(error)]));";
    let found = page.client.execute_async(script, Vec::new()).await.expect("axe-core runs");
    let Value::Array(found) = found else { panic!("axe-core gives no list") };
    found.iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
}

async fn no_violations(flags: &[&str]) {
    let page = Page::open(flags, "").await;
    let mut found = Vec::new();
    for view in VIEWS {
        page.go(view).await;
        page.wait_for("main", "data-state", &["offered"]).await;
        page.settled().await;
        found.extend(violations(&page).await.into_iter().map(|it| format!("/{view}: {it}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_view_breaks_a_rule_of_accessibility() {
    no_violations(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_in_the_dark() {
    no_violations(&["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_compared_breaks_none_either() {
    let query = format!("?n={N_TOKENS}&p={}", PROMPT.replace(' ', "+"));
    let page = Page::open(&[], &format!("sweep/{query}")).await;
    page.ready().await;
    let mut found = Vec::new();
    for (view, button) in
        [("sweep/", "#sweep"), ("compare/", "#compare"), ("explore/", "#generate")]
    {
        page.click(&format!("nav a[href='{view}']")).await;
        page.click(button).await;
        page.wait_for("main", "data-state", &["ready"]).await;
        page.settled().await;
        found.extend(violations(&page).await.into_iter().map(|it| format!("/{view}: {it}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    page.close().await;
}
