//! A bundle file: path, size and hash.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BundleError;

/// A bundle file; its path is relative to the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFile {
    pub path: String,
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl BundleFile {
    /// The entry of a file with these bytes.
    pub fn of(path: String, bytes: &[u8]) -> Self {
        Self { path, bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }

    /// # Errors
    /// [`BundleError::Length`] or [`BundleError::Hash`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.path.clone();
        if bytes.len() as u64 != self.bytes {
            return Err(BundleError::Length { path, found: bytes.len(), expected: self.bytes });
        }
        if hex(&Sha256::digest(bytes)) != self.sha256 {
            return Err(BundleError::Hash { path });
        }
        Ok(())
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, BundleError> {
        // Parsed as text, like the manifest: parsing bytes would add a second JSON parser to the
        // page's wasm.
        std::str::from_utf8(bytes)
            .map_err(serde_json::Error::custom)
            .and_then(serde_json::from_str)
            .map_err(|source| BundleError::Json { path: self.path.clone(), source })
    }

    pub(super) fn unfit(&self, reason: String) -> BundleError {
        BundleError::Unfit { path: self.path.clone(), reason }
    }

    pub(super) fn is_below(&self) -> bool {
        let parts = self.path.split('/');
        !self.path.contains(['\\', ':', '?', '#', '%'])
            && parts.into_iter().all(|part| !part.is_empty() && !part.starts_with('.'))
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> BundleFile {
        BundleFile::of(path.to_owned(), b"weights")
    }

    #[test]
    fn a_corrupt_file_and_a_short_one_are_different_errors() {
        assert!(matches!(file("a").verify(b"weight"), Err(BundleError::Length { .. })));
        assert!(matches!(file("a").verify(b"weightz"), Err(BundleError::Hash { .. })));
        assert!(file("a").verify(b"weights").is_ok());
    }

    #[test]
    fn paths_stay_below_the_manifest() {
        assert!(file("teacher/layer-00.safetensors").is_below());
        for path in ["../x", "/x", "a//b", "http://x", "a\\b", "a/../b", ".hidden"] {
            assert!(!file(path).is_below(), "{path}");
        }
    }
}
