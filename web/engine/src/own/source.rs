//! A file that the reader brings: by itself, or inside a zip, stored or deflated.

use js_sys::{Array, Function, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ReadableWritablePair};

use crate::fetch::{Body, FetchError, MAX_RESERVED};

/// A file and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// With its folders.
    pub(super) name: String,
    /// Of the file itself; what is stored may be shorter.
    pub(super) n_bytes: u64,
    stored: Blob,
    is_deflated: bool,
}

/// Pieces of an inflated file that are kept apart, so that the browser may move them out of memory.
const PIECE: u64 = 1 << 24;

impl Source {
    pub(super) fn of(name: String, blob: Blob) -> Self {
        Self { name, n_bytes: blob.size() as u64, stored: blob, is_deflated: false }
    }

    /// A file of `n_bytes` that becomes whole when it is inflated.
    pub(super) fn deflated(name: String, stored: Blob, n_bytes: u64) -> Self {
        Self { name, n_bytes, stored, is_deflated: true }
    }

    /// Its first bytes, `n_bytes` of them or as many as there are.
    pub(super) async fn first(&self, n_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let n_bytes = n_bytes.min(self.n_bytes);
        // A zip says of a deflated file what it likes.
        let room = if self.is_deflated { 0 } else { n_bytes.min(MAX_RESERVED) };
        let mut bytes = Vec::with_capacity(room as usize);
        let body = if self.is_deflated {
            self.inflating()?
        } else {
            Body::of_blob(&self.name, &part(&self.stored, 0, n_bytes))
        };
        while (bytes.len() as u64) < n_bytes && body.append_to(&mut bytes, self.n_bytes).await? {}
        body.end();
        bytes.truncate(n_bytes as usize);
        Ok(bytes)
    }

    /// The file as the bytes that it has outside of a zip.
    pub(super) async fn whole(&self) -> Result<Blob, FetchError> {
        if !self.is_deflated {
            return Ok(self.stored.clone());
        }
        let body = self.inflating()?;
        let (pieces, chunks) = (Array::new(), Array::new());
        let mut n_bytes = 0;
        let mut n_waiting = 0;
        while let Some(chunk) = body.next().await? {
            let length = u64::from(chunk.length());
            n_bytes += length;
            n_waiting += length;
            if n_bytes > self.n_bytes {
                body.end();
                let (url, expected) = (self.name.clone(), self.n_bytes);
                return Err(FetchError::TooLong { url, expected });
            }
            chunks.push(&chunk);
            if n_waiting >= PIECE {
                pieces.push(&joined(&chunks, &self.name)?.into());
                chunks.set_length(0);
                n_waiting = 0;
            }
        }
        if n_bytes < self.n_bytes {
            let reason = format!("it has {n_bytes} bytes, the zip says {}", self.n_bytes);
            return Err(FetchError::NotRead { name: self.name.clone(), reason });
        }
        pieces.push(&joined(&chunks, &self.name)?.into());
        joined(&pieces, &self.name)
    }

    fn inflating(&self) -> Result<Body, FetchError> {
        let inflater = inflater().map_err(|_| {
            let reason = "this browser inflates nothing; unpack the zip first".to_owned();
            FetchError::NotRead { name: self.name.clone(), reason }
        })?;
        Ok(Body::of_stream(&self.name, &self.stored.stream().pipe_through(&inflater)))
    }
}

/// `new DecompressionStream("deflate-raw")`
fn inflater() -> Result<ReadableWritablePair, JsValue> {
    let class: Function =
        Reflect::get(&js_sys::global(), &"DecompressionStream".into())?.dyn_into()?;
    let stream = Reflect::construct(&class, &Array::of1(&"deflate-raw".into()))?;
    Ok(stream.unchecked_into())
}

/// Bytes of a file, which are not read for it.
pub(super) fn part(blob: &Blob, start: u64, end: u64) -> Blob {
    // A blob that cannot be sliced is one that is gone, which whoever reads it is told.
    blob.slice_with_f64_and_f64(start as f64, end as f64).unwrap_or_else(|_| blob.clone())
}

/// Bytes and files one after the other, which are not read for it.
pub(super) fn joined(parts: &Array, name: &str) -> Result<Blob, FetchError> {
    Blob::new_with_blob_sequence(parts).map_err(|error| FetchError::NotRead {
        name: name.to_owned(),
        reason: crate::fetch::reason(&error),
    })
}

/// Bytes as a part of a file.
pub(super) fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}
