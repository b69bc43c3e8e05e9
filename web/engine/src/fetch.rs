//! Files of a server or of the reader, chunk by chunk, on the page and in the worker alike.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, Headers, ReadableStream, ReadableStreamDefaultReader, RequestCache, RequestInit,
    RequestRedirect, Response, ResponseType,
};

/// Why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    #[error("no answer from the server for {url} ({reason})")]
    NoAnswer { url: String, reason: String },
    #[error("the server answered {status} for {url}")]
    Status { url: String, status: u16 },
    #[error("the server sends the page on from {url}, and a link may not lead to another address")]
    SentOn { url: String },
    #[error("the server sent a web page instead of {url}")]
    WebPage { url: String },
    #[error("{url} is longer than the {expected} bytes that it should have")]
    TooLong { url: String, expected: u64 },
    #[error("{url} is not text")]
    NotText { url: String },
    #[error("{name} cannot be read ({reason})")]
    NotRead { name: String, reason: String },
    #[error("{path} is not kept in this browser any more")]
    NotKept { path: String },
}

/// Whether the browser may answer from its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Cached,
    /// Past the cache, for a file that came out damaged.
    Reload,
}

/// Whether a server may send the page on to another address, which may be another server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    Followed,
    Refused,
}

/// A manifest can claim any size; what is really there decides.
pub(crate) const MAX_RESERVED: u64 = 1 << 28;

/// The body of an answer, or a file of the reader's, as it arrives.
pub(crate) struct Body {
    url: String,
    reader: ReadableStreamDefaultReader,
    /// Where in the file it begins.
    pub(crate) start: u64,
    is_own: bool,
}

/// What an answer to a request for a file from byte `asked` on begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    At(u64),
    /// What is here does not fit what the server has: the whole file has to be asked for.
    Anew,
    Refused,
}

impl Body {
    /// Asks for a file from its byte `from` on; the server may begin at 0 all the same.
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
                Start::Anew if asked > 0 => asked = 0,
                Start::Anew | Start::Refused => {
                    return Err(FetchError::Status { url: url.to_owned(), status });
                }
                Start::At(start) => {
                    // Many servers answer with the start page where a file is missing.
                    if header("content-type").unwrap_or_default().starts_with("text/html") {
                        return Err(FetchError::WebPage { url: url.to_owned() });
                    }
                    let no_body = || no_answer(url)(JsValue::from_str("an empty answer"));
                    let body = response.body().ok_or_else(no_body)?;
                    let reader = body.get_reader().unchecked_into();
                    return Ok(Self { url: url.to_owned(), reader, start, is_own: false });
                }
            }
        }
    }

    /// A file of the reader's; `name` is for messages.
    pub(crate) fn of_blob(name: &str, blob: &Blob) -> Self {
        Self::of_stream(name, &blob.stream())
    }

    pub(crate) fn of_stream(name: &str, stream: &ReadableStream) -> Self {
        let reader = stream.get_reader().unchecked_into();
        Self { url: name.to_owned(), reader, start: 0, is_own: true }
    }

    /// Lets go of what has not arrived.
    pub(crate) fn end(&self) {
        // The stream ends with its reader; there is nothing left to learn from it.
        let _ = self.reader.cancel();
    }

    fn broken(&self, error: &JsValue) -> FetchError {
        let (name, reason) = (self.url.clone(), reason(error));
        match self.is_own {
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

    /// Appends what comes next to a file; false at its end.
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

/// A whole small file, of `expected` bytes at most.
pub async fn fetch_bytes(url: &str, expected: u64) -> Result<Vec<u8>, FetchError> {
    fetch_bytes_from(url, expected, Freshness::Cached).await
}

/// A whole small file of the reader's, of `expected` bytes at most; `name` is for messages.
pub async fn read_blob(name: &str, blob: &Blob, expected: u64) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let body = Body::of_blob(name, blob);
    while body.append_to(&mut bytes, expected).await? {}
    Ok(bytes)
}

/// A whole small file, of `expected` bytes at most, past the browser's cache if need be.
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
    let goes_on = || {
        let range = content_range?.trim().strip_prefix("bytes")?.trim_start();
        let (first, _) = range.split_once('-')?;
        Some(asked > 0 && first.trim().parse::<u64>().ok()? == asked)
    };
    match status {
        206 if goes_on() == Some(true) => Start::At(asked),
        206 | 416 => Start::Anew,
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
        // `Error` would not be told apart from a server that does not answer.
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
        ResponseType::Opaqueredirect => Err(FetchError::SentOn { url: url.to_owned() }),
        _ => Ok(response),
    }
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
    use super::*;

    #[test]
    fn files_lie_beside_the_manifest() {
        assert_eq!(
            beside("http://host/page/bundle/manifest.json?v=1", "a/b"),
            "http://host/page/bundle/a/b"
        );
    }

    #[test]
    fn an_answer_goes_on_where_it_was_asked_to() {
        assert_eq!(start_of(206, Some("bytes 100-199/200"), 100), Start::At(100));
        assert_eq!(start_of(206, Some("bytes 100-199/*"), 100), Start::At(100));
        assert_eq!(start_of(206, Some(" bytes  7-8/9"), 7), Start::At(7));
    }

    #[test]
    fn a_server_without_ranges_starts_over() {
        assert_eq!(start_of(200, None, 100), Start::At(0));
        assert_eq!(start_of(200, None, 0), Start::At(0));
    }

    #[test]
    fn a_part_that_does_not_fit_is_not_gone_on_with() {
        assert_eq!(start_of(416, Some("bytes */50"), 100), Start::Anew);
        assert_eq!(start_of(206, Some("bytes 0-199/200"), 100), Start::Anew);
        assert_eq!(start_of(206, Some("bytes 100"), 100), Start::Anew);
        assert_eq!(start_of(206, Some("items 100-199/200"), 100), Start::Anew);
        assert_eq!(start_of(206, None, 100), Start::Anew);
        // Nothing was left out, so there is nothing to go on with.
        assert_eq!(start_of(206, Some("bytes 0-9/10"), 0), Start::Anew);
    }

    #[test]
    fn an_error_is_an_error() {
        assert_eq!(start_of(404, None, 100), Start::Refused);
        assert_eq!(start_of(503, None, 0), Start::Refused);
        assert_eq!(start_of(304, None, 0), Start::Refused);
    }
}
