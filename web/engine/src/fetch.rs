//! Files from a server or from the user, chunk by chunk, on the page and in the worker alike.

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, Headers, ReadableStream, ReadableStreamDefaultReader, ReadableWritablePair, RequestCache,
    RequestInit, RequestRedirect, Response, ResponseType,
};

/// Why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    #[error("no response from the server for {url} ({reason})")]
    NoAnswer { url: String, reason: String },
    #[error("the server responded with status {status} for {url}")]
    Status { url: String, status: u16 },
    #[error("the server redirects from {url}, and a link may not lead to another address")]
    Redirected { url: String },
    #[error("the server sent a web page instead of {url}")]
    WebPage { url: String },
    #[error("{url} is longer than the {expected} bytes that it should have")]
    TooLong { url: String, expected: u64 },
    #[error("{url} is not text")]
    NotText { url: String },
    #[error("{name} cannot be read ({reason})")]
    NotRead { name: String, reason: String },
    #[error("{path} is no longer stored in this browser")]
    NotStored { path: String },
}

/// Whether the browser may answer from its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Cached,
    /// Bypassing the cache, for a file that was damaged.
    Reload,
}

/// Whether a server may redirect to another address, which may be on another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    Followed,
    Refused,
}

/// A manifest can claim any size; this much is reserved before bytes are received.
pub(crate) const MAX_RESERVED: u64 = 1 << 28;

/// The body of a response, or a file of the user's, as a stream.
pub(crate) struct Body {
    url: String,
    reader: ReadableStreamDefaultReader,
    /// The offset in the file at which it starts.
    pub(crate) start: u64,
    is_local: bool,
}

/// Where the response to a request for a file from byte `asked` on starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    At(u64),
    /// The stored bytes do not match the server's file: the complete file has to be requested.
    Restart,
    Refused,
}

impl Body {
    /// Requests a file from its byte `from` on; the server may start at 0 all the same.
    pub(crate) async fn open(
        url: &str,
        from: u64,
        freshness: Freshness,
        redirects: Redirects,
    ) -> Result<Self, FetchError> {
        let mut asked = from;
        loop {
            let response = request(url, asked, freshness, redirects).await?;
            let status = response.status();
            let header = |name: &str| response.headers().get(name).ok().flatten();
            match start_of(status, header("content-range").as_deref(), asked) {
                Start::Restart if asked > 0 => asked = 0,
                Start::Restart | Start::Refused => {
                    return Err(FetchError::Status { url: url.to_owned(), status });
                }
                Start::At(start) => {
                    let reader = stream(url, &response)?.get_reader().unchecked_into();
                    return Ok(Self { url: url.to_owned(), reader, start, is_local: false });
                }
            }
        }
    }

    /// Requests a file that was compressed with gzip, as it was before.
    pub(crate) async fn open_gzip(
        url: &str,
        freshness: Freshness,
        redirects: Redirects,
    ) -> Result<Self, FetchError> {
        let response = request(url, 0, freshness, redirects).await?;
        if !response.ok() {
            return Err(FetchError::Status { url: url.to_owned(), status: response.status() });
        }
        let compressed = stream(url, &response)?;
        // Some servers declare it as compressed on the way; then the browser has decompressed it.
        let encoding = response.headers().get("content-encoding").ok().flatten();
        let stream = match encoding {
            Some(_) => compressed,
            None => compressed.pipe_through(&decompressor("gzip").map_err(no_answer(url))?),
        };
        let reader = stream.get_reader().unchecked_into();
        Ok(Self { url: url.to_owned(), reader, start: 0, is_local: false })
    }

    /// A file of the user's; `name` is for messages.
    pub(crate) fn of_blob(name: &str, blob: &Blob) -> Self {
        Self::of_stream(name, &blob.stream())
    }

    pub(crate) fn of_stream(name: &str, stream: &ReadableStream) -> Self {
        let reader = stream.get_reader().unchecked_into();
        Self { url: name.to_owned(), reader, start: 0, is_local: true }
    }

    /// Cancels the rest.
    pub(crate) fn end(&self) {
        // The stream ends with its reader; the result is not needed.
        let _ = self.reader.cancel();
    }

    fn broken(&self, error: &JsValue) -> FetchError {
        let (name, reason) = (self.url.clone(), reason(error));
        match self.is_local {
            true => FetchError::NotRead { name, reason },
            false => FetchError::NoAnswer { url: name, reason },
        }
    }

    pub(crate) async fn next(&self) -> Result<Option<Uint8Array>, FetchError> {
        let broken = |error| self.broken(&error);
        let result = JsFuture::from(self.reader.read()).await.map_err(broken)?;
        let is_done = Reflect::get(&result, &"done".into()).map_err(broken)?.is_truthy();
        if is_done {
            return Ok(None);
        }
        Ok(Some(Reflect::get(&result, &"value".into()).map_err(broken)?.unchecked_into()))
    }

    /// Appends the next chunk to `bytes`; false at the end.
    pub(crate) async fn append_to(
        &self,
        bytes: &mut Vec<u8>,
        expected: u64,
    ) -> Result<bool, FetchError> {
        let Some(chunk) = self.next().await? else { return Ok(false) };
        let start = bytes.len();
        if (start + chunk.length() as usize) as u64 > expected {
            self.end();
            return Err(FetchError::TooLong { url: self.url.clone(), expected });
        }
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
        Ok(true)
    }
}

/// A complete small file, of `expected` bytes at most.
pub async fn fetch_bytes(url: &str, expected: u64) -> Result<Vec<u8>, FetchError> {
    fetch_bytes_from(url, expected, Freshness::Cached).await
}

/// A complete small file of the user's, of `expected` bytes at most; `name` is for messages.
pub async fn read_blob(name: &str, blob: &Blob, expected: u64) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let body = Body::of_blob(name, blob);
    while body.append_to(&mut bytes, expected).await? {}
    Ok(bytes)
}

/// A complete small file, of `expected` bytes at most, bypassing the browser's cache if necessary.
pub(crate) async fn fetch_bytes_from(
    url: &str,
    expected: u64,
    freshness: Freshness,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::with_capacity(expected.min(MAX_RESERVED) as usize);
    let body = Body::open(url, 0, freshness, Redirects::Followed).await?;
    while body.append_to(&mut bytes, expected).await? {}
    Ok(bytes)
}

pub async fn fetch_text(url: &str, redirects: Redirects) -> Result<String, FetchError> {
    let mut bytes = Vec::new();
    let body = Body::open(url, 0, Freshness::Cached, redirects).await?;
    while let Some(chunk) = body.next().await? {
        bytes.extend(chunk.to_vec());
    }
    String::from_utf8(bytes).map_err(|_| FetchError::NotText { url: url.to_owned() })
}

fn start_of(status: u16, content_range: Option<&str>, asked: u64) -> Start {
    let resumes = || {
        let range = content_range?.trim().strip_prefix("bytes")?.trim_start();
        let (first, _) = range.split_once('-')?;
        Some(asked > 0 && first.trim().parse::<u64>().ok()? == asked)
    };
    match status {
        206 if resumes() == Some(true) => Start::At(asked),
        206 | 416 => Start::Restart,
        200..=299 => Start::At(0),
        _ => Start::Refused,
    }
}

async fn request(
    url: &str,
    from: u64,
    freshness: Freshness,
    redirects: Redirects,
) -> Result<Response, FetchError> {
    let options = RequestInit::new();
    if redirects == Redirects::Refused {
        // `Error` could not be distinguished from a server that does not respond.
        options.set_redirect(RequestRedirect::Manual);
    }
    if freshness == Freshness::Reload {
        options.set_cache(RequestCache::Reload);
    }
    let ask = || {
        if from > 0 {
            let headers = Headers::new()?;
            headers.set("range", &format!("bytes={from}-"))?;
            options.set_headers(&headers);
        }
        start(url, &options)
    };
    let answer = ask().map_err(no_answer(url))?;
    let response: Response = JsFuture::from(answer).await.map_err(no_answer(url))?.unchecked_into();
    match response.type_() {
        ResponseType::Opaqueredirect => Err(FetchError::Redirected { url: url.to_owned() }),
        _ => Ok(response),
    }
}

/// The body of a response that is no page.
fn stream(url: &str, response: &Response) -> Result<ReadableStream, FetchError> {
    let kind = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    // Many servers respond with the start page where a file is missing.
    if kind.starts_with("text/html") {
        return Err(FetchError::WebPage { url: url.to_owned() });
    }
    let no_body = || no_answer(url)(JsValue::from_str("an empty response"));
    response.body().ok_or_else(no_body)
}

/// `new DecompressionStream(format)`
///
/// # Errors
/// What the browser throws; older ones have no such class.
pub(crate) fn decompressor(format: &str) -> Result<ReadableWritablePair, JsValue> {
    let class: Function =
        Reflect::get(&js_sys::global(), &"DecompressionStream".into())?.dyn_into()?;
    let stream = Reflect::construct(&class, &Array::of1(&format.into()))?;
    Ok(stream.unchecked_into())
}

fn no_answer(url: &str) -> impl Fn(JsValue) -> FetchError {
    move |error| FetchError::NoAnswer { url: url.to_owned(), reason: reason(&error) }
}

/// `fetch` of whichever global scope this is, the page's or the worker's.
fn start(url: &str, options: &RequestInit) -> Result<Promise, JsValue> {
    let scope = js_sys::global();
    let fetch: Function = Reflect::get(&scope, &"fetch".into())?.dyn_into()?;
    fetch.call2(&scope, &url.into(), options)?.dyn_into()
}

/// The message of a thrown value.
pub fn reason(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| "no reason given".to_owned()),
        |error| error.message().into(),
    )
}

/// The address of a file next to another, by its relative path.
pub fn beside(url: &str, path: &str) -> String {
    let end = url.split(['?', '#']).next().unwrap_or_default();
    let folder = end.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_next_to_the_manifest() {
        assert_eq!(
            beside("http://host/page/bundle/manifest.json?v=1", "a/b"),
            "http://host/page/bundle/a/b"
        );
    }

    #[test]
    fn a_response_resumes_at_the_requested_byte() {
        assert_eq!(start_of(206, Some("bytes 100-199/200"), 100), Start::At(100));
        assert_eq!(start_of(206, Some("bytes 100-199/*"), 100), Start::At(100));
        assert_eq!(start_of(206, Some(" bytes  7-8/9"), 7), Start::At(7));
    }

    #[test]
    fn a_server_without_ranges_restarts() {
        assert_eq!(start_of(200, None, 100), Start::At(0));
        assert_eq!(start_of(200, None, 0), Start::At(0));
    }

    #[test]
    fn a_range_that_does_not_match_is_not_resumed() {
        assert_eq!(start_of(416, Some("bytes */50"), 100), Start::Restart);
        assert_eq!(start_of(206, Some("bytes 0-199/200"), 100), Start::Restart);
        assert_eq!(start_of(206, Some("bytes 100"), 100), Start::Restart);
        assert_eq!(start_of(206, Some("items 100-199/200"), 100), Start::Restart);
        assert_eq!(start_of(206, None, 100), Start::Restart);
        // Nothing was skipped, so there is nothing to resume.
        assert_eq!(start_of(206, Some("bytes 0-9/10"), 0), Start::Restart);
    }

    #[test]
    fn an_error_is_an_error() {
        assert_eq!(start_of(404, None, 100), Start::Refused);
        assert_eq!(start_of(503, None, 0), Start::Refused);
        assert_eq!(start_of(304, None, 0), Start::Refused);
    }
}
