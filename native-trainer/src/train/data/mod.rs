//! Training data: documents as sequences of a fixed length, from texts or prepared.

mod prepare;
mod prepared;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use boomerang_chat::ChatTemplate;
use boomerang_core::config::ModelConfig;
use boomerang_core::distill::{Batch, Layout, Packer, Row, Rows};
use boomerang_core::documents::{Content, Document, DocumentError, TextUnit, TokenRow};
use boomerang_core::tokenizer::Tokenizer;

use crate::exit::Exit;
use crate::files::chat::rendered;
use crate::files::documents::read_documents;

pub use prepare::Preparation;
pub use prepared::{Manifest, PreparedData};

/// How documents become rows.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    pub seq: usize,
    pub layout: Layout,
    /// Ends each document of a packed row, so that the end of a text is learnt; pads otherwise.
    pub end_token: Option<u32>,
}

/// What documents become rows with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub tokenizer: Option<&'a Tokenizer>,
    /// Of conversations.
    pub template: Option<&'a ChatTemplate>,
    pub packing: Packing,
    pub model: &'a ModelConfig,
}

/// The rows of several sources, each a file of texts or a folder of prepared data. Without weights all
/// files together are one source, and every row is read as often as any other.
///
/// # Errors
/// As [`read_rows`]; when prepared data were made with another tokenizer, whose fingerprint `tokenizer`
/// gives; when there are not as many weights as sources, or all of them are 0.
pub fn read_sources(
    paths: &[PathBuf],
    weights: &[u64],
    reading: Reading<'_>,
    tokenizer: impl Fn() -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Rows> {
    let prepared = |path: &Path| -> anyhow::Result<Rows> {
        let fingerprint = tokenizer()?;
        let data = PreparedData::open(path)?;
        data.rows(fingerprint.as_deref(), reading.packing, reading.model.vocab)
    };
    let is_prepared = |path: &&PathBuf| PreparedData::is_in(path);
    let mut sources = Vec::new();
    if weights.is_empty() {
        let mut add = |rows: Rows| {
            let weight = rows.len() as u64;
            sources.push((rows, weight));
        };
        let (folders, files): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(is_prepared);
        if !files.is_empty() {
            let files: Vec<PathBuf> = files.into_iter().cloned().collect();
            add(read_rows(&files, reading)?);
        }
        for path in folders {
            add(prepared(path)?);
        }
        return mixed(sources);
    }
    if weights.len() != paths.len() {
        return Err(Exit::Usage.error(format!(
            "--data-weights has {} weights; expected one for each of the {} --data",
            weights.len(),
            paths.len()
        )));
    }
    if weights.iter().all(|&weight| weight == 0) {
        return Err(Exit::Usage.error("--data-weights are all 0; give one of them a weight"));
    }
    for (path, &weight) in paths.iter().zip(weights) {
        let rows = match is_prepared(&path) {
            true => prepared(path)?,
            false => read_rows(std::slice::from_ref(path), reading)?,
        };
        sources.push((rows, weight));
    }
    mixed(sources)
}

fn mixed(sources: Vec<(Rows, u64)>) -> anyhow::Result<Rows> {
    Rows::mixed(sources).ok_or_else(|| Exit::Unusable.error("the data have no rows"))
}

/// The documents of some files ([`read_documents`]) as rows. Texts are packed, or padded
/// individually; rows of ids stay rows of their own, with their padding and their labels.
///
/// # Errors
/// Names the file and the line that cannot be used with this model.
pub fn read_rows(paths: &[PathBuf], reading: Reading<'_>) -> anyhow::Result<Rows> {
    let packing = reading.packing;
    let mut packer = Packer::new(packing.seq, packing.end_token);
    for document in read_documents(paths, TextUnit::File)? {
        add(document, &mut packer, reading)?;
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

fn add(document: Document, packer: &mut Packer, reading: Reading<'_>) -> Result<(), DocumentError> {
    let Reading { tokenizer, template, packing, model } = reading;
    let Packing { seq, layout, end_token } = packing;
    let from = document.from.clone();
    let is_row = matches!(document.content, Content::Tokens(_));
    let row = rendered(document, template)?.into_tokens(tokenizer, model.vocab)?;
    match layout {
        _ if is_row => {
            row.check_window(&from, model.max_seq)?;
            packer.add_row(as_row(row));
        }
        Layout::Packed => packer.add_marked(row.tokens(), row.is_label.as_deref()),
        // A text without tokens would be a row of padding.
        Layout::Padded | Layout::BothWays if row.n_tokens == 0 => {}
        Layout::Padded | Layout::BothWays => {
            let is_label = row.is_label.as_ref().map(|flags| {
                let mut flags = flags[..flags.len().min(seq)].to_vec();
                flags.resize(seq, false);
                flags
            });
            let padded = Row::padded(row.tokens(), seq, end_token.unwrap_or(0));
            packer.add_row(Row { is_label, ..padded });
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
        let model = model();
        read_rows(&[path], Reading { tokenizer: None, template: None, packing, model: &model })
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
        assert_eq!(found.batch(0, 1).unwrap().rows(), [expected]);
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
