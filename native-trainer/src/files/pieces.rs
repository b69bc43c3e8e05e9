//! Files of texts a piece at a time, so that memory does not grow with them; pieces can be parsed by
//! several threads.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use boomerang_core::documents::{
    Content, Document, DocumentError, Format, Location, Record, TextUnit, read, read_line,
};
use flate2::read::MultiGzDecoder;

use super::documents::{Compression, has_ending, note_replaced, table};
use crate::exit::{Exit, OrExit as _};
use crate::files;

/// Part of a file of texts.
pub enum Piece {
    /// Lines of a `.jsonl` file, which the first of them names; nothing is parsed yet.
    Lines { file: Location, first: usize, bytes: Vec<u8> },
    /// Documents of a file that is read as a whole.
    Documents(Vec<Document>),
}

/// What was found in a piece.
#[derive(Debug, Default)]
pub struct Found {
    pub documents: Vec<Document>,
    /// Lines that are not documents.
    pub bad: Vec<DocumentError>,
    /// Unpaired surrogates, replaced by U+FFFD.
    pub n_replaced: usize,
}

/// Bytes of lines that make a piece.
const PIECE: usize = 1 << 20;

/// Calls `each` with the pieces of a file, in their order.
///
/// # Errors
/// When the file cannot be read, is of an unknown kind, or is damaged; and those of `each`.
pub fn each_piece(
    path: &Path,
    unit: TextUnit,
    each: &mut dyn FnMut(Piece) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = files::shown(path);
    let file = Location::file(&name);
    let (inner, compression) = Compression::of(&name);
    if compression == Compression::None && has_ending(&name, "parquet") {
        return each(Piece::Documents(table(path, &file).or_exit(Exit::Unusable)?.documents));
    }
    let format = Format::of(inner).map_err(|error| file.error(error.problem))?;
    files::note_input(path);
    let opened = File::open(path).with_context(|| format!("opening {name}"))?;
    let mut reader: BufReader<Box<dyn Read>> = BufReader::with_capacity(
        PIECE,
        match compression {
            Compression::None => Box::new(opened),
            Compression::Gzip => Box::new(MultiGzDecoder::new(opened)),
            Compression::Zstd => Box::new(zstd::Decoder::new(opened)?),
        },
    );
    let damaged = || match compression {
        Compression::None => format!("reading {name}"),
        Compression::Gzip => format!("{name}: truncated or invalid gzip file"),
        Compression::Zstd => format!("{name}: truncated or invalid zstd file"),
    };
    let start = reader.fill_buf().with_context(damaged).or_exit(Exit::Unusable)?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if format != Format::JsonLines || start.first().is_none_or(|&first| first == b'[') {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).with_context(damaged).or_exit(Exit::Unusable)?;
        let found = read(&name, format, &bytes, unit)?;
        note_replaced(&name, found.n_replaced);
        return each(Piece::Documents(found.documents));
    }
    let mut line_number = 1;
    loop {
        let (first, mut bytes, mut n_lines) = (line_number, Vec::new(), 0);
        while bytes.len() < PIECE {
            if reader.read_until(b'\n', &mut bytes).with_context(damaged).or_exit(Exit::Unusable)?
                == 0
            {
                break;
            }
            n_lines += 1;
        }
        if n_lines == 0 {
            return Ok(());
        }
        line_number += n_lines;
        each(Piece::Lines { file: file.clone(), first, bytes })?;
    }
}

impl Piece {
    /// The documents; blank texts are left out.
    pub fn parse(self) -> Found {
        let Self::Lines { file, first, bytes } = self else {
            let Self::Documents(documents) = self else { return Found::default() };
            return Found { documents, ..Found::default() };
        };
        let mut found = Found::default();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match read_line(&file.at(Record::Line(first + index)), line) {
                Ok((document, n_replaced)) => {
                    found.n_replaced += n_replaced;
                    found.documents.extend(document.filter(|document| !is_blank(document)));
                }
                Err(error) => found.bad.push(error),
            }
        }
        found
    }
}

fn is_blank(document: &Document) -> bool {
    matches!(&document.content, Content::Text(text) if text.chars().all(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, bytes: &[u8]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut all = Found::default();
        each_piece(&path, TextUnit::File, &mut |piece| {
            let Found { documents, bad, n_replaced } = piece.parse();
            all.documents.extend(documents);
            all.bad.extend(bad);
            all.n_replaced += n_replaced;
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_of_many_pieces_keep_their_numbers() {
        let long = "a".repeat(PIECE / 3);
        let lines: String = (0..10)
            .map(|index| match index {
                7 => "{\"txt\": \"\"}\r\n".to_owned(),
                _ => format!("{{\"text\": \"{long}{index}\"}}\r\n"),
            })
            .collect();
        let all = found("a.jsonl", lines.as_bytes());
        assert_eq!(all.documents.len(), 9);
        assert!(all.documents[8].from.to_string().ends_with("a.jsonl, line 10"));
        assert_eq!(all.bad.len(), 1);
        let bad = all.bad[0].to_string();
        assert!(bad.contains("a.jsonl, line 8, column 1: expected \"text\""), "{bad}");
    }

    #[test]
    fn a_byte_order_mark_and_a_list_are_read() {
        assert_eq!(found("a.jsonl", b"\xef\xbb\xbf{\"text\": \"a\"}\n\n").documents.len(), 1);
        let list = found("a.jsonl", b"\xef\xbb\xbf [{\"text\": \"a\"},\n{\"text\": \"b\"}]");
        assert_eq!(list.documents.len(), 2);
    }
}
