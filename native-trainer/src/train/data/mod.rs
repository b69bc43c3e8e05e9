//! Training data: documents as sequences of a fixed length.

use std::path::PathBuf;

use anyhow::ensure;
use boomerang_core::config::ModelConfig;
use boomerang_core::distill::{Batch, Layout, Packer, Row, Rows};
use boomerang_core::documents::{Content, Document, DocumentError, TextUnit, TokenRow};
use boomerang_core::tokenizer::Tokenizer;

use crate::files::documents::read_documents;

/// How documents become rows.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    pub seq: usize,
    pub layout: Layout,
    /// Ends each document of a packed row, so that the end of a text is learnt; pads otherwise.
    pub end_token: Option<u32>,
}

/// The documents of some files ([`read_documents`]) as rows. Texts are packed, or padded
/// individually; rows of ids stay rows of their own, with their padding and their labels.
///
/// # Errors
/// Names the file and the line that cannot be used with this model.
pub fn read_rows(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
    packing: Packing,
    model: &ModelConfig,
) -> anyhow::Result<Rows> {
    let mut packer = Packer::new(packing.seq, packing.end_token);
    for document in read_documents(paths, TextUnit::File)? {
        add(document, &mut packer, tokenizer, packing, model)?;
    }
    let rows = packer.into_rows();
    ensure!(
        rows.iter().any(Row::has_any_target),
        "the data has no token to predict; expected texts of at least two tokens, \
         and labels other than -100"
    );
    Ok(Rows::new(rows, packing.layout))
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

fn add(
    document: Document,
    packer: &mut Packer,
    tokenizer: Option<&Tokenizer>,
    packing: Packing,
    model: &ModelConfig,
) -> Result<(), DocumentError> {
    let Packing { seq, layout, end_token } = packing;
    let from = document.from.clone();
    let is_text = matches!(document.content, Content::Text(_));
    let row = document.into_tokens(tokenizer, model.vocab)?;
    match layout {
        _ if !is_text => {
            row.check_window(&from, model.max_seq)?;
            packer.add_row(as_row(row));
        }
        Layout::Packed => packer.add(row.tokens()),
        // A text without tokens would be a row of padding.
        Layout::Padded | Layout::BothWays if row.n_tokens == 0 => {}
        Layout::Padded | Layout::BothWays => {
            packer.add_row(Row::padded(row.tokens(), seq, end_token.unwrap_or(0)));
        }
    }
    Ok(())
}

fn as_row(row: TokenRow) -> Row {
    let mut segments = vec![1; row.n_tokens];
    segments.resize(row.ids.len(), 0);
    Row { is_label: row.is_label, ..Row::new(row.ids, segments) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::describe;

    /// A model with 10 tokens and 6 positions.
    fn model() -> ModelConfig {
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": 10, "hidden_size": 4, "intermediate_size": 4,
            "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 6,
        });
        ModelConfig::from_json(&config.to_string()).unwrap()
    }

    fn rows(lines: &str) -> anyhow::Result<Rows> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("A.JSONL");
        std::fs::write(&path, lines).unwrap();
        let packing = Packing { seq: 4, layout: Layout::Padded, end_token: Some(9) };
        read_rows(&[path], None, packing, &model())
    }

    fn refusal(lines: &str) -> String {
        describe(&rows(lines).unwrap_err())
    }

    #[test]
    fn ids_stay_in_a_row_of_their_own_with_padding_and_labels() {
        let line = r#"{"input_ids": [5, 6, 7, 0], "attention_mask": [1, 1, 1, 0],
            "labels": [-100, -100, 7, -100]}"#;
        let found = rows(&line.replace('\n', "")).unwrap();
        let is_label = Some(vec![false, false, true, false]);
        let expected = Row { is_label, ..Row::new(vec![5, 6, 7, 0], vec![1, 1, 1, 0]) };
        assert_eq!(found.rows(), [expected]);
    }

    #[test]
    fn ids_that_the_model_cannot_read_are_named_with_file_and_line() {
        let long = refusal("\n{\"input_ids\": [1, 2, 3, 4, 5, 6, 7]}");
        assert!(long.contains("A.JSONL, line 2: 7 input_ids"), "{long}");
        assert!(long.contains("window has 6 positions"), "{long}");
        let padded = "{\"input_ids\": [1, 2, 10], \"attention_mask\": [1, 1, 0]}";
        let outside = refusal(padded);
        assert!(outside.contains("line 1: token 10 at input_ids[2]"), "{outside}");
        assert!(outside.contains("vocabulary (0 to 9)"), "{outside}");
    }

    #[test]
    fn data_without_a_target_are_refused() {
        for line in [
            "{\"input_ids\": [1]}",
            "{\"input_ids\": [1, 2], \"labels\": [1, -100]}",
            "{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}",
        ] {
            assert!(refusal(line).contains("labels other than -100"), "{line}");
        }
    }

    #[test]
    fn text_without_a_tokenizer_is_named() {
        let error = refusal("{\"text\": \"a\"}");
        assert!(error.contains("A.JSONL, line 1: text requires a tokenizer.json"), "{error}");
    }
}
