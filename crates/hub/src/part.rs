//! A partly downloaded file, and its hash so far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use boomerang_core::bundle::hex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Expected size and hash of a complete file.
///
/// Invariant: `hash` is 40 or 64 lowercase hexadecimal digits, so it is a valid file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) size: u64,
    hash: String,
}

/// The file as it grows.
///
/// A partial file of another process is hashed once, when it is opened.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    expected: Expected,
    n_bytes: u64,
    hasher: Hasher,
}

/// The Hub identifies large files by SHA-256, and all others by their git blob hash.
enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Expected {
    /// `None` when `etag` has no hash to check.
    pub(crate) fn new(size: u64, etag: &str) -> Option<Self> {
        let hash = etag.trim_start_matches("W/").trim_matches('"');
        let is_hash = [40, 64].contains(&hash.len())
            && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Self { size, hash: hash.to_owned() })
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    fn hasher(&self) -> Hasher {
        if self.hash.len() == 64 {
            return Hasher::Sha256(Sha256::new());
        }
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", self.size));
        Hasher::Git(hasher)
    }
}

impl Part {
    /// Opens the partial file; one that is longer than expected is started again.
    pub(crate) fn open(path: &Path, expected: &Expected) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let hasher = expected.hasher();
        let (path, expected) = (path.to_owned(), expected.clone());
        let mut part = Self { path, file, expected, n_bytes: 0, hasher };
        if part.file.metadata()?.len() > part.expected.size {
            part.restart()?;
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            match part.file.read(&mut buffer)? {
                0 => return Ok(part),
                n => part.count(&buffer[..n]),
            }
        }
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    pub(crate) fn n_missing(&self) -> u64 {
        self.expected.size.saturating_sub(self.n_bytes)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.count(bytes);
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Git(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.n_bytes = 0;
        self.hasher = self.expected.hasher();
        Ok(())
    }

    /// The hash of the bytes so far.
    pub(crate) fn hash(&self) -> String {
        match &self.hasher {
            Hasher::Sha256(hasher) => hex(&hasher.clone().finalize()),
            Hasher::Git(hasher) => hex(&hasher.clone().finalize()),
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.n_missing() == 0 && self.hash() == self.expected.hash
    }

    /// Gives the file its name.
    pub(crate) fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

const BUFFER: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of `git hash-object` and `sha256sum` for "hello\n".
    const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    #[test]
    fn both_kinds_of_hash_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        for hash in [GIT, SHA256] {
            let expected = Expected::new(6, &format!("W/\"{hash}\"")).unwrap();
            let mut part = Part::open(&folder.path().join(hash), &expected).unwrap();
            part.append(b"hello").unwrap();
            assert!(!part.is_whole());
            part.append(b"\n").unwrap();
            assert!(part.is_whole());
        }
    }

    #[test]
    fn a_part_is_taken_up_where_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "hel").unwrap();
        let mut part = Part::open(&path, &Expected::new(6, SHA256).unwrap()).unwrap();
        assert_eq!(part.n_missing(), 3);
        part.append(b"lo\n").unwrap();
        assert!(part.is_whole());
        part.finish(&folder.path().join("whole")).unwrap();
        assert_eq!(fs::read(folder.path().join("whole")).unwrap(), b"hello\n");
    }

    #[test]
    fn a_part_that_is_too_long_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "hello, world").unwrap();
        let part = Part::open(&path, &Expected::new(6, SHA256).unwrap()).unwrap();
        assert_eq!((part.n_bytes(), fs::metadata(&path).unwrap().len()), (0, 0));
    }

    #[test]
    fn an_etag_that_is_not_a_hash_is_refused() {
        let long = "a".repeat(63);
        for etag in ["", "\"abc\"", "../../../../../../../../../../../../../x", &*long] {
            assert_eq!(Expected::new(1, etag), None, "{etag:?}");
        }
    }
}
