//! Writing a file while it is downloaded, so that a later visit can resume it.

use std::rc::Rc;

use boomerang_core::bundle::BundleFile;

use super::Store;
use super::private_files::{FileWriter, is_locked};

/// Written to IndexedDB in one transaction; one for every chunk would take longer than the network.
const PIECE: usize = 1 << 20;

/// The file that is being downloaded.
pub(super) struct Writing {
    file: Rc<str>,
    /// How many bytes are written.
    at: usize,
    /// `None` for the database.
    writer: Option<FileWriter>,
}

impl Writing {
    pub(super) fn is_of(&self, name: &str) -> bool {
        &*self.file == name
    }
}

impl Store {
    /// Prepares to receive a file of which the first `start` bytes are stored.
    pub(crate) async fn begin(&self, file: &BundleFile, start: usize) -> Result<(), String> {
        self.writing.replace(None);
        if !self.is_keeping.get() {
            return Ok(());
        }
        let name = &file.sha256;
        if start == 0 && self.files.is_none() {
            self.drop_file(name).await;
        }
        let writer = match &self.files {
            None => None,
            Some(files) => match files.write(name, start as u64).await {
                Ok(writer) => Some(writer),
                // Another tab is storing it.
                Err(error) if is_locked(&error) => return Ok(()),
                Err(error) => return Err(self.give_up(&error)),
            },
        };
        let writing = Writing { file: name.as_str().into(), at: start, writer };
        self.writing.replace(Some(writing));
        Ok(())
    }

    /// Stores the bytes of the file received so far, from its start; more may follow.
    ///
    /// # Errors
    /// Why nothing more is stored, once.
    pub(crate) async fn receive(&self, bytes: &[u8], is_end: bool) -> Result<(), String> {
        let Some(mut writing) = self.writing.take() else { return Ok(()) };
        let in_pieces = writing.writer.is_none();
        while let Some(end) = due(writing.at, bytes.len(), in_pieces, is_end) {
            let (new, at) = (&bytes[writing.at..end], writing.at as u64);
            let written = match (&writing.writer, &self.database) {
                (Some(writer), _) => writer.write(new, at),
                (None, Some(database)) => database.write(&writing.file, new, at).await,
                (None, None) => Ok(()),
            };
            if let Err(error) = written {
                let file = Rc::clone(&writing.file);
                drop(writing);
                self.drop_file(&file).await;
                return Err(self.give_up(&error));
            }
            writing.at = end;
        }
        // The user may have deleted the bundle meanwhile.
        if !is_end && self.is_keeping.get() {
            self.writing.replace(Some(writing));
        }
        Ok(())
    }
}

/// Where the next write from `at` ends, of `len` bytes received; `None` while it waits for more. Files
/// are written as received, the database in pieces.
fn due(at: usize, len: usize, in_pieces: bool, is_end: bool) -> Option<usize> {
    match len.saturating_sub(at) {
        0 => None,
        _ if !in_pieces => Some(len),
        PIECE.. => Some(at + PIECE),
        _ => is_end.then_some(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_as_received() {
        assert_eq!(due(10, 10, false, true), None);
        assert_eq!(due(10, 11, false, false), Some(11));
        assert_eq!(due(0, 3 * PIECE, false, false), Some(3 * PIECE));
    }

    #[test]
    fn the_database_gets_full_pieces_and_then_the_rest() {
        let len = PIECE + 7;
        assert_eq!(due(0, PIECE - 1, true, false), None);
        assert_eq!(due(0, len, true, false), Some(PIECE));
        assert_eq!(due(PIECE, len, true, false), None);
        assert_eq!(due(PIECE, len, true, true), Some(len));
        assert_eq!(due(len, len, true, true), None);
    }

    #[test]
    fn a_resumed_file_is_written_from_its_end() {
        assert_eq!(due(5, PIECE + 5, true, false), Some(PIECE + 5));
        assert_eq!(due(5, PIECE + 4, true, false), None);
    }
}
