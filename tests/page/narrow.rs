use boomerang_tests::browser::Page;
use serde_json::json;

use super::axe::VIEWS;

#[tokio::test(flavor = "multi_thread")]
async fn no_view_is_wider_than_a_small_phone() {
    let page = Page::open(&["--window-size=320,800"], "").await;
    // Headless windows are not narrower than 500 pixels; a frame is.
    let script = "const [view, done] = arguments; const frame = document.createElement('iframe'); \
                  frame.style.width = '320px'; frame.style.height = '800px'; \
                  frame.src = new URL(view, location.origin); \
                  frame.onload = () => setTimeout(() => { \
                      const root = frame.contentDocument.documentElement; \
                      const width = root.scrollWidth; frame.remove(); done(width); }, 1500); \
                  document.body.append(frame);";
    for view in VIEWS {
        let width = page.client.execute_async(script, vec![json!(view)]).await.unwrap();
        assert!(width.as_f64().unwrap() <= 320.0, "/{view} is {width} pixels wide");
    }
    page.close().await;
}
