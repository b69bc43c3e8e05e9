//! Decodes bytes as UTF-8, with or without a byte order mark, and computes positions for errors.

use super::Problem;

/// Line and column of a byte, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineColumn {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl LineColumn {
    /// # Panics
    /// If `at` is inside a character or beyond the text.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

/// The text of a file, without its byte order mark.
///
/// # Errors
/// The problem, and the position of a byte that is not UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, (Option<LineColumn>, Problem)> {
    if let Some((_, encoding)) = FOREIGN.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return Err((None, Problem::Encoding(encoding)));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        let valid = std::str::from_utf8(valid).unwrap_or_default();
        let byte = rest.first().copied().unwrap_or_default();
        (Some(LineColumn::of(valid, valid.len())), Problem::NotUtf8(byte))
    })?;
    match text.find('\0') {
        Some(at) => Err((Some(LineColumn::of(text, at)), Problem::NotText)),
        None => Ok(text),
    }
}

/// Magic bytes of files that are not UTF-8, the longer ones first.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"\xff\xfe\0\0", "is in UTF-32"),
    (b"\0\0\xfe\xff", "is in UTF-32"),
    (b"\xff\xfe", "is in UTF-16"),
    (b"\xfe\xff", "is in UTF-16"),
    (b"\x1f\x8b", "is compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd"),
    (b"PK\x03\x04", "is a zip archive"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        assert_eq!(decode("\u{feff}é".as_bytes()), Ok("é"));
        assert_eq!(decode("é\u{feff}".as_bytes()), Ok("é\u{feff}"));
    }

    #[test]
    fn other_encodings_are_named() {
        let utf_16: Vec<u8> = "\u{feff}ab".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&utf_16), Err((None, Problem::Encoding("is in UTF-16"))));
        let big: Vec<u8> = "\u{feff}ab".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&big), Err((None, Problem::Encoding("is in UTF-16"))));
        let without_mark: Vec<u8> = "ab".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let position = LineColumn { line: 1, column: 2 };
        assert_eq!(decode(&without_mark), Err((Some(position), Problem::NotText)));
    }

    #[test]
    fn a_byte_that_is_not_utf_8_is_named_by_line_and_column() {
        let position = LineColumn { line: 2, column: 3 };
        assert_eq!(decode(b"a\n\xc3\xa9b\xff"), Err((Some(position), Problem::NotUtf8(0xff))));
    }
}
