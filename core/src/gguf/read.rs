//! Parses a GGUF file: metadata and tensors, borrowed from its bytes.
//!
//! Files are untrusted. Every count is checked against the remaining bytes before memory is
//! allocated, arithmetic is checked for overflow, and each byte is read once, so that invalid files
//! are rejected quickly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::value::tag;
use super::{DEFAULT_ALIGNMENT, GgufArray, GgufError, GgufType, GgufValue, MAGIC, Metadata};

/// A GGUF file, version 2 or 3.
#[derive(Debug)]
pub struct Gguf<'bytes> {
    pub metadata: Metadata<'bytes>,
    /// In the order of the file.
    tensors: Vec<GgufTensor<'bytes>>,
    indices: BTreeMap<&'bytes str, usize>,
}

/// A tensor as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufTensor<'bytes> {
    pub name: Cow<'bytes, str>,
    /// Dimensions in ggml's order, row length first: the reverse of the usual shape.
    pub dims: Vec<usize>,
    pub kind: GgufType,
    pub data: &'bytes [u8],
}

/// Maximum number of dimensions in ggml.
const MAX_DIMS: u32 = 4;

/// Maximum nesting of arrays, which bounds the recursion of the parser.
const MAX_DEPTH: usize = 4;

/// Minimum size of an entry of each list: an empty key with a one-byte value, a tensor without
/// dimensions.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 1;
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// Types with fixed-size elements, and the size.
const FIXED: [(u32, usize); 11] = [
    (tag::U8, 1),
    (tag::I8, 1),
    (tag::U16, 2),
    (tag::I16, 2),
    (tag::U32, 4),
    (tag::I32, 4),
    (tag::F32, 4),
    (tag::BOOL, 1),
    (tag::U64, 8),
    (tag::I64, 8),
    (tag::F64, 8),
];

impl<'bytes> Gguf<'bytes> {
    /// # Errors
    /// [`GgufError`] describes the problem and names the key or tensor.
    pub fn parse(bytes: &'bytes [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.take(4)?;
        if magic != MAGIC {
            return Err(GgufError::NotGguf { found: magic.escape_ascii().to_string() });
        }
        match cursor.u32()? {
            2 | 3 => {}
            version if version & 0xffff == 0 && version != 0 => return Err(GgufError::BigEndian),
            found => return Err(GgufError::Version { found }),
        }
        let (n_tensors, n_entries) = (cursor.u64()?, cursor.u64()?);
        cursor.expect(n_entries, MIN_ENTRY_BYTES, "metadata entries")?;
        let mut metadata = Metadata::default();
        for _ in 0..n_entries {
            let key = cursor.name()?;
            let kind = cursor.u32()?;
            let value = cursor.value(kind, MAX_DEPTH).map_err(|error| error.at(key))?;
            metadata.add(key, value)?;
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(GgufValue::U32(alignment)) if alignment.is_power_of_two() => *alignment as usize,
            Some(value) => return Err(GgufError::Alignment { found: value.describe() }),
        };
        cursor.expect(n_tensors, MIN_TENSOR_BYTES, "tensors")?;
        let mut infos = Vec::new();
        for _ in 0..n_tensors {
            infos.push(Info::read(&mut cursor)?);
        }
        let begin = cursor.position.checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
        let data = bytes.get(begin..).unwrap_or_default();
        let mut tensors = Vec::new();
        let mut indices = BTreeMap::new();
        for info in &infos {
            if indices.insert(info.name, tensors.len()).is_some() {
                return Err(GgufError::DuplicateTensor { name: info.name.to_owned() });
            }
            tensors.push(info.tensor(data, alignment)?);
        }
        refuse_overlaps(&mut infos)?;
        Ok(Self { metadata, tensors, indices })
    }

    pub fn tensors(&self) -> &[GgufTensor<'bytes>] {
        &self.tensors
    }

    pub fn tensor(&self, name: &str) -> Option<&GgufTensor<'bytes>> {
        self.indices.get(name).map(|&index| &self.tensors[index])
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> Option<&str> {
        self.metadata.text("general.architecture")
    }

    /// Which part of how many files this is, from 1; `None` for a model in one file.
    pub(super) fn part(&self) -> Option<(usize, usize)> {
        let count = self.metadata.size("split.count").filter(|&count| count > 1)?;
        Some((self.metadata.size("split.no").unwrap_or(0).saturating_add(1), count))
    }

    /// The value of `KEY`, stored as `ARCHITECTURE.KEY`.
    pub fn get(&self, key: &str) -> Option<&GgufValue<'bytes>> {
        self.metadata.get(&format!("{}.{key}", self.architecture()?))
    }

    /// Total size of all tensors in bytes.
    pub fn n_bytes(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.data.len()).sum()
    }
}

impl GgufTensor<'_> {
    pub fn n_values(&self) -> usize {
        self.dims.iter().product()
    }
}

/// The header entry of a tensor.
struct Info<'bytes> {
    name: &'bytes str,
    dims: Vec<usize>,
    kind: GgufType,
    offset: usize,
    n_bytes: usize,
}

impl<'bytes> Info<'bytes> {
    fn read(cursor: &mut Cursor<'bytes>) -> Result<Self, GgufError> {
        let name = cursor.name()?;
        let at = |error: GgufError| error.at(name);
        let n_dims = cursor.u32().map_err(at)?;
        if n_dims > MAX_DIMS {
            return Err(GgufError::Dims { name: name.to_owned(), found: n_dims });
        }
        let mut dims = Vec::new();
        for _ in 0..n_dims {
            // A size that overflows is larger than any file.
            dims.push(usize::try_from(cursor.u64().map_err(at)?).unwrap_or(usize::MAX));
        }
        let number = cursor.u32().map_err(at)?;
        let kind = GgufType::from_number(number)
            .ok_or_else(|| GgufError::TensorType { name: name.to_owned(), found: number })?;
        let offset = usize::try_from(cursor.u64().map_err(at)?).unwrap_or(usize::MAX);
        // If one dimension is 0, the others are arbitrary; their product must not overflow.
        let is_countable =
            dims.iter().try_fold(1_usize, |n_values, &dim| n_values.checked_mul(dim)).is_some();
        let n_bytes = kind.n_bytes(&dims).filter(|_| is_countable).ok_or_else(|| {
            GgufError::Size { name: name.to_owned(), dims: dims.clone(), kind: kind.name() }
        })?;
        Ok(Self { name, dims, kind, offset, n_bytes })
    }

    fn tensor(
        &self,
        data: &'bytes [u8],
        alignment: usize,
    ) -> Result<GgufTensor<'bytes>, GgufError> {
        let name = || self.name.to_owned();
        if !self.offset.is_multiple_of(alignment) {
            let offset = self.offset;
            return Err(GgufError::Misaligned { name: name(), offset, alignment });
        }
        let end = self.offset.checked_add(self.n_bytes);
        let found = end.and_then(|end| data.get(self.offset..end));
        let found = found.ok_or_else(|| GgufError::Outside {
            name: name(),
            offset: self.offset,
            n_bytes: self.n_bytes,
            there: data.len(),
        })?;
        let (dims, kind) = (self.dims.clone(), self.kind);
        Ok(GgufTensor { name: Cow::Borrowed(self.name), dims, kind, data: found })
    }
}

/// Overlapping tensors would let a small file expand to a large one when it is written again.
fn refuse_overlaps(infos: &mut [Info<'_>]) -> Result<(), GgufError> {
    infos.sort_by_key(|info| (info.offset, info.n_bytes));
    for pair in infos.windows(2) {
        // Both are inside the file, so that the sum does not overflow.
        if pair[0].offset + pair[0].n_bytes > pair[1].offset {
            let (first, second) = (pair[0].name.to_owned(), pair[1].name.to_owned());
            return Err(GgufError::Overlap { first, second });
        }
    }
    Ok(())
}

/// A read position in bytes.
pub(super) struct Cursor<'bytes> {
    bytes: &'bytes [u8],
    position: usize,
}

impl<'bytes> Cursor<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take(&mut self, n_bytes: usize) -> Result<&'bytes [u8], GgufError> {
        let left = self.left();
        if n_bytes > left {
            return Err(GgufError::Truncated { needed: n_bytes, left });
        }
        let taken = &self.bytes[self.position..][..n_bytes];
        self.position += n_bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Rejects a count that exceeds the remaining bytes.
    fn expect(&self, count: u64, min_bytes: u64, what: &'static str) -> Result<(), GgufError> {
        let left = self.left();
        match count.checked_mul(min_bytes) {
            Some(n_bytes) if n_bytes <= left as u64 => Ok(()),
            _ => Err(GgufError::Count { count, what, left }),
        }
    }

    fn text(&mut self) -> Result<&'bytes [u8], GgufError> {
        let len = self.u64()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// The name of a key or a tensor.
    fn name(&mut self) -> Result<&'bytes str, GgufError> {
        let bytes = self.text()?;
        std::str::from_utf8(bytes)
            .map_err(|_| GgufError::Name { found: bytes.escape_ascii().to_string() })
    }

    /// Reads a value of the type with this number; arrays may be nested `depth` deep.
    pub(super) fn value(
        &mut self,
        kind: u32,
        depth: usize,
    ) -> Result<GgufValue<'bytes>, GgufError> {
        Ok(match kind {
            tag::U8 => GgufValue::U8(self.array::<1>()?[0]),
            tag::I8 => GgufValue::I8(i8::from_le_bytes(self.array()?)),
            tag::U16 => GgufValue::U16(u16::from_le_bytes(self.array()?)),
            tag::I16 => GgufValue::I16(i16::from_le_bytes(self.array()?)),
            tag::U32 => GgufValue::U32(self.u32()?),
            tag::I32 => GgufValue::I32(i32::from_le_bytes(self.array()?)),
            tag::F32 => GgufValue::F32(f32::from_le_bytes(self.array()?)),
            tag::BOOL => match self.array::<1>()?[0] {
                0 => GgufValue::Bool(false),
                1 => GgufValue::Bool(true),
                found => return Err(GgufError::Bool { found }),
            },
            tag::TEXT => GgufValue::Text(Cow::Borrowed(self.text()?)),
            tag::ARRAY => {
                let element = self.u32()?;
                let len = self.u64()?;
                let begin = self.position;
                self.skip(element, len, depth)?;
                // Each element has at least one byte, so that the count fits in usize.
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let bytes = &self.bytes[begin..self.position];
                GgufValue::Array(GgufArray::checked(element, len, bytes))
            }
            tag::U64 => GgufValue::U64(self.u64()?),
            tag::I64 => GgufValue::I64(i64::from_le_bytes(self.array()?)),
            tag::F64 => GgufValue::F64(f64::from_le_bytes(self.array()?)),
            found => return Err(GgufError::ValueType { found }),
        })
    }

    /// Skips the elements of an array and validates them.
    fn skip(&mut self, element: u32, len: u64, depth: usize) -> Result<(), GgufError> {
        if depth == 0 {
            return Err(GgufError::Nesting { max: MAX_DEPTH });
        }
        if let Some((_, size)) = FIXED.iter().find(|row| row.0 == element) {
            self.expect(len, *size as u64, "array elements")?;
            let bytes = self.take(len as usize * size)?;
            let wrong = bytes.iter().find(|&&byte| element == tag::BOOL && byte > 1);
            return wrong.map_or(Ok(()), |&found| Err(GgufError::Bool { found }));
        }
        let min_bytes = if element == tag::ARRAY { 12 } else { 8 };
        self.expect(len, min_bytes, "array elements")?;
        for _ in 0..len {
            match element {
                tag::TEXT => {
                    self.text()?;
                }
                tag::ARRAY => {
                    let (element, len) = (self.u32()?, self.u64()?);
                    self.skip(element, len, depth - 1)?;
                }
                found => return Err(GgufError::ValueType { found }),
            }
        }
        Ok(())
    }
}
