//! Progress of a download.

use boomerang_hub::{DownloadProgress, HubId};

use super::Progress;

/// The bar of a download that takes long enough for one.
#[derive(Default)]
pub struct Download {
    progress: Option<Progress>,
    n_bytes: u64,
}

const MEGABYTE: u64 = 1_000_000;
/// Smaller downloads finish before a bar would be seen.
const WORTH_A_BAR: u64 = 10 * MEGABYTE;

impl DownloadProgress for Download {
    fn start(&mut self, id: &HubId, n_bytes: u64) {
        let name = id.repo().rsplit('/').next().unwrap_or_default();
        let n_megabytes = n_bytes.div_ceil(MEGABYTE) as usize;
        self.n_bytes = n_bytes;
        self.progress =
            (n_bytes >= WORTH_A_BAR).then(|| Progress::new(&format!("{name}, MB"), n_megabytes));
    }

    fn advance(&mut self, n_bytes: u64, name: &str) {
        if let Some(progress) = &mut self.progress {
            progress.set((n_bytes / MEGABYTE) as usize, || name.to_owned());
        }
    }

    fn finish(&mut self) {
        if let Some(mut progress) = self.progress.take() {
            progress.set(self.n_bytes.div_ceil(MEGABYTE) as usize, String::new);
            progress.finish();
        }
    }
}
