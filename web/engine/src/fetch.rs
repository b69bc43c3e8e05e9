//! Files of our own server, byte by byte, on the page and in the worker alike.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, RequestCache, RequestInit, Response};

/// Why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    #[error("no answer from the server for {url} ({reason})")]
    NoAnswer { url: String, reason: String },
    #[error("the server answered {status} for {url}")]
    Status { url: String, status: u16 },
    #[error("the server sent a web page instead of {url}")]
    WebPage { url: String },
    #[error("{url} is longer than the {expected} bytes that the manifest says")]
    TooLong { url: String, expected: u64 },
    #[error("{url} is not text")]
    NotText { url: String },
}

/// Whether the browser may answer from its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Cached,
    /// Past the cache, for a file that came out damaged.
    Reload,
}

const MAX_RESERVED: u64 = 1 << 28;

/// A whole file; `progress` is told its bytes so far with every chunk.
pub async fn fetch_bytes(
    url: &str,
    expected: u64,
    freshness: Freshness,
    mut progress: impl FnMut(u64),
) -> Result<Vec<u8>, FetchError> {
    // A manifest can claim any size; what is really there decides.
    let mut bytes = Vec::with_capacity(expected.min(MAX_RESERVED) as usize);
    let reader = open(url, freshness).await?;
    while let Some(chunk) = next_chunk(url, &reader).await? {
        if (bytes.len() + chunk.length() as usize) as u64 > expected {
            // The stream ends with its reader; there is nothing left to learn from it.
            let _ = reader.cancel();
            return Err(FetchError::TooLong { url: url.to_owned(), expected });
        }
        let start = bytes.len();
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
        progress(bytes.len() as u64);
    }
    Ok(bytes)
}

pub async fn fetch_text(url: &str) -> Result<String, FetchError> {
    let mut bytes = Vec::new();
    let reader = open(url, Freshness::Cached).await?;
    while let Some(chunk) = next_chunk(url, &reader).await? {
        bytes.extend(chunk.to_vec());
    }
    String::from_utf8(bytes).map_err(|_| FetchError::NotText { url: url.to_owned() })
}

async fn open(url: &str, freshness: Freshness) -> Result<ReadableStreamDefaultReader, FetchError> {
    let no_answer =
        |error: JsValue| FetchError::NoAnswer { url: url.to_owned(), reason: reason(&error) };
    let options = RequestInit::new();
    if freshness == Freshness::Reload {
        options.set_cache(RequestCache::Reload);
    }
    let answer = start(url, &options).map_err(no_answer)?;
    let response: Response = JsFuture::from(answer).await.map_err(no_answer)?.unchecked_into();
    if !response.ok() {
        return Err(FetchError::Status { url: url.to_owned(), status: response.status() });
    }
    // Many servers answer with the start page where a file is missing.
    let content_type = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    if content_type.starts_with("text/html") {
        return Err(FetchError::WebPage { url: url.to_owned() });
    }
    let no_body = || no_answer(JsValue::from_str("an empty answer"));
    let body = response.body().ok_or_else(no_body)?;
    Ok(body.get_reader().unchecked_into())
}

/// `fetch` of whichever global scope this is, the page's or the worker's.
fn start(url: &str, options: &RequestInit) -> Result<Promise, JsValue> {
    let scope = js_sys::global();
    let fetch: Function = Reflect::get(&scope, &"fetch".into())?.dyn_into()?;
    fetch.call2(&scope, &url.into(), options)?.dyn_into()
}

async fn next_chunk(
    url: &str,
    reader: &ReadableStreamDefaultReader,
) -> Result<Option<Uint8Array>, FetchError> {
    let broken =
        |error: JsValue| FetchError::NoAnswer { url: url.to_owned(), reason: reason(&error) };
    let result = JsFuture::from(reader.read()).await.map_err(broken)?;
    let is_done = Reflect::get(&result, &"done".into()).map_err(broken)?.is_truthy();
    if is_done {
        return Ok(None);
    }
    Ok(Some(Reflect::get(&result, &"value".into()).map_err(broken)?.unchecked_into()))
}

/// What a thrown value says.
pub fn reason(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| "no reason given".to_owned()),
        |error| error.message().into(),
    )
}

/// A file that lies beside another, by its relative path.
pub fn beside(url: &str, path: &str) -> String {
    let end = url.split(['?', '#']).next().unwrap_or_default();
    let folder = end.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{path}")
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn files_lie_beside_the_manifest() {
        assert_eq!(
            beside("http://host/page/bundle/manifest.json?v=1", "a/b"),
            "http://host/page/bundle/a/b"
        );
    }
}
