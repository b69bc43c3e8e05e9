//! Tokenizes texts on all cores into prepared data, in memory that does not grow with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use boomerang_chat::ChatTemplate;
use boomerang_core::bundle::hex;
use boomerang_core::documents::{DocumentError, TextUnit, TokenRow};
use boomerang_core::tokenizer::Tokenizer;
use sha2::{Digest as _, Sha256};

use super::prepared::{MANIFEST, Manifest, ShardEntry};
use crate::exit::{Exit, OrExit as _};
use crate::files::OutputFolder;
use crate::files::chat::rendered;
use crate::files::pieces::{Found, Piece, each_piece};
use crate::progress::note;

/// What data are prepared with.
pub struct Preparation<'a> {
    pub tokenizer: &'a Tokenizer,
    pub template: Option<&'a ChatTemplate>,
    pub vocab: usize,
    pub unit: TextUnit,
    /// Tokens of a shard, but for its last document.
    pub tokens_per_shard: usize,
    /// Lines that are left out before it is an error.
    pub max_bad: usize,
    pub n_threads: usize,
}

/// A piece as tokens.
#[derive(Default)]
struct Tokenized {
    rows: Vec<TokenRow>,
    bad: Vec<DocumentError>,
    n_replaced: usize,
}

impl Preparation<'_> {
    /// Writes the documents of some files, in their order, as shards and their manifest.
    ///
    /// # Errors
    /// When a file cannot be read, more lines than `max_bad` cannot be used, or the disk is full.
    pub fn write(
        &self,
        paths: &[PathBuf],
        mut manifest: Manifest,
        out: &OutputFolder,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<Manifest> {
        let mut writer = ShardWriter::new(&manifest);
        let mut n_replaced = 0;
        self.each_tokenized(paths, &mut |tokenized| {
            n_replaced += tokenized.n_replaced;
            for error in tokenized.bad {
                manifest.n_bad += 1;
                if manifest.n_bad > self.max_bad {
                    return Err(error).or_exit(Exit::Unusable).map_err(|error| {
                        match self.max_bad {
                            0 => error,
                            n => error.context(format!(
                                "more than {n} lines cannot be used (--max-bad-lines)"
                            )),
                        }
                    });
                }
                note(&format!("left out: {error}"));
            }
            for row in tokenized.rows {
                writer.add(&row, manifest.end_token);
                manifest.n_documents += 1;
                if writer.n_tokens >= self.tokens_per_shard as u64 {
                    manifest.n_tokens += writer.n_tokens;
                    writer.flush(&mut manifest, out)?;
                    progress(manifest.n_tokens);
                }
            }
            Ok(())
        })?;
        manifest.n_tokens += writer.n_tokens;
        writer.flush(&mut manifest, out)?;
        if n_replaced > 0 {
            note(&format!("{n_replaced} unpaired surrogates were read as U+FFFD"));
        }
        if manifest.n_tokens == 0 {
            return Err(Exit::Unusable.error("the data have no tokens"));
        }
        let text = serde_json::to_string_pretty(&manifest)? + "\n";
        out.write(MANIFEST, text.as_bytes())?;
        Ok(manifest)
    }

    /// Calls `each` with the pieces of all files, in their order; they are tokenized meanwhile by as many
    /// threads as there are.
    fn each_tokenized(
        &self,
        paths: &[PathBuf],
        each: &mut dyn FnMut(Tokenized) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let n_threads = self.n_threads.max(1);
        let (send_pieces, pieces) = sync_channel::<(usize, Piece)>(n_threads);
        let (send_results, results) = sync_channel::<(usize, Tokenized)>(n_threads);
        // Only the threads that tokenize have it, so that their end wakes the reader.
        let pieces = Arc::new(Mutex::new(pieces));
        let window = Window { state: Mutex::default(), changed: Condvar::new() };
        thread::scope(|scope| {
            let (window, most) = (&window, 4 * n_threads);
            let reader = scope.spawn(move || self.send_all(paths, &send_pieces, window, most));
            for _ in 0..n_threads {
                let (send, pieces) = (send_results.clone(), Arc::clone(&pieces));
                scope.spawn(move || self.tokenize_all(&pieces, &send));
            }
            drop((send_results, pieces));
            let outcome = in_order(&results, window, each);
            // Whoever waits to send is woken by the end of its receiver.
            window.end();
            drop(results);
            let read = reader.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the reader stopped")));
            outcome.and(read)
        })
    }

    fn send_all(
        &self,
        paths: &[PathBuf],
        send: &SyncSender<(usize, Piece)>,
        window: &Window,
        most: usize,
    ) -> anyhow::Result<()> {
        let mut number = 0;
        for path in paths {
            each_piece(path, self.unit, &mut |piece| {
                let is_sent = window.wait(number, most) && send.send((number, piece)).is_ok();
                number += 1;
                anyhow::ensure!(is_sent, "preparing stopped");
                Ok(())
            })?;
        }
        Ok(())
    }

    fn tokenize_all(
        &self,
        pieces: &Mutex<Receiver<(usize, Piece)>>,
        send: &SyncSender<(usize, Tokenized)>,
    ) {
        // Tokenizers share a cache of words between threads, which would wait for each other.
        let tokenizer = self.tokenizer.clone();
        loop {
            let piece = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, piece)) = piece else { return };
            // Where nobody receives, the pieces that are left are dropped, so that the reader ends.
            let _ = send.send((number, self.tokenize(piece, &tokenizer)));
        }
    }

    fn tokenize(&self, piece: Piece, tokenizer: &Tokenizer) -> Tokenized {
        let Found { documents, bad, n_replaced } = piece.parse();
        let mut tokenized = Tokenized { bad, n_replaced, ..Tokenized::default() };
        for document in documents {
            let row = rendered(document, self.template)
                .and_then(|document| document.into_tokens(Some(tokenizer), self.vocab));
            match row {
                Ok(row) => tokenized.rows.push(row),
                Err(error) => tokenized.bad.push(error),
            }
        }
        tokenized
    }
}

/// How far the results have been handed on; pieces far ahead of that are not read yet, so that what waits
/// for its turn stays small.
struct Window {
    state: Mutex<WindowState>,
    changed: Condvar,
}

#[derive(Default)]
struct WindowState {
    /// Number of the next result to hand on.
    next: usize,
    /// Whether results are not handed on any more.
    has_ended: bool,
}

impl Window {
    /// Waits until a piece is less than `most` ahead; `false` once nobody wants it.
    fn wait(&self, number: usize, most: usize) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ahead = |state: &mut WindowState| !state.has_ended && number >= state.next + most;
        let state = self.changed.wait_while(state, is_ahead);
        !state.unwrap_or_else(PoisonError::into_inner).has_ended
    }

    fn set(&self, next: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next = next;
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
        self.changed.notify_all();
    }
}

/// Hands the results on by their numbers.
fn in_order(
    results: &Receiver<(usize, Tokenized)>,
    window: &Window,
    each: &mut dyn FnMut(Tokenized) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut waiting, mut next) = (BTreeMap::new(), 0);
    for (number, tokenized) in results {
        waiting.insert(number, tokenized);
        while let Some(tokenized) = waiting.remove(&next) {
            each(tokenized)?;
            next += 1;
            window.set(next);
        }
    }
    Ok(())
}

/// The shard that is being filled.
struct ShardWriter {
    width: boomerang_core::distill::TokenWidth,
    n_tokens: u64,
    n_documents: u64,
    tokens: Vec<u8>,
    ends: Vec<u8>,
    /// A bit for each token, once there is one that is no label.
    labels: Option<Vec<u8>>,
}

impl ShardWriter {
    fn new(manifest: &Manifest) -> Self {
        let width = manifest.width();
        Self {
            width,
            n_tokens: 0,
            n_documents: 0,
            tokens: Vec::new(),
            ends: Vec::new(),
            labels: None,
        }
    }

    /// Adds a document, without its padding.
    fn add(&mut self, row: &TokenRow, end_token: Option<u32>) {
        for (token, is_label) in row.labelled(end_token) {
            self.mark(is_label);
            self.width.write(token, &mut self.tokens);
            self.n_tokens += 1;
        }
        self.ends.extend(self.n_tokens.to_le_bytes());
        self.n_documents += 1;
    }

    fn mark(&mut self, is_label: bool) {
        if is_label && self.labels.is_none() {
            return;
        }
        let n_tokens = self.n_tokens as usize;
        let labels = self.labels.get_or_insert_with(|| {
            let mut all = vec![u8::MAX; n_tokens.div_ceil(8)];
            if !n_tokens.is_multiple_of(8) {
                all[n_tokens / 8] = (1 << (n_tokens % 8)) - 1;
            }
            all
        });
        if n_tokens.is_multiple_of(8) {
            labels.push(0);
        }
        labels[n_tokens / 8] |= u8::from(is_label) << (n_tokens % 8);
    }

    /// Writes the shard, if it has any token, and begins the next.
    fn flush(&mut self, manifest: &mut Manifest, out: &OutputFolder) -> anyhow::Result<()> {
        let full = std::mem::replace(self, Self::new(manifest));
        if full.n_tokens == 0 {
            return Ok(());
        }
        let name = format!("shard-{:05}", manifest.shards.len());
        let write = |ending: &str, bytes: &[u8]| -> anyhow::Result<String> {
            out.write(&format!("{name}.{ending}"), bytes)?;
            Ok(hex(&Sha256::digest(bytes)))
        };
        let entry = ShardEntry {
            n_tokens: full.n_tokens,
            n_documents: full.n_documents,
            tokens_sha256: write("tokens", &full.tokens)?,
            ends_sha256: write("ends", &full.ends)?,
            labels_sha256: full.labels.map(|labels| write("labels", &labels)).transpose()?,
            name: name.clone(),
        };
        manifest.shards.push(entry);
        Ok(())
    }
}
