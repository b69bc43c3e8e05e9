//! What was brought, as the files of a bundle. Whoever has had enough of it ends the worker.

use std::collections::BTreeSet;

use boomerang_core::bundle::{CutFamily, CutFile, hex};
use js_sys::Array;
use sha2::{Digest, Sha256};
use web_sys::Blob;

use super::source::{Source, bytes, joined, part};
use super::to_json;
use crate::fetch::Body;

/// A manifest and the files that it lists, by path.
type Packed = (String, Vec<(String, Blob)>);

/// A bundle as it was brought; whoever loads its files checks their hashes. `tell` is told bytes so far
/// and all.
pub(super) async fn bundle(
    json: String,
    files: Vec<(String, Source)>,
    tell: impl Fn(u64, u64),
) -> Result<Packed, String> {
    let mut whole = Vec::new();
    let total = files.iter().map(|(_, source)| source.n_bytes_packed()).sum();
    let mut n_done = 0;
    for (path, source) in files {
        let heard = |n_bytes| {
            n_done += n_bytes;
            tell(n_done, total);
        };
        whole.push((path, source.whole(heard).await.map_err(|error| error.to_string())?));
    }
    Ok((json, whole))
}

/// Checkpoints as a bundle. Each byte is read once for the hashes, and before that once more where it
/// comes out of a zip; `tell` is told bytes so far and all.
pub(super) async fn checkpoints(
    family: &CutFamily,
    sources: &[Source],
    tell: impl Fn(u64, u64),
) -> Result<Packed, String> {
    let mut whole: Vec<Option<Blob>> = vec![None; sources.len()];
    let used: BTreeSet<usize> =
        family.files().flat_map(|file| &file.pieces).map(|piece| piece.file).collect();
    let n_packed: u64 = used.iter().map(|&file| sources[file].n_bytes_packed()).sum();
    let total = n_packed + family.files().map(CutFile::n_bytes).sum::<u64>();
    let mut n_done = 0;
    let mut files = Vec::new();
    let mut hashes = Vec::new();
    for file in family.files() {
        let parts = Array::new();
        parts.push(&bytes(&file.head));
        for piece in &file.pieces {
            let source = match &whole[piece.file] {
                Some(blob) => blob.clone(),
                None => {
                    let heard = |n_bytes| {
                        n_done += n_bytes;
                        tell(n_done, total);
                    };
                    let source = sources[piece.file].whole(heard).await;
                    let source = source.map_err(|error| error.to_string())?;
                    whole[piece.file].insert(source).clone()
                }
            };
            parts.push(&part(&source, piece.start, piece.end));
        }
        let blob = joined(&parts, &file.path).map_err(|error| error.to_string())?;
        let body = Body::of_blob(&file.path, &blob);
        let mut hash = Sha256::new();
        while let Some(chunk) = body.next().await.map_err(|error| error.to_string())? {
            hash.update(chunk.to_vec());
            n_done += u64::from(chunk.length());
            tell(n_done, total);
        }
        hashes.push(hex(&hash.finalize()));
        files.push((file.path.clone(), blob));
    }
    let hash = |file: &CutFile| {
        let place = files.iter().position(|(path, _)| *path == file.path);
        place.map(|place| hashes[place].clone()).unwrap_or_default()
    };
    Ok((to_json(&family.manifest(hash)), files))
}
