//! Uploaded files as the files of a bundle. To cancel, the page terminates the worker.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::bundle::{CutFamily, CutFile, hex};
use js_sys::Array;
use sha2::{Digest, Sha256};
use web_sys::Blob;

use super::identity::TeacherIdentity;
use super::source::{Source, bytes, joined, part};
use super::to_json;
use crate::fetch::Body;

/// A manifest and the files that it lists, by path.
type Packed = (String, Vec<(String, Blob)>);

/// A bundle as it was uploaded; hashes are checked when its files are loaded. `on_bytes` gets the
/// bytes so far and their total.
pub(super) async fn bundle(
    json: String,
    files: Vec<(String, Source)>,
    on_bytes: impl Fn(u64, u64),
) -> Result<Packed, String> {
    let mut whole = Vec::new();
    let total = files.iter().map(|(_, source)| source.n_bytes_packed()).sum();
    let mut n_done = 0;
    for (path, source) in files {
        let on_read = |n_bytes| {
            n_done += n_bytes;
            on_bytes(n_done, total);
        };
        whole.push((path, source.whole(on_read).await.map_err(|error| error.to_string())?));
    }
    Ok((json, whole))
}

/// Checkpoints as a bundle, if the teacher is the one that the student was made from. Each byte is read
/// once to hash it, and once before that if it is in a zip; `on_bytes` gets the bytes so far and their
/// total.
pub(super) async fn checkpoints(
    family: &CutFamily,
    sources: &[Source],
    teacher: Option<&TeacherIdentity>,
    on_bytes: impl Fn(u64, u64),
) -> Result<Packed, String> {
    let mut used: BTreeSet<usize> =
        family.files().flat_map(|file| &file.pieces).map(|piece| piece.file).collect();
    used.extend(teacher.into_iter().flat_map(TeacherIdentity::files));
    let n_packed: u64 = used.iter().map(|&file| sources[file].n_bytes_packed()).sum();
    let total = n_packed + family.files().map(CutFile::n_bytes).sum::<u64>();
    let mut n_done = 0;
    let mut whole = BTreeMap::new();
    for file in used {
        let on_read = |n_bytes| {
            n_done += n_bytes;
            on_bytes(n_done, total);
        };
        let blob = sources[file].whole(on_read).await.map_err(|error| error.to_string())?;
        whole.insert(file, blob);
    }
    if let Some(teacher) = teacher {
        teacher.check(&whole).await?;
    }
    let mut files = Vec::new();
    let mut hashes = Vec::new();
    for file in family.files() {
        let parts = Array::new();
        parts.push(&bytes(&file.head));
        for piece in &file.pieces {
            parts.push(&part(&whole[&piece.file], piece.start, piece.end));
        }
        let blob = joined(&parts, &file.path).map_err(|error| error.to_string())?;
        let body = Body::of_blob(&file.path, &blob);
        let mut hash = Sha256::new();
        while let Some(chunk) = body.next().await.map_err(|error| error.to_string())? {
            hash.update(chunk.to_vec());
            n_done += u64::from(chunk.length());
            on_bytes(n_done, total);
        }
        hashes.push(hex(&hash.finalize()));
        files.push((file.path.clone(), blob));
    }
    let hash = |file: &CutFile| {
        let index = files.iter().position(|(path, _)| *path == file.path);
        index.map(|index| hashes[index].clone()).unwrap_or_default()
    };
    Ok((to_json(&family.manifest(hash)), files))
}
