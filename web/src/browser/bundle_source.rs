//! Where the bundle is: next to the page, or at the address in `?m=` or `?bundle=`. Another server is
//! contacted only with the user's permission.

use boomerang_client::address;
use boomerang_engine::fetch::Redirects;
use boomerang_engine::notice::Notice;
use boomerang_engine::store::is_kept_only;
use leptos::prelude::{document, window};
use web_sys::Url;

use crate::browser::location::query;
use crate::browser::view::View;
use crate::text::link::Link;

/// The folder that is copied next to the page when it is built.
const DEFAULT_FOLDER: &str = "bundle/";

/// The key in the session storage for the servers that the user allows.
const ALLOWED: &str = "boomerang allowed servers";

/// Why there is no address to fetch a manifest from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSource {
    /// The address is invalid.
    Unusable(Notice),
    /// It is on another server, of this origin, which is not allowed yet.
    Foreign { origin: String },
}

/// The full address of the manifest, and whether its server may redirect.
///
/// # Errors
/// [`NoSource`] when `?m=` is not an address, or one that the user has not allowed.
pub fn manifest_url() -> Result<(String, Redirects), NoSource> {
    let Some(folder) = query("m").or_else(|| query("bundle")) else {
        let url = manifest_in(DEFAULT_FOLDER).map_err(NoSource::Unusable)?;
        return Ok((url.href(), Redirects::Followed));
    };
    if is_kept_only(&folder) {
        return Ok((folder, Redirects::Refused));
    }
    let url = manifest_in(&folder).map_err(NoSource::Unusable)?;
    let origin = url.origin();
    if origin == own_origin() {
        // The user did not confirm this link, and a redirect on our server may lead to any other.
        return Ok((url.href(), Redirects::Refused));
    }
    if !is_allowed(&origin) {
        return Err(NoSource::Foreign { origin });
    }
    Ok((url.href(), Redirects::Followed))
}

/// Goes to a view with the bundle at this address, whose server the user allows with it.
///
/// # Errors
/// A [`Notice`] when it is not an address.
pub fn open(address: &str, view: View) -> Result<(), Notice> {
    let address = address.trim();
    if is_kept_only(address) {
        go_to(address, view);
        return Ok(());
    }
    if address.is_empty() {
        let next = "Enter the address of a bundle's folder, which contains manifest.json.";
        return Err(Notice::new("This bundle cannot be opened.", "the address is empty", next));
    }
    let folder = address.strip_suffix(boomerang_core::bundle::MANIFEST).unwrap_or(address);
    let url = manifest_in(folder)?;
    if url.origin() != own_origin() {
        allow(&url.origin());
    }
    go_to(folder, view);
    Ok(())
}

/// Goes to a view with another bundle; the page is reloaded.
pub fn go_to(folder: &str, view: View) {
    let link = Link { bundle: Some(folder.to_owned()), ..Link::default() };
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    if let Ok(url) = Url::new_with_base(&format!("{}{}", view.path(), link.query()), &base) {
        // If the browser refuses, the page stays.
        let _ = window().location().set_href(&url.href());
    }
}

/// Allows requests to a server until this page is closed.
pub fn allow(origin: &str) {
    if let Ok(Some(storage)) = window().session_storage() {
        let before = storage.get_item(ALLOWED).ok().flatten().unwrap_or_default();
        // A browser without storage asks again.
        let _ = storage.set_item(ALLOWED, &format!("{before}{origin}\n"));
    }
}

fn is_allowed(origin: &str) -> bool {
    let storage = window().session_storage().ok().flatten();
    let allowed = storage.and_then(|storage| storage.get_item(ALLOWED).ok().flatten());
    allowed.is_some_and(|allowed| allowed.lines().any(|line| line == origin))
}

/// Whether this address is on another server than the page.
pub fn is_elsewhere(url: &str) -> bool {
    Url::new(url).is_ok_and(|url| url.origin() != own_origin())
}

fn own_origin() -> String {
    window().location().origin().unwrap_or_default()
}

fn manifest_in(folder: &str) -> Result<Url, Notice> {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    address::manifest_in(folder, &base).map_err(|why| {
        let next = "Enter the address of a bundle's folder, which contains manifest.json.";
        Notice::new("This bundle cannot be opened.", why, next)
    })
}
