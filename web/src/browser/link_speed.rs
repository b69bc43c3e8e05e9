//! The speed of the connection to the page's server, as measured by what it has sent already.

use leptos::prelude::window;
use wasm_bindgen::JsValue;

use crate::browser::js::{call, property};

/// A smaller download is over before a connection is at its speed.
const LEAST_BYTES: f64 = 100_000.0;

/// Bytes per second of the largest download so far; `None` if everything came from a cache.
pub fn bytes_per_second() -> Option<f64> {
    let performance = property(&window(), "performance")?;
    let entries = call(&performance, "getEntriesByType", &["resource".into()]).ok()?;
    let entries = js_sys::Array::from(&entries);
    let transfers = entries.iter().filter_map(|entry| transfer(&entry));
    speed_of(transfers)
}

/// Bytes on the way, and the milliseconds from the first to the last.
fn transfer(entry: &JsValue) -> Option<(f64, f64)> {
    let number = |name| property(entry, name)?.as_f64();
    Some((number("transferSize")?, number("responseEnd")? - number("responseStart")?))
}

fn speed_of(transfers: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let large = transfers.filter(|&(bytes, millis)| bytes >= LEAST_BYTES && millis > 0.0);
    let (bytes, millis) = large.max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(bytes * 1000.0 / millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_download_says_how_fast_the_connection_is() {
        let transfers = [(300.0, 1.0), (500_000.0, 250.0), (120_000.0, 2.0)];
        assert_eq!(speed_of(transfers.into_iter()), Some(2e6));
    }

    #[test]
    fn what_comes_from_a_cache_says_nothing() {
        assert_eq!(speed_of([(0.0, 1.0), (300.0, 0.0)].into_iter()), None);
    }
}
