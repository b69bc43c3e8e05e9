//! The header of a safetensors file, read without its data.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensorError};
use serde::Deserialize;

use super::used::Described;
use super::{CheckpointError, read};
use crate::config::ModelConfig;

/// The tensors of a safetensors file, without their values.
#[derive(Clone, Debug)]
pub struct Header {
    tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor and its location in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Offset of its first byte from the start of the file.
    pub start: u64,
    /// Offset of the byte after its last.
    pub end: u64,
}

impl Header {
    /// Size of the length prefix of every header.
    pub const PREFIX: u64 = 8;
    /// Maximum header size of the format.
    const MOST: u64 = 100_000_000;

    /// Offset of the data in a file of `n_bytes` whose first eight bytes are `prefix`.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] if the header length is invalid.
    pub fn end(file: &str, prefix: &[u8], n_bytes: u64) -> Result<u64, CheckpointError> {
        let wrap = |source| CheckpointError::Format { file: file.to_owned(), source };
        let prefix: [u8; 8] =
            prefix.try_into().map_err(|_| wrap(SafeTensorError::HeaderTooSmall))?;
        let length = u64::from_le_bytes(prefix);
        if length > Self::MOST {
            return Err(wrap(SafeTensorError::HeaderTooLarge));
        }
        match length + Self::PREFIX {
            end if end <= n_bytes => Ok(end),
            _ => Err(wrap(SafeTensorError::InvalidHeaderLength)),
        }
    }

    /// Parses the first [`Header::end`] bytes of a file of `n_bytes`.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] if they are not a header, or that of a file of another size.
    pub fn parse(file: &str, head: &[u8], n_bytes: u64) -> Result<Self, CheckpointError> {
        let wrap = |source| CheckpointError::Format { file: file.to_owned(), source };
        let json = head.get(Self::PREFIX as usize..);
        let json = json.ok_or_else(|| wrap(SafeTensorError::HeaderTooSmall))?;
        let parsed: HeaderJson = serde_json::from_slice(json)
            .map_err(|error| wrap(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        let start = head.len() as u64;
        let mut tensors = BTreeMap::new();
        let mut n_values = 0;
        let mut spans = Vec::new();
        for (name, Entry { dtype, shape, data_offsets: [from, to] }) in parsed.tensors {
            let n_bytes = n_bytes_of(dtype, &shape);
            if n_bytes.is_none() || n_bytes != to.checked_sub(from) {
                return Err(wrap(SafeTensorError::TensorInvalidInfo));
            }
            let end =
                start.checked_add(to).ok_or_else(|| wrap(SafeTensorError::ValidationOverflow))?;
            spans.push((from, to));
            tensors.insert(name, StoredTensor { dtype, shape, start: start + from, end });
        }
        // No gaps and no overlaps, so that no byte is read twice or hidden.
        spans.sort_unstable();
        for (from, to) in spans {
            if from != n_values {
                return Err(wrap(SafeTensorError::InvalidOffset(file.to_owned())));
            }
            n_values = to;
        }
        if start.checked_add(n_values) != Some(n_bytes) {
            return Err(wrap(SafeTensorError::MetadataIncompleteBuffer));
        }
        Ok(Self { tensors })
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Checks that these headers together describe exactly the model of `config`.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensor that is missing or invalid.
    pub fn check<'a>(
        headers: impl Iterator<Item = &'a Self> + Clone,
        config: &ModelConfig,
    ) -> Result<(), CheckpointError> {
        fn described<'t>((name, tensor): (&'t String, &'t StoredTensor)) -> Described<'t> {
            Described { name, dtype: tensor.dtype, shape: &tensor.shape }
        }
        let all = headers.clone().flat_map(|header| header.tensors.iter().map(described));
        let find = |name: &str| {
            let found = headers.clone().find_map(|header| header.tensors.get_key_value(name));
            found.map(described)
        };
        let missing = |name: &str| CheckpointError::MissingTensor {
            name: name.to_owned(),
            n_tensors: headers.clone().map(|header| header.tensors.len()).sum(),
            similar: None,
        };
        read::check_described(config, all, find, missing)
    }
}

/// The header as JSON. It is not parsed by the `safetensors` crate because that counts in `usize`,
/// which limits files to four gigabytes on 32-bit wasm.
#[derive(Deserialize)]
struct HeaderJson {
    #[serde(default, rename = "__metadata__")]
    _metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

fn n_bytes_of(dtype: Dtype, shape: &[usize]) -> Option<u64> {
    let n_values = shape.iter().try_fold(1_u64, |n, &side| n.checked_mul(side as u64))?;
    let n_bits = n_values.checked_mul(dtype.bitsize() as u64)?;
    n_bits.is_multiple_of(8).then_some(n_bits / 8)
}

/// The header of a safetensors file with these tensors, whose bytes follow it in this order.
pub(crate) fn header_of<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a StoredTensor)>,
) -> Vec<u8> {
    let mut json = serde_json::Map::new();
    let mut start = 0;
    for (name, tensor) in tensors {
        let end = start + (tensor.end - tensor.start);
        let info = serde_json::json!({
            "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end],
        });
        json.insert(name.to_owned(), info);
        start = end;
    }
    let mut json = serde_json::Value::Object(json).to_string().into_bytes();
    // Programs that map a file expect its data at a multiple of eight.
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes(), &*json].concat()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;

    use super::*;

    fn file() -> Vec<u8> {
        let values: Vec<u8> = (0..24).collect();
        let view = TensorView::new(Dtype::F32, vec![2, 3], &values).unwrap();
        let half = TensorView::new(Dtype::F16, vec![2], &values[..4]).unwrap();
        safetensors::serialize([("a", view), ("b", half)], None).unwrap()
    }

    fn parse(bytes: &[u8], n_bytes: u64) -> Result<Header, CheckpointError> {
        let end = Header::end("x", &bytes[..8.min(bytes.len())], n_bytes)?;
        Header::parse("x", &bytes[..end as usize], n_bytes)
    }

    #[test]
    fn a_header_locates_each_tensor() {
        let bytes = file();
        let header = parse(&bytes, bytes.len() as u64).unwrap();
        let whole = SafeTensors::deserialize(&bytes).unwrap();
        for (name, tensor) in header.tensors() {
            let view = whole.tensor(name).unwrap();
            assert_eq!(view.data(), &bytes[tensor.start as usize..tensor.end as usize]);
            assert_eq!((view.dtype(), view.shape()), (tensor.dtype, &*tensor.shape));
        }
        assert_eq!(header.tensors().len(), 2);
    }

    #[test]
    fn a_header_that_promises_more_than_the_file_has_is_refused() {
        let bytes = file();
        let n_bytes = bytes.len() as u64;
        assert!(parse(&bytes, n_bytes - 1).is_err());
        assert!(parse(&bytes, n_bytes + 1).is_err());
        for length in [u64::MAX, 100_000_001, n_bytes] {
            assert!(Header::end("x", &length.to_le_bytes(), n_bytes).is_err(), "{length}");
        }
        assert!(Header::end("x", &[1, 2], 2).is_err());
    }

    #[test]
    fn a_new_header_fits_the_bytes_of_its_tensors() {
        let bytes = file();
        let header = parse(&bytes, bytes.len() as u64).unwrap();
        let (name, tensor) = header.tensors().first_key_value().unwrap();
        let mut cut = header_of([(&**name, tensor)]);
        cut.extend(&bytes[tensor.start as usize..tensor.end as usize]);
        let whole = SafeTensors::deserialize(&cut).unwrap();
        assert_eq!(whole.tensor("a").unwrap().shape(), [2, 3]);
    }
}
