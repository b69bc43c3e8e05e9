//! The bundle of a family: recorded texts of its members, and its files.

use std::io::Write as _;
use std::path::Path;

use boomerang_core::bundle::{
    BundleContents, MANIFEST, Manifest, Recordings, Stored, as_stored, bundle_files,
};
use boomerang_core::checkpoint::StoredAs;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_lite::future::block_on;

use crate::device;
use crate::files::OutputFolder;
use crate::progress::Progress;

/// Maximum tokens of a recorded text: a few lines.
pub const RECORDED_TOKENS: usize = 40;

/// The continuation of each prompt by every size, for the bundle; `None` without prompts.
///
/// Uses the weights as the bundle stores them, and the CPU, so that results do not depend on the
/// GPU.
///
/// # Errors
/// When a prompt exceeds the context length.
pub fn record(
    family: &Family,
    order: &PatchOrder,
    stored_as: impl Into<StoredAs>,
    tokenizer: &Tokenizer,
    prompts: &[String],
    n_tokens: usize,
) -> anyhow::Result<Option<Recordings>> {
    if prompts.is_empty() || n_tokens == 0 {
        return Ok(None);
    }
    let family = as_stored(family, stored_as, &device::cpu())?;
    let n_texts = prompts.len() * order.path(family.plan())?.len();
    let mut progress = Progress::new("record", n_texts);
    let mut written = |n_written| progress.set(n_written, || "texts".to_owned());
    let recordings = Recordings::record(&family, order, tokenizer, prompts, n_tokens, &mut written);
    let recordings = block_on(recordings)?;
    progress.finish();
    Ok(Some(recordings))
}

/// A smaller file is not worth another one.
const LEAST_COMPRESSED: usize = 64 << 10;

/// A tokenizer compressed with gzip, for servers that do not compress what they send; `None` for a small
/// one.
///
/// # Errors
/// None that bytes in memory can cause.
pub fn compressed(tokenizer_json: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    if tokenizer_json.len() < LEAST_COMPRESSED {
        return Ok(None);
    }
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(tokenizer_json)?;
    Ok(Some(writer.finish()?))
}

/// Writes a bundle into the folder `name` of `out`; returns its size in bytes, and the storing loss
/// in its manifest.
///
/// # Errors
/// When a file cannot be written.
pub fn write_bundle(
    out: &OutputFolder,
    name: &Path,
    family: &Family,
    contents: BundleContents<'_>,
) -> anyhow::Result<(u64, Option<Stored>)> {
    let (mut n_bytes, mut stored) = (0, None);
    for (path, bytes) in bundle_files(family, contents)? {
        if path == MANIFEST {
            stored = serde_json::from_slice::<Manifest>(&bytes)?.stored;
        }
        n_bytes += bytes.len() as u64;
        let path = name.join(path);
        out.write(&path.to_string_lossy(), &bytes)?;
    }
    Ok((n_bytes, stored))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_large_tokenizer_is_compressed_without_loss() {
        let json = "{\"a\": 1}".repeat(LEAST_COMPRESSED);
        let small = compressed(json.as_bytes()).unwrap().unwrap();
        assert!(small.len() * 10 < json.len());
        let mut back = String::new();
        GzDecoder::new(&*small).read_to_string(&mut back).unwrap();
        assert_eq!(back, json);
        assert_eq!(compressed(b"{}").unwrap(), None);
    }
}
