//! An uploaded file: standalone, or inside a zip, stored or deflated. What is extracted from a zip is
//! compared with the length and checksum in the zip; browsers that inflate do not do that.

use js_sys::{Array, Uint8Array};
use web_sys::Blob;

use super::archive::{Entry, Tally};
use crate::fetch::{Body, FetchError, MAX_RESERVED, decompressor};

/// A file and the location of its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// With its folders.
    pub(super) name: String,
    /// Of the file itself; its stored form may be shorter.
    pub(super) n_bytes: u64,
    stored: Blob,
    /// The zip's entry for it.
    packed: Option<Packed>,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    crc32: u32,
    is_deflated: bool,
}

/// Size of the pieces of an inflated file, so that the browser can move them out of memory.
const PIECE: u64 = 1 << 24;

impl Source {
    pub(super) fn of(name: String, blob: Blob) -> Self {
        Self { name, n_bytes: blob.size() as u64, stored: blob, packed: None }
    }

    /// A file in a zip.
    pub(super) fn packed(name: String, zip: &Blob, entry: &Entry) -> Self {
        let &Entry { start, end, n_bytes, crc32, is_deflated, .. } = entry;
        let packed = Some(Packed { crc32, is_deflated });
        Self { name, n_bytes, stored: part(zip, start, end), packed }
    }

    /// Bytes that [`Source::whole`] reads.
    pub(super) fn n_bytes_packed(&self) -> u64 {
        if self.packed.is_some() { self.n_bytes } else { 0 }
    }

    /// Its first `n_bytes` bytes, or all of a shorter file.
    pub(super) async fn first(&self, n_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let n_bytes = n_bytes.min(self.n_bytes);
        // The length in a zip of a deflated file cannot be trusted.
        let capacity = if self.is_deflated() { 0 } else { n_bytes.min(MAX_RESERVED) };
        let mut bytes = Vec::with_capacity(capacity as usize);
        let body = if self.is_deflated() {
            self.inflating()?
        } else {
            Body::of_blob(&self.name, &part(&self.stored, 0, n_bytes))
        };
        let is_whole = n_bytes == self.n_bytes;
        // A complete file is read to its end, where it can still turn out to be longer.
        while (is_whole || (bytes.len() as u64) < n_bytes)
            && body.append_to(&mut bytes, self.n_bytes).await?
        {}
        body.end();
        bytes.truncate(n_bytes as usize);
        if is_whole || (bytes.len() as u64) < n_bytes {
            let mut tally = Tally::default();
            tally.add(&bytes);
            self.check(&tally)?;
        }
        Ok(bytes)
    }

    /// The extracted file, checked against its zip; `on_read` gets the number of bytes of each chunk that
    /// was read.
    pub(super) async fn whole(&self, mut on_read: impl FnMut(u64)) -> Result<Blob, FetchError> {
        if self.packed.is_none() {
            return Ok(self.stored.clone());
        }
        let body = match self.is_deflated() {
            true => self.inflating()?,
            false => Body::of_blob(&self.name, &self.stored),
        };
        let (pieces, chunks) = (Array::new(), Array::new());
        let mut tally = Tally::default();
        let mut n_waiting = 0;
        while let Some(chunk) = body.next().await? {
            let length = u64::from(chunk.length());
            tally.add(&chunk.to_vec());
            if tally.n_bytes() > self.n_bytes {
                body.end();
                let (url, expected) = (self.name.clone(), self.n_bytes);
                return Err(FetchError::TooLong { url, expected });
            }
            on_read(length);
            if !self.is_deflated() {
                continue;
            }
            n_waiting += length;
            chunks.push(&chunk);
            if n_waiting >= PIECE {
                pieces.push(&joined(&chunks, &self.name)?.into());
                chunks.set_length(0);
                n_waiting = 0;
            }
        }
        self.check(&tally)?;
        if !self.is_deflated() {
            return Ok(self.stored.clone());
        }
        pieces.push(&joined(&chunks, &self.name)?.into());
        joined(&pieces, &self.name)
    }

    fn is_deflated(&self) -> bool {
        self.packed.is_some_and(|packed| packed.is_deflated)
    }

    /// Whether the bytes are complete and undamaged.
    fn check(&self, tally: &Tally) -> Result<(), FetchError> {
        let Some(Packed { crc32, .. }) = self.packed else { return Ok(()) };
        let not_read = |reason| FetchError::NotRead { name: self.name.clone(), reason };
        tally.check(self.n_bytes, crc32).map_err(not_read)
    }

    fn inflating(&self) -> Result<Body, FetchError> {
        let inflater = decompressor("deflate-raw").map_err(|_| {
            let reason = "this browser cannot inflate files; unpack the zip first".to_owned();
            FetchError::NotRead { name: self.name.clone(), reason }
        })?;
        Ok(Body::of_stream(&self.name, &self.stored.stream().pipe_through(&inflater)))
    }
}

/// A slice of a file, without reading it.
pub(super) fn part(blob: &Blob, start: u64, end: u64) -> Blob {
    // A blob that cannot be sliced no longer exists; reading it will fail.
    blob.slice_with_f64_and_f64(start as f64, end as f64).unwrap_or_else(|_| blob.clone())
}

/// Bytes and files concatenated, without reading them.
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
