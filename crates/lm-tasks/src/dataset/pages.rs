//! Checks the sizes in the page headers of a parquet file before memory is allocated for them.
//!
//! Each page of a column starts with a header in Thrift's compact protocol, of which the sizes, the
//! number of values and the encoding are read here.

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use crate::error::{Context as _, Result, bail, ensure};

/// The header of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    kind: i64,
    n_bytes: i64,
    n_bytes_stored: i64,
    n_values: i64,
    encoding: i64,
}

/// `DICTIONARY_PAGE`.
const DICTIONARY: i64 = 2;

/// `PLAIN`, `PLAIN_DICTIONARY`, `RLE`, `BIT_PACKED` and `RLE_DICTIONARY`: the encodings of
/// datasets, without those that have a length inside a page.
const ENCODINGS: [i64; 5] = [0, 2, 3, 4, 8];

const SLACK: i64 = 4096;

/// Maximum bytes of a page. Writers start a new page after about a megabyte.
const MAX_PAGE: i64 = 1 << 30;

/// # Errors
/// When a page is outside of the file, or claims more memory than its bytes can fill, or the
/// compression of a column is not supported.
pub(super) fn check(metadata: &ParquetMetaData, bytes: &[u8]) -> Result<()> {
    ensure!(metadata.file_metadata().schema_descr().num_columns() > 0, "it has no columns");
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let max_ratio = max_ratio(column)?;
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let pages = || {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(column.compressed_size()).ok()?)?;
            bytes.get(start..end)
        };
        let mut rest = pages().context("a column is outside of the file")?;
        while !rest.is_empty() {
            rest = check_page(rest, max_ratio)?;
        }
    }
    Ok(())
}

/// Maximum number of bytes that a stored byte of a column can expand to.
fn max_ratio(column: &ColumnChunkMetaData) -> Result<i64> {
    match column.compression() {
        Compression::UNCOMPRESSED => Ok(1),
        // The shortest copy takes 3 bytes for 64.
        Compression::SNAPPY => Ok(64),
        // Each further byte of a length adds 255.
        Compression::LZ4 | Compression::LZ4_RAW => Ok(255),
        // 258 bytes for two codes of a bit.
        Compression::GZIP(_) => Ok(1032),
        // A block of 128 KiB takes 4 bytes.
        Compression::ZSTD(_) => Ok(1 << 15),
        other => bail!(
            "the column {} is compressed with {other}; expected zstd, Snappy, gzip, LZ4 or no \
             compression",
            column.column_path().string()
        ),
    }
}

/// The bytes after the first page.
fn check_page(bytes: &[u8], max_ratio: i64) -> Result<&[u8]> {
    let mut reader = Reader { bytes };
    let page = reader.page().context("the header of a page cannot be read")?;
    let Page { kind, n_bytes, n_bytes_stored, n_values, encoding } = page;
    ensure!(n_bytes_stored >= 0 && n_bytes >= 0 && n_values >= 0, "a page has a negative size");
    let limit = n_bytes_stored.saturating_mul(max_ratio).saturating_add(SLACK).min(MAX_PAGE);
    ensure!(n_bytes <= limit, "a page of {n_bytes_stored} bytes claims to hold {n_bytes}");
    ensure!(
        kind != DICTIONARY || n_values <= n_bytes,
        "a dictionary of {n_bytes} bytes claims to have {n_values} values"
    );
    ensure!(
        ENCODINGS.contains(&encoding),
        "a page has the encoding {encoding}, which is not supported"
    );
    let n_bytes_stored = usize::try_from(n_bytes_stored)?;
    reader.bytes.get(n_bytes_stored..).context("a page ends outside of its column")
}

struct Reader<'a> {
    bytes: &'a [u8],
}

/// Maximum nesting of structures, deeper than in any header.
const MAX_DEPTH: usize = 8;

mod kind {
    pub(super) const STOP: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;
}

impl Reader<'_> {
    fn page(&mut self) -> Option<Page> {
        let mut page = Page::default();
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (1, kind::I32) => page.kind = self.number()?,
                (2, kind::I32) => page.n_bytes = self.number()?,
                (3, kind::I32) => page.n_bytes_stored = self.number()?,
                // Of data, of a dictionary, of data in the second version.
                (5 | 7 | 8, kind::STRUCT) => {
                    let encoding_field = if id == 8 { 4 } else { 2 };
                    let mut id = 0;
                    while let Some(kind) = self.field(&mut id)? {
                        match kind {
                            kind::I32 if id == 1 => page.n_values = self.number()?,
                            kind::I32 if id == encoding_field => {
                                page.encoding = self.number()?;
                            }
                            _ => self.skip(kind, 0)?,
                        }
                    }
                }
                _ => self.skip(kind, 0)?,
            }
        }
        Some(page)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A zigzag-encoded number.
    fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The type of the next field, and its number; an inner `None` at the end of a structure.
    #[allow(clippy::option_option, reason = "no header, and no further field, are two things")]
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        let kind = byte & 0x0f;
        if kind == kind::STOP {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.number()?,
            step => id.checked_add(i64::from(step))?,
        };
        Some(Some(kind))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            kind::TRUE | kind::FALSE => {}
            kind::BYTE => {
                self.byte()?;
            }
            kind::I16 | kind::I32 | kind::I64 => {
                self.varint()?;
            }
            kind::DOUBLE => self.bytes = self.bytes.get(8..)?,
            kind::BINARY => {
                let n_bytes = usize::try_from(self.varint()?).ok()?;
                self.bytes = self.bytes.get(n_bytes..)?;
            }
            kind::LIST | kind::SET => {
                let byte = self.byte()?;
                let n_items = match byte >> 4 {
                    15 => self.varint()?,
                    n_items => u64::from(n_items),
                };
                for _ in 0..n_items {
                    match byte & 0x0f {
                        // In a list, a boolean is a byte.
                        kind::TRUE | kind::FALSE => {
                            self.byte()?;
                        }
                        kind => self.skip(kind, depth + 1)?,
                    }
                }
            }
            kind::STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of a data page: kind 0, sizes, and inside values and encoding.
    fn header(n_bytes: u8, n_bytes_stored: u8, encoding: u8) -> Vec<u8> {
        vec![
            0x15,
            0,
            0x15,
            n_bytes << 1,
            0x15,
            n_bytes_stored << 1,
            0x2c,
            0x15,
            4,
            0x15,
            encoding << 1,
            0x15,
            0,
            0x15,
            0,
            0,
            0,
        ]
    }

    #[test]
    fn a_header_has_sizes_values_and_encoding() {
        let bytes = header(9, 7, 8);
        let page = Reader { bytes: &bytes }.page().unwrap();
        let expected = Page { kind: 0, n_bytes: 9, n_bytes_stored: 7, n_values: 2, encoding: 8 };
        assert_eq!(page, expected);
    }

    #[test]
    fn a_page_is_no_larger_than_its_bytes_can_fill() {
        let mut bytes = header(9, 2, 0);
        bytes.extend([1, 2, 3]);
        assert_eq!(check_page(&bytes, 64).unwrap(), [3]);
        assert!(check_page(&header(9, 2, 0), 64).is_err());
        assert!(check_page(&header(9, 0, 6), 64).unwrap_err().to_string().contains("encoding 6"));
        // 2^31 - 1 bytes from none.
        let large = [0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0, 0];
        assert!(check_page(&large, 64).unwrap_err().to_string().contains("claims to hold"));
    }
}
