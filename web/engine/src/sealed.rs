//! Bytes that are stored between visits: a format, its version, and a hash over the rest, so that
//! nothing damaged or of another version is used.

use boomerang_core::bundle::hex;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A format of sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedFormat {
    /// The first bytes.
    pub magic: [u8; 8],
    /// Changes with the contents.
    pub version: u32,
}

/// Why sealed bytes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("it starts with {found:?}; expected {expected:?}")]
    Format { found: String, expected: String },
    #[error("it has version {found} of its format; this page reads version {expected}")]
    Version { found: u32, expected: u32 },
    #[error("it is damaged: its SHA-256 is {found}…; expected {expected}…")]
    Damaged { found: String, expected: String },
    #[error("it has {found} bytes; expected at least {expected}")]
    Short { found: usize, expected: usize },
}

const VERSION_AT: usize = 8;
const HASH_AT: usize = 12;
const CONTENTS_AT: usize = 44;
/// Digits of a hash in a message.
const SHOWN: usize = 12;

/// The parts, one after another, behind format, version and hash.
pub fn seal(format: SealedFormat, parts: &[&[u8]]) -> Vec<u8> {
    let n_bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut sealed = Vec::with_capacity(CONTENTS_AT + n_bytes);
    sealed.extend(format.magic);
    sealed.extend(format.version.to_le_bytes());
    sealed.extend([0; CONTENTS_AT - HASH_AT]);
    parts.iter().for_each(|part| sealed.extend_from_slice(part));
    let hash = Sha256::digest(&sealed[CONTENTS_AT..]);
    sealed[HASH_AT..CONTENTS_AT].copy_from_slice(&hash);
    sealed
}

/// The parts of [`seal`], still one after another.
///
/// # Errors
/// [`SealError`] for another format or version, and for contents that do not have their hash.
pub fn unseal(format: SealedFormat, sealed: &[u8]) -> Result<&[u8], SealError> {
    let short = || SealError::Short { found: sealed.len(), expected: CONTENTS_AT };
    let (head, contents) = sealed.split_at_checked(CONTENTS_AT).ok_or_else(short)?;
    let (magic, rest) = head.split_at(VERSION_AT);
    if magic != format.magic {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (found, expected) = (shown(magic), shown(&format.magic));
        return Err(SealError::Format { found, expected });
    }
    let (version, hash) = rest.split_at(HASH_AT - VERSION_AT);
    let found = u32::from_le_bytes(version.try_into().map_err(|_| short())?);
    if found != format.version {
        return Err(SealError::Version { found, expected: format.version });
    }
    let own = Sha256::digest(contents);
    if *own != *hash {
        let shown = |hash: &[u8]| hex(hash)[..SHOWN].to_owned();
        return Err(SealError::Damaged { found: shown(&own), expected: shown(hash) });
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: SealedFormat = SealedFormat { magic: *b"somebyte", version: 3 };

    #[test]
    fn parts_come_back_in_one_piece() {
        let sealed = seal(FORMAT, &[b"ab", b"", b"c"]);
        assert_eq!(unseal(FORMAT, &sealed), Ok(&b"abc"[..]));
    }

    #[test]
    fn a_changed_byte_anywhere_is_refused() {
        let sealed = seal(FORMAT, &[b"contents"]);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(unseal(FORMAT, &changed).is_err(), "byte {index}");
        }
        for len in 0..sealed.len() {
            assert!(unseal(FORMAT, &sealed[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn another_version_is_named() {
        let newer = SealedFormat { version: 4, ..FORMAT };
        let refused = unseal(FORMAT, &seal(newer, &[])).unwrap_err();
        assert_eq!(refused, SealError::Version { found: 4, expected: 3 });
    }
}
