//! Progress of a download, for a caller that shows it.

use crate::HubId;

/// Receives the progress of a download. `()` ignores it.
pub trait DownloadProgress {
    /// Files of this many bytes in total are about to be downloaded.
    fn start(&mut self, id: &HubId, n_bytes: u64);
    /// `n_bytes` of them are on disk; `name` is the current file.
    fn advance(&mut self, n_bytes: u64, name: &str);
    /// All of them are on disk.
    fn finish(&mut self);
}

impl DownloadProgress for () {
    fn start(&mut self, _id: &HubId, _n_bytes: u64) {}
    fn advance(&mut self, _n_bytes: u64, _name: &str) {}
    fn finish(&mut self) {}
}
