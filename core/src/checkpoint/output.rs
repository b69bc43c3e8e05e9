//! Safetensors files that are written tensor by tensor.

use std::collections::HashMap;
use std::io::Write;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::CheckpointError;

/// Makes the bytes of a tensor and writes them.
type WriteBytes<'a> = Box<dyn FnOnce(&mut dyn Write) -> Result<(), CheckpointError> + 'a>;

/// A tensor whose bytes are made when their turn comes, so that one at a time is in memory.
pub(crate) struct OutputTensor<'a> {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) write: WriteBytes<'a>,
}

/// Writes a safetensors file. `entry` is the only metadata: the order of several entries would not be
/// deterministic.
///
/// # Errors
/// [`CheckpointError::Write`] for two tensors of the same name, and whatever writing a tensor or to
/// `out` fails with.
pub(crate) fn write_tensors(
    mut tensors: Vec<OutputTensor<'_>>,
    entry: Option<(&str, &str)>,
    out: &mut dyn Write,
) -> Result<(), CheckpointError> {
    // The order of the safetensors crate, which aligns every tensor: wide elements first, then by name.
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let mut start = 0;
    let infos = tensors.iter().map(|tensor| {
        let n_bytes = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        let data_offsets = (start, start + n_bytes);
        start += n_bytes;
        let (dtype, shape) = (tensor.dtype, tensor.shape.clone());
        (tensor.name.clone(), TensorInfo { dtype, shape, data_offsets })
    });
    let entry = entry.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
    let header = Metadata::new(entry, infos.collect())
        .and_then(|metadata| Ok(serde_json::to_vec(&metadata)?))
        .map_err(CheckpointError::Write)?;
    let mut start = ((header.len().next_multiple_of(8)) as u64).to_le_bytes().to_vec();
    start.extend(&header);
    start.resize(start.len().next_multiple_of(8), b' ');
    out.write_all(&start).map_err(CheckpointError::Output)?;
    tensors.into_iter().try_for_each(|tensor| (tensor.write)(out))
}

/// A whole file in memory.
///
/// # Errors
/// As [`write_tensors`].
pub(crate) fn tensors_in_memory(
    tensors: Vec<OutputTensor<'_>>,
    entry: Option<(&str, &str)>,
) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    write_tensors(tensors, entry, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn tensor(name: &str, dtype: Dtype, bytes: &'static [u8]) -> OutputTensor<'static> {
        let shape = vec![bytes.len() * 8 / dtype.bitsize()];
        let write: WriteBytes<'_> =
            Box::new(|out| out.write_all(bytes).map_err(CheckpointError::Output));
        OutputTensor { name: name.to_owned(), dtype, shape, write }
    }

    #[test]
    fn a_file_has_the_bytes_that_the_safetensors_crate_gives_it() {
        const BYTES: [&[u8]; 3] = [&[1, 2], &[3, 4, 5, 6, 7, 8, 9, 10], &[11, 12, 13, 14]];
        let all = [("c", Dtype::F16), ("b", Dtype::F32), ("a", Dtype::F32)];
        let found = tensors_in_memory(
            all.iter()
                .zip(BYTES)
                .map(|(&(name, dtype), bytes)| tensor(name, dtype, bytes))
                .collect(),
            Some(("format", "pt")),
        );
        let views = all.iter().zip(BYTES).map(|(&(name, dtype), bytes)| {
            let shape = vec![bytes.len() * 8 / dtype.bitsize()];
            (name, TensorView::new(dtype, shape, bytes).unwrap())
        });
        let entry = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        assert_eq!(found.unwrap(), safetensors::serialize(views, Some(entry)).unwrap());
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let mut room = [0_u8; 9];
        let tensors = vec![tensor("a", Dtype::F32, &[0; 4])];
        let outcome = write_tensors(tensors, None, &mut &mut room[..]);
        assert!(matches!(outcome, Err(CheckpointError::Output(_))), "{outcome:?}");
    }
}
