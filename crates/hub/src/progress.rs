//! How far a download has come, for whoever wants to show it.

use crate::HubId;

/// Hears how far a download has come. `()` is for those who do not want to know.
pub trait DownloadProgress {
    /// Files of this many bytes in total are about to be downloaded.
    fn start(&mut self, id: &HubId, n_bytes: u64);
    /// So many of these bytes are on disk; `name` is the file that is being downloaded.
    fn advance(&mut self, n_bytes: u64, name: &str);
    /// All of them are.
    fn finish(&mut self);
}

impl DownloadProgress for () {
    fn start(&mut self, _id: &HubId, _n_bytes: u64) {}
    fn advance(&mut self, _n_bytes: u64, _name: &str) {}
    fn finish(&mut self) {}
}
