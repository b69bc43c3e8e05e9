//! The program of the npm package; its functions are exported by the library.

use boomerang_dial as _;

fn main() {
    console_error_panic_hook::set_once();
}
