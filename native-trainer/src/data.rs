//! Training data: files of text or tokens as rows of a fixed length.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use boomerang_core::distill::{Batch, Labels, Layout, Packer, Row};
use boomerang_core::tokenizer::Tokenizer;
use serde_json::Value;

use crate::files;

/// Rows of equal length, in the order in which training consumes them; after the last comes the
/// first again.
#[derive(Clone, Debug)]
pub struct Rows {
    rows: Vec<Row>,
    layout: Layout,
    labels: Labels,
}

/// How documents become rows.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    pub seq: usize,
    pub layout: Layout,
    /// Ends each document of a packed row, so that the end of a text is learnt; pads otherwise.
    pub end_token: Option<u32>,
}

/// One document, as tokens; already padded when it came as ids with a mask.
enum Document {
    Tokens(Vec<u32>),
    Row(Row),
}

impl Rows {
    pub fn new(rows: Vec<Row>, layout: Layout) -> Self {
        Self { rows, layout, labels: Labels::All }
    }

    /// The same rows with another choice of labels.
    #[must_use]
    pub fn labelled(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// Reads `.txt` (one document a file) and `.jsonl` (one document a line: `text`, or `input_ids`
    /// with an optional `attention_mask`, taken as they are).
    ///
    /// # Errors
    /// Names the file and the line that cannot be used.
    pub fn read(
        paths: &[PathBuf],
        tokenizer: Option<&Tokenizer>,
        packing: Packing,
        vocab: usize,
    ) -> anyhow::Result<Self> {
        let mut documents = Vec::new();
        for path in paths {
            read_documents(path, tokenizer, &mut documents)
                .with_context(|| path.display().to_string())?;
        }
        let rows = to_rows(documents, packing);
        ensure!(!rows.is_empty(), "the data holds no text; expected at least two tokens");
        let largest = rows.iter().flat_map(|row| &row.tokens).max().copied().unwrap_or(0);
        ensure!(
            (largest as usize) < vocab,
            "the data holds token {largest}, the model's vocabulary ends at {}: is this the right \
             tokenizer?",
            vocab - 1
        );
        Ok(Self::new(rows, packing.layout))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// `n_rows` rows from the place `start`, counted over and over.
    ///
    /// # Panics
    /// When there are no rows.
    pub fn batch(&self, start: usize, n_rows: usize) -> Batch {
        let rows = (start..start + n_rows).map(|place| self.rows[place % self.rows.len()].clone());
        Batch::labelled(rows.collect(), self.layout, self.labels)
    }
}

/// The first tokens of some texts, a few rows at a time, for comparing hidden states.
pub fn similarity_batches<'texts>(
    texts: impl IntoIterator<Item = &'texts [u32]>,
    max_seq: usize,
    layout: Layout,
) -> Vec<Batch> {
    const ROWS: usize = 8;
    const MOST_TEXTS: usize = 64;
    let rows: Vec<Row> = texts
        .into_iter()
        .filter(|tokens| !tokens.is_empty())
        .take(MOST_TEXTS)
        .map(|tokens| Row::padded(tokens, tokens.len().min(max_seq), 0))
        .collect();
    rows.chunks(ROWS).map(|rows| Batch::new(rows.to_vec(), layout)).collect()
}

fn read_documents(
    path: &Path,
    tokenizer: Option<&Tokenizer>,
    documents: &mut Vec<Document>,
) -> anyhow::Result<()> {
    let text = files::read_text(path)?;
    let encode = |text: &str| -> anyhow::Result<Document> {
        let tokenizer = tokenizer.context("text needs a tokenizer.json beside the model")?;
        Ok(Document::Tokens(tokenizer.encode(text, true)?))
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !matches!(extension, Some("jsonl" | "json" | "ndjson")) {
        documents.push(encode(&text)?);
        return Ok(());
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let document = match serde_json::from_str::<Value>(line) {
            Ok(value) => match value.get("text").and_then(Value::as_str) {
                Some(text) => encode(text),
                None => token_row(&value).map(Document::Row),
            },
            Err(error) => Err(error.into()),
        };
        documents.push(document.with_context(|| format!("line {}", number + 1))?);
    }
    Ok(())
}

fn token_row(value: &Value) -> anyhow::Result<Row> {
    let numbers = |key: &str| -> anyhow::Result<Option<Vec<u32>>> {
        let Some(list) = value.get(key) else { return Ok(None) };
        let numbers = list.as_array().with_context(|| format!("{key} is not a list"))?.iter();
        let numbers = numbers.map(|item| item.as_u64().and_then(|item| u32::try_from(item).ok()));
        let numbers: Option<Vec<u32>> = numbers.collect();
        Ok(Some(numbers.with_context(|| format!("{key} holds something that is no token id"))?))
    };
    let Some(tokens) = numbers("input_ids")? else {
        bail!("expected \"text\", or \"input_ids\" with an optional \"attention_mask\"");
    };
    ensure!(!tokens.is_empty(), "input_ids is empty");
    let segments = numbers("attention_mask")?.unwrap_or_else(|| vec![1; tokens.len()]);
    ensure!(
        segments.len() == tokens.len() && segments.iter().all(|&mask| mask <= 1),
        "attention_mask needs one 0 or 1 for each of the {} tokens",
        tokens.len()
    );
    Ok(Row::new(tokens, segments))
}

fn to_rows(documents: Vec<Document>, packing: Packing) -> Vec<Row> {
    let Packing { seq, layout, end_token } = packing;
    let mut packer = Packer::new(seq, end_token);
    for document in documents {
        match (document, layout) {
            (Document::Row(row), _) => packer.add_row(row),
            (Document::Tokens(tokens), Layout::Padded | Layout::BothWays) => {
                packer.add_row(Row::padded(&tokens, seq, end_token.unwrap_or(0)));
            }
            (Document::Tokens(tokens), Layout::Packed) => packer.add(&tokens),
        }
    }
    packer.into_rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_document_keeps_its_row_to_itself() {
        let packing = Packing { seq: 4, layout: Layout::Padded, end_token: Some(9) };
        let rows = to_rows(vec![Document::Tokens(vec![1, 2, 3, 4, 5])], packing);
        assert_eq!(rows, [Row::new(vec![1, 2, 3, 4], vec![1; 4])]);
    }

    #[test]
    fn ids_with_a_mask_are_taken_as_they_are() {
        let value = serde_json::json!({"input_ids": [5, 6, 0], "attention_mask": [1, 1, 0]});
        assert_eq!(token_row(&value).unwrap().segments, [1, 1, 0]);
        let short = serde_json::json!({"input_ids": [5, 6, 0], "attention_mask": [1]});
        assert!(token_row(&short).is_err());
    }
}
