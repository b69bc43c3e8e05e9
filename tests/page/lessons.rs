use boomerang_tests::browser::Page;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_sets_hides_and_locks_and_the_users_state_is_restored() {
    let page = Page::open(&[], "explore/?k=4").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    page.click("nav a[href='learn/']").await;
    page.click("a[href='learn/?l=sizes']").await;
    let dial = "return document.querySelector('#size-dial')?.value;";
    page.wait_until(dial, json!("0")).await;
    let part = "const part = document.querySelector('[data-part=' + arguments[0] + ']'); \
                return [part.hidden, part.querySelector('.part').inert];";
    assert_eq!(page.run(part, vec![json!("curve")]).await, json!([true, false]));
    assert_eq!(page.run(part, vec![json!("strip")]).await, json!([false, true]));

    page.click("#lesson-next").await;
    page.wait_until(dial, json!("3")).await;
    page.set(".ask input", "10").await;
    page.click("#lesson-back").await;
    page.click("#lesson-next").await;
    let answer = "return document.querySelector('.ask input').value;";
    assert_eq!(page.run(answer, Vec::new()).await, json!("10"));

    page.wait_until("return new URLSearchParams(location.search).get('l');", json!("sizes")).await;

    page.click("nav a[href='explore/']").await;
    page.wait_until(dial, json!("4")).await;
    page.wait_until("return location.search;", json!("?k=4")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_lesson_is_refused_with_its_line() {
    let page = Page::open(&[], "learn/").await;
    let choose = "const field = document.querySelector('input[type=file]'); \
                  const files = new DataTransfer(); \
                  files.items.add(new File([arguments[0]], 'lesson.md')); \
                  field.files = files.files; \
                  field.dispatchEvent(new Event('change', {bubbles: true}));";
    page.wait_until("return document.querySelector('input[type=file]') !== null;", json!(true))
        .await;
    page.run(choose, vec![json!("# Mine\n\n## One\nlock: wheel\n")]).await;
    page.wait_until("return document.querySelector('.notice') !== null;", json!(true)).await;
    assert!(page.text(".notice").await.contains("line 4: lock: invalid value \"wheel\""));
    page.run(choose, vec![json!("# Mine\n\n## One\nstate: ?k=5\n\nLook.\n")]).await;
    let dial = "return document.querySelector('#size-dial')?.value;";
    page.wait_until(dial, json!("5")).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_hides_and_locks_and_an_embedded_page_has_no_head() {
    let page = Page::open(&[], "explore/?hide=curve&lock=dial&embed=1").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    let state = "return [document.querySelector('[data-part=curve]').hidden, \
                 document.querySelector('[data-part=dial] .part').inert, \
                 document.querySelector('.head')];";
    assert_eq!(page.run(state, Vec::new()).await, json!([true, true, null]));
    page.close().await;
}
