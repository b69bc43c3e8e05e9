//! Loading: the files of teacher and student from their server, and texts from the user.

use boomerang_core::bundle::{BundleError, BundleFile, BundleLoader, Manifest};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;
use boomerang_core::prune::{Student, Teacher};
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use web_sys::Blob;

use super::messages::Reply;
use super::texts::{Text, as_documents, not_usable};
use super::worker::post;
use crate::fetch::{Freshness, beside, fetch_bytes_from, read_blob};
use crate::notice::{Notice, chain};
use crate::store::is_kept_only;

/// More than the longest run reads.
const MOST_BYTES: u64 = 4 << 20;

/// Fetches the teacher's weights and the tokenizer, and nothing of the student.
pub(super) async fn load_teacher(
    manifest_url: &str,
    manifest: &Manifest,
    device: &Device,
) -> Result<(Teacher, Tokenizer), Notice> {
    let whole = Patch::all(&manifest.plan);
    let (model, tokenizer) = load_member(manifest_url, manifest, &whole, device).await?;
    Ok((Teacher::new(model), tokenizer))
}

/// Fetches the bundle's own student.
pub(super) async fn load_student(
    manifest_url: &str,
    manifest: &Manifest,
    device: &Device,
) -> Result<Student, Notice> {
    let none = Patch::none(&manifest.plan);
    let (model, _) = load_member(manifest_url, manifest, &none, device).await?;
    Student::new(model, manifest.plan.clone()).map_err(|error| unusable(error.into()))
}

async fn load_member(
    manifest_url: &str,
    manifest: &Manifest,
    patch: &Patch,
    device: &Device,
) -> Result<(LanguageModel, Tokenizer), Notice> {
    if is_kept_only(manifest_url) {
        let why =
            "it was uploaded from this machine, and the distillation fetches it from a server";
        let next = "Open the page with its own bundle, or with one on a server.";
        return Err(Notice::new("This teacher cannot be loaded.", why, next));
    }
    let mut loader = BundleLoader::new(manifest.clone(), device.clone()).map_err(unusable)?;
    let files: Vec<BundleFile> = manifest.files_of(patch).into_iter().cloned().collect();
    let total = files.iter().map(|file| file.bytes).sum();
    let mut n_loaded = 0;
    for file in files {
        let url = beside(manifest_url, &file.path);
        let mut outcome = fetch_bytes_from(&url, file.bytes, Freshness::Cached).await;
        if outcome.as_ref().is_ok_and(|bytes| file.verify(bytes).is_err()) {
            // Once more, bypassing the browser's cache.
            outcome = fetch_bytes_from(&url, file.bytes, Freshness::Reload).await;
        }
        let bytes = outcome.map_err(|error| {
            let next = "Check that the complete bundle folder is next to the page, and that the \
                        network is available.";
            Notice::new("The teacher could not be loaded.", error, next)
        })?;
        loader.add(&file, &bytes).map_err(unusable)?;
        n_loaded += file.bytes;
        post(&Reply::Progress { bytes: n_loaded, total }, &[]);
    }
    let tokenizer = loader.tokenizer().map_err(unusable)?.clone();
    Ok((loader.member(patch).map_err(unusable)?, tokenizer))
}

/// Reads files of texts, as the command line reads them.
pub(super) async fn read_texts(names: Vec<String>, files: &[Blob]) -> Result<Vec<Text>, Notice> {
    let n_bytes: u64 = files.iter().map(|file| file.size() as u64).sum();
    if n_bytes > MOST_BYTES {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let why = format!(
            "they have {} in total, and at most {} are accepted: no run reads more",
            megabytes(n_bytes),
            megabytes(MOST_BYTES)
        );
        return Err(not_usable(why, "Choose fewer files, or a part of them."));
    }
    let mut texts = Vec::new();
    for (name, file) in names.into_iter().zip(files) {
        let bytes = read_blob(&name, file, file.size() as u64).await;
        let bytes = bytes.map_err(|error| not_usable(chain(&error), "Choose the files again."))?;
        let documents = as_documents(&name, &bytes)?;
        texts.push((name, documents));
    }
    Ok(texts)
}

pub(super) fn unusable(error: BundleError) -> Notice {
    let next = "Create the bundle again with this version of Boomerang.";
    Notice::new("The teacher cannot be used.", chain(&error), next)
}
