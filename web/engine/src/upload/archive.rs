//! The directory of a zip: names and offsets of files, nothing inflated; and whether extracted bytes
//! match the length and checksum in it.

use std::io;
use std::sync::LazyLock;

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use rawzip::{
    CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchiveEntryWayfinder, ZipLocator,
};
use thiserror::Error;

/// A file in a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The range of its stored bytes in the zip.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Of the file itself.
    pub(super) n_bytes: u64,
    pub(super) crc32: u32,
    pub(super) is_deflated: bool,
}

/// The length and checksum of a file as it is extracted.
pub(super) struct Tally {
    n_bytes: u64,
    sum: Digest<'static, u32, Table<16>>,
}

/// Created for the first zip: its tables would be a hundredth of the program.
static CRC_32: LazyLock<Crc<u32, Table<16>>> =
    LazyLock::new(|| Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC));

/// Why a zip cannot be read.
#[derive(Debug, Error)]
pub(super) enum ZipError {
    #[error("it is not a zip, or only a part of one ({0})")]
    Format(#[from] rawzip::Error),
    #[error(
        "it contains more than {MOST_FILES} files; a family of models has fewer than a hundred"
    )]
    TooMany,
    #[error("{name:?} in it is encrypted")]
    Encrypted { name: String },
    #[error("{name:?} in it uses an unsupported compression method; expected stored or deflated")]
    Method { name: String },
    #[error("{name:?} in it extends beyond the end of the zip")]
    Cut { name: String },
    #[error("{name:?} in it is stored as {found} bytes; the zip's directory lists {expected}")]
    Length { name: String, found: u64, expected: u64 },
}

pub(super) const MOST_FILES: usize = 10_000;

/// An entry of the directory: name, location, CRC-32, and whether it is deflated.
type Listed = (String, ZipArchiveEntryWayfinder, u32, bool);

/// The files of a zip of `n_bytes` whose names `is_wanted` accepts.
pub(super) fn entries(
    reader: impl ReaderAt,
    n_bytes: u64,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, ZipError> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipLocator::new()
        .locate_in_reader(reader, &mut buffer, n_bytes)
        .map_err(|(_, error)| error)?;
    let mut listed: Vec<Listed> = Vec::new();
    let mut iterator = archive.entries(&mut buffer);
    let mut n_entries = 0;
    while let Some(header) = iterator.next_entry()? {
        n_entries += 1;
        if n_entries > MOST_FILES {
            return Err(ZipError::TooMany);
        }
        let name = String::from_utf8_lossy(header.file_path().as_bytes()).into_owned();
        if header.is_dir() || !is_wanted(&name) {
            continue;
        }
        if header.flags().is_encrypted() {
            return Err(ZipError::Encrypted { name });
        }
        let method = header.compression_method();
        let is_deflated = method == CompressionMethod::DEFLATE;
        if !is_deflated && method != CompressionMethod::STORE {
            return Err(ZipError::Method { name });
        }
        listed.push((name, header.wayfinder(), header.crc32(), is_deflated));
    }
    let entry = |(name, wayfinder, crc32, is_deflated): Listed| {
        let (start, end) = archive.get_entry(wayfinder)?.compressed_data_range();
        if end > n_bytes {
            return Err(ZipError::Cut { name });
        }
        let (found, expected) = (end - start, wayfinder.uncompressed_size_hint());
        if !is_deflated && found != expected {
            return Err(ZipError::Length { name, found, expected });
        }
        Ok(Entry { name, start, end, n_bytes: expected, crc32, is_deflated })
    };
    listed.into_iter().map(entry).collect()
}

impl Default for Tally {
    fn default() -> Self {
        Self { n_bytes: 0, sum: CRC_32.digest() }
    }
}

impl Tally {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        self.sum.update(bytes);
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Compares the extracted file with its zip.
    ///
    /// # Errors
    /// Both values.
    pub(super) fn check(&self, n_bytes: u64, crc32: u32) -> Result<(), String> {
        if self.n_bytes != n_bytes {
            return Err(format!("it has {} bytes, its zip lists {n_bytes}", self.n_bytes));
        }
        match self.sum.clone().finalize() {
            sum if sum == crc32 => Ok(()),
            sum => Err(format!(
                "its bytes have the CRC-32 {sum:08x}, its zip lists {crc32:08x}: one of them is \
                 damaged; create the zip again"
            )),
        }
    }
}

/// A file in the browser, read synchronously.
pub(super) struct BlobReader {
    blob: web_sys::Blob,
    reader: web_sys::FileReaderSync,
}

impl BlobReader {
    pub(super) fn new(blob: web_sys::Blob) -> io::Result<Self> {
        let reader = web_sys::FileReaderSync::new().map_err(|error| io_error(&error))?;
        Ok(Self { blob, reader })
    }
}

impl ReaderAt for BlobReader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        let part = super::source::part(&self.blob, offset, end);
        let bytes = self.reader.read_as_array_buffer(&part).map_err(|error| io_error(&error))?;
        let bytes = js_sys::Uint8Array::new(&bytes);
        let n_bytes = bytes.length() as usize;
        bytes.copy_to(&mut buffer[..n_bytes]);
        Ok(n_bytes)
    }
}

fn io_error(error: &wasm_bindgen::JsValue) -> io::Error {
    io::Error::other(crate::fetch::reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, contents) in files {
            let (mut entry, config) = archive.new_file(name).start().unwrap();
            let mut writer = config.wrap(&mut entry);
            io::Write::write_all(&mut writer, contents).unwrap();
            let (_, descriptor) = writer.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    #[test]
    fn files_are_found_at_their_offsets() {
        let bytes = zip(&[("a/one", b"first"), ("a/.hidden", b"no"), ("two", b"second")]);
        let is_wanted = |name: &str| !name.contains('.');
        let entries = entries(&bytes, bytes.len() as u64, is_wanted).unwrap();
        let contents = |entry: &Entry| &bytes[entry.start as usize..entry.end as usize];
        let found: Vec<_> = entries.iter().map(|entry| (&*entry.name, contents(entry))).collect();
        assert_eq!(found, [("a/one", &b"first"[..]), ("two", &b"second"[..])]);
        assert_eq!([entries[0].n_bytes, entries[1].n_bytes], [5, 6]);
    }

    #[test]
    fn an_extracted_file_is_checked_against_its_zip() {
        let bytes = zip(&[("a", b"first")]);
        let entry = &entries(&bytes, bytes.len() as u64, |_| true).unwrap()[0];
        let check = |pieces: &[&[u8]]| {
            let mut tally = Tally::default();
            pieces.iter().for_each(|piece| tally.add(piece));
            tally.check(entry.n_bytes, entry.crc32)
        };
        assert_eq!(check(&[b"fir", b"", b"st"]), Ok(()));
        assert_eq!(check(&[b"firs"]).unwrap_err(), "it has 4 bytes, its zip lists 5");
        // As Python's `zlib.crc32(b"first")` gives it.
        let reason = check(&[b"fisrt"]).unwrap_err();
        assert!(
            reason
                .ends_with("its zip lists 9271ee57: one of them is damaged; create the zip again")
        );
    }

    #[test]
    fn a_stored_file_has_the_listed_length() {
        let mut bytes = zip(&[("a", b"first")]);
        // In the entry of the directory, after its signature: the length of the file itself.
        let entry = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        bytes[entry + 24] = 6;
        let error = entries(&bytes, bytes.len() as u64, |_| true).unwrap_err();
        assert!(matches!(error, ZipError::Length { found: 5, expected: 6, .. }), "{error}");
    }

    #[test]
    fn a_part_of_a_zip_is_refused() {
        let bytes = zip(&[("a", &[7; 1000])]);
        for end in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            assert!(entries(&bytes[..end], end as u64, |_| true).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let bytes = zip(&[("a/config.json", b"{}"), ("b", &[1; 50])]);
        for index in 0..bytes.len() {
            for value in [0, 0xff, bytes[index] ^ 0x41] {
                let mut bytes = bytes.clone();
                bytes[index] = value;
                let n_bytes = bytes.len() as u64;
                for entry in entries(&bytes, n_bytes, |_| true).unwrap_or_default() {
                    assert!(entry.start <= entry.end && entry.end <= n_bytes);
                }
            }
        }
    }

    #[test]
    fn thousands_of_files_are_refused() {
        let names: Vec<String> = (0..=MOST_FILES).map(|number| number.to_string()).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
        let bytes = zip(&files);
        assert!(matches!(entries(&bytes, bytes.len() as u64, |_| true), Err(ZipError::TooMany)));
    }
}
