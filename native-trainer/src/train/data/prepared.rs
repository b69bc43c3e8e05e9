//! Prepared data: a folder of tokens, which training maps instead of reading texts.
//!
//! ```text
//! manifest.json        what the tokens were made from, how many there are, and their hashes
//! shard-00000.tokens   ids of 2 or 4 bytes, little-endian, one document after another
//! shard-00000.ends     where each document ends, as 8 bytes
//! shard-00000.labels   one bit for each token, in shards of which only parts are to be learnt
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use boomerang_core::distill::{Layout, PreparedRows, RowShape, Rows, Shard, TokenWidth};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Packing;
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, Mapped};

pub(super) const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "boomerang-tokens-1";

/// `manifest.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: String,
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// Ids are below this number.
    pub vocab: usize,
    /// Ends every document.
    pub end_token: Option<u32>,
    pub n_tokens: u64,
    pub n_documents: u64,
    /// Lines that were left out.
    pub n_bad: usize,
    pub sources: Vec<String>,
    pub shards: Vec<ShardEntry>,
}

/// One shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    pub name: String,
    pub n_tokens: u64,
    pub n_documents: u64,
    pub tokens_sha256: String,
    pub ends_sha256: String,
    /// `None` when every token is a label.
    pub labels_sha256: Option<String>,
}

/// A folder of prepared data.
pub struct PreparedData {
    path: PathBuf,
    pub manifest: Manifest,
    /// SHA-256 of the manifest, which has those of all shards.
    pub sha256: String,
}

impl Manifest {
    /// Without any shard yet.
    pub fn new(
        tokenizer: String,
        vocab: usize,
        end_token: Option<u32>,
        sources: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            tokenizer,
            vocab,
            end_token,
            n_tokens: 0,
            n_documents: 0,
            n_bad: 0,
            sources,
            shards: Vec::new(),
        }
    }

    pub fn width(&self) -> TokenWidth {
        TokenWidth::of(self.vocab)
    }
}

impl PreparedData {
    /// Whether a folder has prepared data.
    pub fn is_in(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// # Errors
    /// When the manifest is not one of ours.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = path.join(MANIFEST);
        let bytes = files::read(&file)?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} does not describe prepared data", file.display()))
            .or_exit(Exit::Unusable)?;
        if manifest.format != FORMAT {
            return Err(Exit::Unusable.error(format!(
                "{} has the format {:?}; expected {FORMAT:?}",
                file.display(),
                manifest.format
            )));
        }
        Ok(Self { path: path.to_owned(), manifest, sha256: hex(&Sha256::digest(&bytes)) })
    }

    /// The rows of a model with this tokenizer and vocabulary; nothing is read but the ends of documents.
    ///
    /// # Errors
    /// When the data were made with another tokenizer, or a shard has not the size that the manifest says.
    pub fn rows(
        &self,
        tokenizer: Option<&str>,
        packing: Packing,
        vocab: usize,
    ) -> anyhow::Result<Rows> {
        let Self { path, manifest, .. } = self;
        if tokenizer.is_some_and(|tokenizer| tokenizer != manifest.tokenizer) {
            return Err(Exit::Unusable.error(format!(
                "{} was prepared with another tokenizer: expected fingerprint {}, found {}; prepare \
                 it again with --model of this teacher",
                path.display(),
                tokenizer.unwrap_or_default(),
                manifest.tokenizer
            )));
        }
        let shards: Vec<Shard<Mapped>> =
            manifest.shards.iter().map(|entry| self.shard(entry)).collect::<anyhow::Result<_>>()?;
        let shape = RowShape {
            seq: packing.seq,
            layout: packing.layout,
            end_token: manifest.end_token,
            vocab,
        };
        let rows = PreparedRows::new(shards, manifest.width(), shape).or_exit(Exit::Unusable)?;
        Ok(Rows::of_source(Arc::new(rows), packing.layout))
    }

    /// Sequences of `seq` tokens, end to end.
    ///
    /// # Errors
    /// As [`PreparedData::rows`].
    pub fn packed_rows(
        &self,
        tokenizer: Option<&str>,
        seq: usize,
        vocab: usize,
    ) -> anyhow::Result<Rows> {
        let end_token = self.manifest.end_token;
        self.rows(tokenizer, Packing { seq, layout: Layout::Packed, end_token }, vocab)
    }

    fn shard(&self, entry: &ShardEntry) -> anyhow::Result<Shard<Mapped>> {
        let open = |ending: &str, n_bytes: u64| {
            let path = self.path.join(format!("{}.{ending}", entry.name));
            let bytes = files::map(&path)?;
            if bytes.len() as u64 != n_bytes {
                return Err(Exit::Unusable.error(format!(
                    "{} has {} bytes; expected {n_bytes} by {MANIFEST}",
                    path.display(),
                    bytes.len()
                )));
            }
            Ok(bytes)
        };
        let width = self.manifest.width().n_bytes() as u64;
        let n_labels = entry.labels_sha256.as_ref().map(|_| entry.n_tokens.div_ceil(8));
        Ok(Shard {
            name: self.path.join(&entry.name).display().to_string(),
            tokens: open("tokens", entry.n_tokens.saturating_mul(width))?,
            ends: open("ends", entry.n_documents.saturating_mul(8))?,
            labels: n_labels.map(|n_bytes| open("labels", n_bytes)).transpose()?,
        })
    }

    /// Compares every file with its hash. Tokens are compared with the vocabulary when rows are read.
    ///
    /// # Errors
    /// Names the first that is damaged.
    pub fn verify(&self) -> anyhow::Result<()> {
        for entry in &self.manifest.shards {
            let Shard { name, tokens, ends, labels } = self.shard(entry)?;
            let all = [
                ("tokens", Some(&tokens), Some(&entry.tokens_sha256)),
                ("ends", Some(&ends), Some(&entry.ends_sha256)),
                ("labels", labels.as_ref(), entry.labels_sha256.as_ref()),
            ];
            for (ending, bytes, expected) in all {
                let (Some(bytes), Some(expected)) = (bytes, expected) else { continue };
                let found = hex(&Sha256::digest(&**bytes));
                if found != *expected {
                    return Err(Exit::VerificationFailed.error(format!(
                        "{name}.{ending} is damaged: its SHA-256 is {found}; expected {expected}"
                    )));
                }
            }
        }
        Ok(())
    }
}
