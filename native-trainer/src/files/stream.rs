//! Weights copied from file to file, a piece at a time: a model of any size needs a few megabytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::{Checkpoint, CheckpointError, Precision, ensure_finite};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{OutputFolder, Overwrite, write_atomic, write_atomic_with};
use boomerang_core::checkpoint::files::{INDEX, WEIGHTS};

/// How weights are written.
#[derive(Clone, Debug, Default)]
pub struct WeightsFormat {
    /// `None` keeps each tensor's own bytes.
    pub precision: Option<Precision>,
    /// No file holds more tensor bytes than this, unless a single tensor does.
    pub shard_bytes: Option<u64>,
    /// Entries of the files' `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

impl WeightsFormat {
    /// Bytes of all tensors of a checkpoint in this format.
    pub fn n_bytes(&self, checkpoint: &Checkpoint<'_>) -> u64 {
        checkpoint.tensors().values().map(|view| stored_bytes(view, self.precision)).sum()
    }
}

/// Bytes that are in memory at a time.
pub(super) const PIECE: usize = 8 << 20;

/// Tensor data starts at a multiple of this, so that file systems can share it between files.
const ALIGNMENT: usize = 4096;

/// Where the bytes of a mapped tensor can be read without keeping the mapping in memory.
pub trait Sources {
    /// The file of these mapped bytes, and their offset in it.
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)>;
}

/// Writes a checkpoint to `folder` as `model.safetensors`, or in shards with an index; returns the
/// SHA-256 of each weight file.
///
/// # Errors
/// When a file cannot be written, or a tensor cannot be converted or holds a value that is not
/// finite.
pub fn write_weights(
    folder: &Path,
    checkpoint: &Checkpoint<'_>,
    sources: &dyn Sources,
    format: &WeightsFormat,
) -> anyhow::Result<BTreeMap<String, String>> {
    let shards = shards(checkpoint, format);
    let n_shards = shards.len();
    let mut weight_map = Map::new();
    let mut total = 0;
    let mut hashes = BTreeMap::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = if n_shards == 1 {
            WEIGHTS.to_owned()
        } else {
            format!("model-{:05}-of-{n_shards:05}.safetensors", number + 1)
        };
        let (header, n_bytes) = header(shard, format)?;
        let mut hasher = Sha256::new();
        write_atomic_with(&folder.join(&name), Overwrite::Allowed, |out| {
            let mut out = Hashed { out, hasher: &mut hasher };
            out.write_all(&header)?;
            shard.iter().try_for_each(|tensor| copy(*tensor, sources, format.precision, &mut out))
        })?;
        hashes.insert(name.clone(), hex(&hasher.finalize()));
        total += n_bytes;
        weight_map.extend(shard.iter().map(|(tensor, _)| ((*tensor).to_owned(), json!(name))));
    }
    if n_shards > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        write_atomic(&folder.join(INDEX), format!("{index:#}\n").as_bytes(), Overwrite::Allowed)?;
    }
    Ok(hashes)
}

/// Writes a file of tensors into a folder; returns its SHA-256.
///
/// # Errors
/// A [`CheckpointError`] when a tensor is refused, and an error of the file when it cannot be written.
pub fn write_hashed(
    folder: &OutputFolder,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CheckpointError>,
) -> anyhow::Result<String> {
    let (mut hasher, mut refusal) = (Sha256::new(), None);
    let written = folder.write_with(name, |out| {
        let mut out = Hashed { out, hasher: &mut hasher };
        write(&mut out).map_err(|error| match error {
            CheckpointError::Output(error) => error,
            other => {
                refusal = Some(other);
                io::ErrorKind::InvalidData.into()
            }
        })
    });
    match refusal {
        Some(refusal) => Err(refusal.into()),
        None => Ok(written.map(|()| hex(&hasher.finalize()))?),
    }
}

/// Hashes what is written.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: &'a mut Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n_written]);
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

type Named<'a> = (&'a str, &'a TensorView<'a>);

/// Tensors by file: wide elements first, as the format wants them aligned, then by name.
fn shards<'a>(checkpoint: &'a Checkpoint<'_>, format: &WeightsFormat) -> Vec<Vec<Named<'a>>> {
    let limit = format.shard_bytes.unwrap_or(u64::MAX);
    let mut shards: Vec<Vec<Named<'a>>> = vec![Vec::new()];
    let mut filled = 0;
    for (name, view) in checkpoint.tensors() {
        let n_bytes = stored_bytes(view, format.precision);
        if filled > 0 && filled + n_bytes > limit {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += n_bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push((name, view));
        }
    }
    for shard in &mut shards {
        shard.sort_by_key(|(_, view)| {
            std::cmp::Reverse(stored_dtype(view, format.precision).bitsize())
        });
    }
    shards
}

/// The length, the JSON and its padding, and the bytes of the tensors that follow.
fn header(shard: &[Named<'_>], format: &WeightsFormat) -> anyhow::Result<(Vec<u8>, u64)> {
    let mut entries = Map::new();
    // transformers refuses files without this entry.
    let mut metadata = format.metadata.clone();
    metadata.insert("format".to_owned(), "pt".to_owned());
    entries.insert("__metadata__".to_owned(), json!(metadata));
    let mut offset = 0;
    for (name, view) in shard {
        let end = offset + stored_bytes(view, format.precision);
        let dtype = serde_json::to_value(stored_dtype(view, format.precision))?;
        let entry = json!({"dtype": dtype, "shape": view.shape(), "data_offsets": [offset, end]});
        entries.insert((*name).to_owned(), entry);
        offset = end;
    }
    let mut json = serde_json::to_vec(&Value::Object(entries))?;
    json.resize((json.len() + 8).next_multiple_of(ALIGNMENT) - 8, b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    Ok((header, offset))
}

/// Only floating-point weights are converted; other tensors are kept.
fn is_converted(view: &TensorView<'_>, precision: Option<Precision>) -> Option<Precision> {
    let is_float = matches!(
        view.dtype(),
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8_E4M3 | Dtype::F8_E5M2
    );
    precision.filter(|precision| is_float && precision.dtype() != view.dtype())
}

fn stored_dtype(view: &TensorView<'_>, precision: Option<Precision>) -> Dtype {
    is_converted(view, precision).map_or(view.dtype(), Precision::dtype)
}

fn stored_bytes(view: &TensorView<'_>, precision: Option<Precision>) -> u64 {
    match is_converted(view, precision) {
        Some(precision) => (view.shape().iter().product::<usize>() * precision.n_bytes()) as u64,
        None => view.data().len() as u64,
    }
}

fn copy(
    (name, view): Named<'_>,
    sources: &dyn Sources,
    precision: Option<Precision>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let precision = is_converted(view, precision);
    let (dtype, whole) = (view.dtype(), view.data());
    let mut buffer = Vec::new();
    for piece in whole.chunks(PIECE) {
        buffer.clear();
        read_piece(piece, sources, &mut buffer)?;
        match precision {
            Some(precision) => {
                let converted = precision.convert(name, dtype, &buffer, whole);
                out.write_all(&converted.map_err(io::Error::other)?)?;
            }
            None => {
                // Copied bytes are computed with later, so they are checked, too.
                ensure_finite(name, dtype, &buffer, whole).map_err(io::Error::other)?;
                out.write_all(&buffer)?;
            }
        }
    }
    Ok(())
}

/// Appends mapped bytes to `buffer`, read from their file if there is one.
pub(super) fn read_piece(
    piece: &[u8],
    sources: &dyn Sources,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    let Some((file, offset)) = sources.find(piece) else {
        buffer.extend_from_slice(piece);
        return Ok(());
    };
    let start = buffer.len();
    buffer.resize(start + piece.len(), 0);
    read_at(file, offset, &mut buffer[start..])
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::tensors_to_bytes;

    use super::super::testing::names;
    use super::*;

    /// Weights that are in memory anyway.
    struct InMemory;

    impl Sources for InMemory {
        fn find(&self, _: &[u8]) -> Option<(&File, u64)> {
            None
        }
    }

    fn stored() -> Vec<u8> {
        let tensor = |name: &str, value: f32| (name.to_owned(), vec![2, 3], vec![value; 6]);
        tensors_to_bytes(vec![tensor("a", 0.5), tensor("b", -2.0)], Precision::F32).unwrap()
    }

    fn written(format: &WeightsFormat) -> tempfile::TempDir {
        let bytes = stored();
        let checkpoint = Checkpoint::parse([("file".to_owned(), &*bytes)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_weights(folder.path(), &checkpoint, &InMemory, format).unwrap();
        folder
    }

    fn read(folder: &Path, file: &str, tensor: &str) -> (Dtype, Vec<u8>) {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let checkpoint = Checkpoint::parse([(file.to_owned(), &*bytes)]).unwrap();
        let view = checkpoint.tensor(tensor).unwrap();
        (view.dtype(), view.data().to_vec())
    }

    #[test]
    fn bytes_are_kept_and_data_begins_at_a_page() {
        let folder = written(&WeightsFormat::default());
        let (dtype, data) = read(folder.path(), WEIGHTS, "b");
        assert_eq!((dtype, data), (Dtype::F32, (-2.0_f32).to_le_bytes().repeat(6)));
        let length = std::fs::metadata(folder.path().join(WEIGHTS)).unwrap().len();
        assert_eq!(length % 4096, 48);
    }

    #[test]
    fn weights_are_converted_when_asked_for() {
        let format = WeightsFormat { precision: Some(Precision::Bf16), ..WeightsFormat::default() };
        let (dtype, data) = read(written(&format).path(), WEIGHTS, "a");
        assert_eq!((dtype, data), (Dtype::BF16, [0x00, 0x3f].repeat(6)));
    }

    #[test]
    fn shards_come_with_an_index() {
        let format = WeightsFormat { shard_bytes: Some(30), ..WeightsFormat::default() };
        let folder = written(&format);
        let expected =
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", INDEX];
        assert_eq!(names(folder.path()), expected);
        assert_eq!(read(folder.path(), expected[1], "b").1.len(), 24);
    }

    fn refusal(values: [f32; 4], precision: Option<Precision>) -> String {
        let bytes = values.map(f32::to_le_bytes).concat();
        let view = TensorView::new(Dtype::F32, vec![4], &bytes).unwrap();
        let error = copy(("t", &view), &InMemory, precision, &mut Vec::new()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn bytes_that_are_copied_unread_are_finite_too() {
        let sentence = refusal([0.0, f32::NAN, 1.0, f32::INFINITY], None);
        assert!(sentence.contains("\"t\" holds 2 values that are NaN"), "{sentence}");
    }

    #[test]
    fn a_conversion_that_would_be_infinite_is_refused() {
        let sentence = refusal([1e5, 1.0, 1.0, -2e5], Some(Precision::F16));
        assert!(sentence.contains("\"t\" holds 2 values too large for f16"), "{sentence}");
    }
}
