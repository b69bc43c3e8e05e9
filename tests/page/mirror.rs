use boomerang_tests::browser::Page;
use serde_json::json;

use super::{native_tokens, tokens_at};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_window_shows_what_the_first_does() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    let expected = native_tokens();
    assert_eq!(tokens_at(&page, 1).await, expected[1]);
    let first = page.client.window().await.unwrap();
    let second = page.client.new_window(true).await.unwrap().handle;
    page.client.switch_to_window(second.clone()).await.unwrap();
    page.go("explore/?follow=1").await;
    let dial = "return document.querySelector('#size-dial')?.value;";
    page.wait_until(dial, json!("1")).await;
    page.wait_for("#output", "data-token-ids", &[&super::ids(&expected[1])]).await;

    page.client.switch_to_window(first).await.unwrap();
    page.set("#size-dial", "3").await;
    page.client.switch_to_window(second).await.unwrap();
    page.wait_until(dial, json!("3")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_window_follows_to_other_views_and_lessons() {
    let page = Page::open(&[], "explore/").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let first = page.client.window().await.unwrap();
    let second = page.client.new_window(true).await.unwrap().handle;
    page.client.switch_to_window(second.clone()).await.unwrap();
    page.go("explore/?follow=1").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    for link in ["a[href='sweep/']", "a[href='learn/']", "a[href^='learn/?l=']"] {
        page.client.switch_to_window(first.clone()).await.unwrap();
        // The lessons of a language are loaded after their view is shown.
        let is_shown = format!("return document.querySelector({link:?}) !== null;");
        page.wait_until(&is_shown, json!(true)).await;
        let address = "return location.pathname + \
                       (new URLSearchParams(location.search).get('l') ?? '');";
        let before = page.run(address, Vec::new()).await;
        page.click(link).await;
        // A click on a link is followed in a later turn.
        let has_left = format!("{} !== {before};", address.trim_end_matches(';'));
        page.wait_until(&has_left, json!(true)).await;
        let shown = page.run(address, Vec::new()).await;
        page.client.switch_to_window(second.clone()).await.unwrap();
        page.wait_until(address, shown).await;
        let follows = "return new URLSearchParams(location.search).get('follow');";
        page.wait_until(follows, json!("1")).await;
    }
    page.close().await;
}
