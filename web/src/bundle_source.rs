//! Where the bundle is: beside the page, or where `?m=` or `?bundle=` says, on the same server.

use boomerang_engine::notice::Notice;
use leptos::prelude::{document, window};
use web_sys::{Url, UrlSearchParams};

/// The folder that is copied beside the page when it is built.
const DEFAULT_FOLDER: &str = "bundle/";

/// A value of the page's query string.
pub fn query(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// The full address of the manifest.
///
/// # Errors
/// A [`Notice`] when `?m=` is no address, or one on another server.
pub fn manifest_url() -> Result<String, Notice> {
    let refused = |why: String| {
        let next = "Leave ?m= out of the address, or give a folder on this server.";
        Notice::new("This bundle cannot be opened.", why, next)
    };
    let mut folder =
        query("m").or_else(|| query("bundle")).unwrap_or_else(|| DEFAULT_FOLDER.to_owned());
    if !folder.ends_with('/') {
        folder.push('/');
    }
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let parse = |address: &str, base: &str| Url::new_with_base(address, base).ok();
    let url = parse(&folder, &base)
        .and_then(|folder| parse(boomerang_core::bundle::MANIFEST, &folder.href()))
        .ok_or_else(|| refused(format!("{folder:?} is not an address")))?;
    let origin = window().location().origin().unwrap_or_default();
    if url.origin() != origin {
        return Err(refused(format!("{} is another server than this page's", url.origin())));
    }
    Ok(url.href())
}
