//! Writes the header of a GGUF file: everything before the tensor data.

use super::value::write_text;
use super::{DEFAULT_ALIGNMENT, GgufType, GgufValue, MAGIC, Metadata};

/// The version that llama.cpp writes.
const VERSION: u32 = 3;

/// The header entry of a tensor whose data follows.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    pub name: &'a str,
    /// Dimensions in ggml's order, row length first.
    pub dims: &'a [usize],
    pub kind: GgufType,
    pub n_bytes: usize,
}

/// The bytes before the first tensor's data. Each tensor's data must be followed by [`padding`]
/// zeros.
pub fn header<'a>(
    metadata: &Metadata<'_>,
    tensors: impl ExactSizeIterator<Item = Announced<'a>>,
) -> Vec<u8> {
    // Data has the default alignment, whatever the metadata's original file used.
    const ALIGNMENT_KEY: &str = "general.alignment";
    let n_entries = metadata.iter().filter(|entry| entry.0 != ALIGNMENT_KEY).count();
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((n_entries as u64).to_le_bytes());
    for (key, value) in metadata.iter().filter(|entry| entry.0 != ALIGNMENT_KEY) {
        write_entry(key, value, &mut out);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        write_text(tensor.name.as_bytes(), &mut out);
        out.extend((tensor.dims.len() as u32).to_le_bytes());
        for &dim in tensor.dims {
            out.extend((dim as u64).to_le_bytes());
        }
        out.extend(tensor.kind.number().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (tensor.n_bytes + padding(tensor.n_bytes)) as u64;
    }
    out.resize(out.len() + padding(out.len()), 0);
    out
}

/// Number of zeros between `n_bytes` of data and the next tensor.
pub fn padding(n_bytes: usize) -> usize {
    n_bytes.next_multiple_of(DEFAULT_ALIGNMENT) - n_bytes
}

fn write_entry(key: &str, value: &GgufValue<'_>, out: &mut Vec<u8>) {
    write_text(key.as_bytes(), out);
    out.extend(value.tag().to_le_bytes());
    value.write(out);
}

#[cfg(test)]
mod tests {
    use super::super::{Gguf, GgufArray, GgufError, GgufTensor};
    use super::*;

    /// A file with every type of value and two tensors.
    fn file() -> Vec<u8> {
        let mut metadata = Metadata::default();
        let nested = GgufArray::of(&[
            GgufValue::Array(GgufArray::of_u32([1, 2].into_iter())),
            GgufValue::Array(GgufArray::of_texts(["a"].into_iter())),
        ]);
        let values = [
            GgufValue::U8(1),
            GgufValue::I8(-1),
            GgufValue::U16(2),
            GgufValue::I16(-2),
            GgufValue::U32(3),
            GgufValue::I32(-3),
            GgufValue::F32(0.5),
            GgufValue::Bool(true),
            GgufValue::text("text"),
            GgufValue::Array(GgufArray::of_texts(["x", "yz"].into_iter())),
            GgufValue::U64(4),
            GgufValue::I64(-4),
            GgufValue::F64(0.25),
            GgufValue::Array(nested.unwrap()),
        ];
        for (number, value) in values.into_iter().enumerate() {
            metadata.set(format!("key.{number}"), value);
        }
        let tensors = [
            Announced { name: "a", dims: &[3], kind: GgufType::F32, n_bytes: 12 },
            Announced { name: "b", dims: &[32, 2], kind: GgufType::Q8_0, n_bytes: 68 },
        ];
        let mut bytes = header(&metadata, tensors.into_iter());
        bytes.extend([1; 12]);
        bytes.extend(vec![0; padding(12)]);
        bytes.extend([2; 68]);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = file();
        let read = Gguf::parse(&bytes).unwrap();
        let again = header(
            &read.metadata,
            read.tensors().iter().map(|tensor| Announced {
                name: &tensor.name,
                dims: &tensor.dims,
                kind: tensor.kind,
                n_bytes: tensor.data.len(),
            }),
        );
        assert_eq!(again, bytes[..again.len()]);
        let GgufTensor { dims, kind, data, .. } = read.tensor("b").unwrap();
        assert_eq!((&dims[..], *kind, *data), (&[32, 2][..], GgufType::Q8_0, &[2; 68][..]));
    }

    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = file();
        change(&mut bytes);
        Gguf::parse(&bytes).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_big_endian_file_is_named_as_such() {
        let sentence = refusal(|bytes| bytes[4..8].copy_from_slice(&3_u32.to_be_bytes()));
        assert!(sentence.starts_with("the file is big-endian"), "{sentence}");
    }

    #[test]
    fn version_1_is_refused_with_what_to_do() {
        let sentence = refusal(|bytes| bytes[4] = 1);
        assert_eq!(
            sentence,
            "GGUF version 1 is not supported; expected 2 or 3. Convert the model again with a \
             newer version of llama.cpp"
        );
    }

    #[test]
    fn a_count_beyond_the_file_is_refused() {
        for offset in [8, 16] {
            let sentence = refusal(|bytes| bytes[offset..offset + 8].fill(0xff));
            assert!(sentence.contains("18446744073709551615"), "{sentence}");
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused_wherever_the_cut_is() {
        let bytes = file();
        for n_bytes in 0..bytes.len() {
            assert!(Gguf::parse(&bytes[..n_bytes]).is_err(), "{n_bytes} bytes");
        }
    }

    #[test]
    fn one_name_for_two_tensors_is_refused() {
        let tensors =
            ["a", "a"].map(|name| Announced { name, dims: &[], kind: GgufType::F32, n_bytes: 4 });
        let mut bytes = header(&Metadata::default(), tensors.into_iter());
        bytes.extend([0; 64]);
        let error = Gguf::parse(&bytes).unwrap_err();
        assert!(matches!(error, GgufError::DuplicateTensor { name } if name == "a"));
    }

    #[test]
    fn tensors_that_share_bytes_are_refused() {
        let tensors = ["a", "b"].map(|name| Announced {
            name,
            dims: &[16],
            kind: GgufType::F32,
            // As if the first one were empty.
            n_bytes: 0,
        });
        let mut bytes = header(&Metadata::default(), tensors.into_iter());
        bytes.extend([0; 128]);
        assert!(matches!(Gguf::parse(&bytes).unwrap_err(), GgufError::Overlap { .. }));
    }

    #[test]
    fn deeply_nested_arrays_are_refused() {
        let mut array = GgufArray::of_u32([1].into_iter());
        for _ in 0..5 {
            array = GgufArray::of(&[GgufValue::Array(array)]).unwrap();
        }
        let mut metadata = Metadata::default();
        metadata.set("deep", GgufValue::Array(array));
        let bytes = header(&metadata, std::iter::empty());
        let sentence = Gguf::parse(&bytes).unwrap_err().to_string();
        assert_eq!(sentence, "\"deep\": arrays are nested more than 4 deep");
    }
}
