//! Metadata: keys with values, in the order of the file.
//!
//! Strings and arrays remain the bytes of the file: a vocabulary of 150,000 tokens is neither
//! copied nor parsed when it is transferred to another file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::GgufError;
use super::read::Cursor;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue<'bytes> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// Usually UTF-8, but not guaranteed.
    Text(Cow<'bytes, [u8]>),
    Array(GgufArray<'bytes>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// Values of one type, as bytes that were validated when read.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufArray<'bytes> {
    /// The value type number of the elements.
    pub(super) element: u32,
    len: usize,
    bytes: Cow<'bytes, [u8]>,
}

/// The value type numbers.
pub(super) mod tag {
    pub(in crate::gguf) const U8: u32 = 0;
    pub(in crate::gguf) const I8: u32 = 1;
    pub(in crate::gguf) const U16: u32 = 2;
    pub(in crate::gguf) const I16: u32 = 3;
    pub(in crate::gguf) const U32: u32 = 4;
    pub(in crate::gguf) const I32: u32 = 5;
    pub(in crate::gguf) const F32: u32 = 6;
    pub(in crate::gguf) const BOOL: u32 = 7;
    pub(in crate::gguf) const TEXT: u32 = 8;
    pub(in crate::gguf) const ARRAY: u32 = 9;
    pub(in crate::gguf) const U64: u32 = 10;
    pub(in crate::gguf) const I64: u32 = 11;
    pub(in crate::gguf) const F64: u32 = 12;
}

impl<'bytes> GgufValue<'bytes> {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into().into_bytes()))
    }

    /// A non-negative integer of any width.
    pub fn as_size(&self) -> Option<usize> {
        match *self {
            Self::U8(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::U32(value) => usize::try_from(value).ok(),
            Self::U64(value) => usize::try_from(value).ok(),
            Self::I8(value) => usize::try_from(value).ok(),
            Self::I16(value) => usize::try_from(value).ok(),
            Self::I32(value) => usize::try_from(value).ok(),
            Self::I64(value) => usize::try_from(value).ok(),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&GgufArray<'bytes>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    pub(super) fn tag(&self) -> u32 {
        match self {
            Self::U8(_) => tag::U8,
            Self::I8(_) => tag::I8,
            Self::U16(_) => tag::U16,
            Self::I16(_) => tag::I16,
            Self::U32(_) => tag::U32,
            Self::I32(_) => tag::I32,
            Self::F32(_) => tag::F32,
            Self::Bool(_) => tag::BOOL,
            Self::Text(_) => tag::TEXT,
            Self::Array(_) => tag::ARRAY,
            Self::U64(_) => tag::U64,
            Self::I64(_) => tag::I64,
            Self::F64(_) => tag::F64,
        }
    }

    /// Writes the value, without its type.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => out.push(*value),
            Self::I8(value) => out.extend(value.to_le_bytes()),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::I16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Text(bytes) => write_text(bytes, out),
            Self::Array(array) => {
                out.extend(array.element.to_le_bytes());
                out.extend((array.len as u64).to_le_bytes());
                out.extend_from_slice(&array.bytes);
            }
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::I64(value) => out.extend(value.to_le_bytes()),
            Self::F64(value) => out.extend(value.to_le_bytes()),
        }
    }

    /// For errors: the value, or the length of an array.
    pub fn describe(&self) -> String {
        match self {
            Self::U8(value) => value.to_string(),
            Self::I8(value) => value.to_string(),
            Self::U16(value) => value.to_string(),
            Self::I16(value) => value.to_string(),
            Self::U32(value) => value.to_string(),
            Self::I32(value) => value.to_string(),
            Self::F32(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Text(bytes) => format!("{:?}", shown(&String::from_utf8_lossy(bytes))),
            Self::Array(array) => format!("an array of {}", array.len),
            Self::U64(value) => value.to_string(),
            Self::I64(value) => value.to_string(),
            Self::F64(value) => value.to_string(),
        }
    }
}

/// The beginning of a text, for errors: a file's may be as long as the file.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}

pub(super) fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

impl<'bytes> GgufArray<'bytes> {
    pub(super) fn checked(element: u32, len: usize, bytes: &'bytes [u8]) -> Self {
        Self { element, len, bytes: Cow::Borrowed(bytes) }
    }

    /// An array of these values; `None` if their types differ.
    pub fn of(values: &[GgufValue<'_>]) -> Option<Self> {
        let element = values.first().map_or(tag::U32, GgufValue::tag);
        if values.iter().any(|value| value.tag() != element) {
            return None;
        }
        let mut bytes = Vec::new();
        values.iter().for_each(|value| value.write(&mut bytes));
        Some(Self { element, len: values.len(), bytes: Cow::Owned(bytes) })
    }

    pub fn of_texts(texts: impl Iterator<Item = impl AsRef<[u8]>>) -> Self {
        let (mut len, mut bytes) = (0, Vec::new());
        for text in texts {
            write_text(text.as_ref(), &mut bytes);
            len += 1;
        }
        Self { element: tag::TEXT, len, bytes: Cow::Owned(bytes) }
    }

    pub fn of_u32(values: impl Iterator<Item = u32>) -> Self {
        let values: Vec<GgufValue<'_>> = values.map(GgufValue::U32).collect();
        Self::of(&values).unwrap_or_else(|| Self::checked(tag::U32, 0, &[]))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values one by one; ends early at deeply nested arrays.
    pub fn values(&self) -> impl Iterator<Item = GgufValue<'_>> {
        let mut cursor = Cursor::new(&self.bytes);
        (0..self.len).map_while(move |_| cursor.value(self.element, 1).ok())
    }

    /// The values as non-negative integers, if all are.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.values().map(|value| value.as_size()).collect()
    }
}

/// Keys and values, in the order of the file. Invariant: keys are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata<'bytes> {
    entries: Vec<(Cow<'bytes, str>, GgufValue<'bytes>)>,
    indices: BTreeMap<Cow<'bytes, str>, usize>,
}

impl<'bytes> Metadata<'bytes> {
    /// Adds a key that must not exist yet.
    pub(super) fn add(
        &mut self,
        key: &'bytes str,
        value: GgufValue<'bytes>,
    ) -> Result<(), GgufError> {
        if self.indices.insert(Cow::Borrowed(key), self.entries.len()).is_some() {
            return Err(GgufError::DuplicateKey { key: key.to_owned() });
        }
        self.entries.push((Cow::Borrowed(key), value));
        Ok(())
    }

    /// Sets the value of a key; an existing key keeps its index.
    pub fn set(&mut self, key: impl Into<String>, value: GgufValue<'bytes>) {
        let key: String = key.into();
        match self.indices.get(&*key) {
            Some(&index) => self.entries[index].1 = value,
            None => {
                self.indices.insert(Cow::Owned(key.clone()), self.entries.len());
                self.entries.push((Cow::Owned(key), value));
            }
        }
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.entries.retain(|(key, _)| keep(key));
        let keys = self.entries.iter().enumerate();
        self.indices = keys.map(|(index, (key, _))| (key.clone(), index)).collect();
    }

    pub fn get(&self, key: &str) -> Option<&GgufValue<'bytes>> {
        self.indices.get(key).map(|&index| &self.entries[index].1)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub fn size(&self, key: &str) -> Option<usize> {
        self.get(key)?.as_size()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &GgufValue<'bytes>)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets all entries of `other`.
    pub fn extend(&mut self, other: Self) {
        for (key, value) in other.entries {
            self.set(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_set_again_keeps_its_place() {
        let mut metadata = Metadata::default();
        metadata.set("a", GgufValue::U32(1));
        metadata.set("b", GgufValue::Bool(true));
        metadata.set("a", GgufValue::U32(2));
        let keys: Vec<&str> = metadata.iter().map(|entry| entry.0).collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(metadata.size("a"), Some(2));
        metadata.retain(|key| key != "a");
        assert_eq!(metadata.get("b"), Some(&GgufValue::Bool(true)));
        assert_eq!((metadata.len(), metadata.get("a")), (1, None));
    }

    #[test]
    fn an_array_returns_its_values() {
        let texts = GgufArray::of_texts(["a", "", "Ġb"].into_iter());
        let read: Vec<String> =
            texts.values().filter_map(|value| value.as_text().map(str::to_owned)).collect();
        assert_eq!(read, ["a", "", "Ġb"]);
        assert_eq!(GgufArray::of_u32([3, 4].into_iter()).sizes(), Some(vec![3, 4]));
        assert_eq!(GgufArray::of(&[GgufValue::U8(1), GgufValue::Bool(true)]), None);
    }
}
