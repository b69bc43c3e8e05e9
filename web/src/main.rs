//! The page.

use boomerang_web::app::App;

fn main() {
    console_error_panic_hook::set_once();
    if let Some(before) = leptos::prelude::document().get_element_by_id("before") {
        before.remove();
    }
    leptos::mount::mount_to_body(App);
}
