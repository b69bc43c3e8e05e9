//! Addresses of bundles.

use boomerang_core::bundle::MANIFEST;
use web_sys::Url;

/// The address of the manifest of a bundle: of a folder, or of the manifest itself; relative to `base`.
///
/// # Errors
/// The reason, when it is not an address of a web server.
pub fn manifest_in(folder: &str, base: &str) -> Result<Url, String> {
    let folder = folder.strip_suffix(MANIFEST).unwrap_or(folder);
    let folder = if folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") };
    let parse = |address: &str, base: &str| Url::new_with_base(address, base).ok();
    let url = parse(&folder, base)
        .and_then(|folder| parse(MANIFEST, &folder.href()))
        .ok_or_else(|| format!("{folder:?} is not an address"))?;
    match url.protocol().as_str() {
        "http:" | "https:" => Ok(url),
        other => Err(format!("the scheme {other:?} is not supported; expected http or https")),
    }
}
