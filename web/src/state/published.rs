//! The measurements of a larger family that come with the page, without its weights.

use boomerang_engine::fetch::{Redirects, fetch_text};

use crate::text::published::PublishedFamily;

/// Where the build of the page puts the files, from `assets/families/smollm2/results`.
const FOLDER: &str = "families/smollm2";

/// `None` where the page comes without these files.
pub async fn fetch_published() -> Option<PublishedFamily> {
    let [curve, recordings] =
        ["curve.csv", "recordings.json"].map(|name| format!("{FOLDER}/{name}"));
    let curve = fetch_text(&curve, Redirects::Refused).await.ok()?;
    let recordings = fetch_text(&recordings, Redirects::Refused).await.ok()?;
    PublishedFamily::parse(&curve, &recordings)
}
