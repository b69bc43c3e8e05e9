//! A bundle that is arriving: which of its files have room, are here, and come next.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::bundle::{BundleError, BundleFile, BundleLoader, Manifest};
use boomerang_core::plan::Patch;
use web_sys::Blob;

use crate::worker::Worker;

/// What has arrived of a bundle.
pub(crate) struct Bundle {
    pub(crate) loader: BundleLoader,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) come: Come,
    /// Files that no server has, by path.
    pub(crate) brought: BTreeMap<String, Blob>,
    /// Files that have room here, in the order in which they are fetched.
    pub(crate) files: Vec<BundleFile>,
    /// Members whose files come before all others.
    pub(crate) wanted: Vec<Patch>,
    pub(crate) is_arriving: bool,
}

/// A bundle as the page asks for it.
pub(crate) struct Come {
    /// Files are fetched relative to it.
    pub(crate) manifest_url: String,
    pub(crate) manifest: String,
    /// How many sizes of the path have room here, the smallest first.
    pub(crate) n_sizes: usize,
    /// Whether it is kept for the next visit.
    pub(crate) is_kept: bool,
}

impl Bundle {
    pub(crate) fn new(
        come: Come,
        brought: BTreeMap<String, Blob>,
        worker: &Worker,
    ) -> Result<Self, BundleError> {
        let manifest = Manifest::from_json(&come.manifest)?;
        let end_tokens = manifest.config()?.end_tokens().to_vec();
        let mut roomy = manifest.order.path(&manifest.plan)?;
        roomy.truncate(come.n_sizes);
        let of_roomy: BTreeSet<&str> = roomy
            .iter()
            .flat_map(|patch| manifest.files_of(patch))
            .map(|file| file.path.as_str())
            .collect();
        let has_room = |file: &&BundleFile| of_roomy.contains(file.path.as_str());
        let files = manifest.files().filter(has_room).cloned().collect();
        let loader = BundleLoader::new(manifest, worker.device.clone())?;
        let (wanted, is_arriving) = (Vec::new(), true);
        Ok(Self { loader, end_tokens, come, brought, files, wanted, is_arriving })
    }

    /// The file to fetch next: the first that a wanted member lacks, or the first of all.
    pub(crate) fn next_file(&self) -> Option<BundleFile> {
        let manifest = self.loader.manifest();
        let wanted = self.wanted.iter().flat_map(|patch| manifest.files_of(patch));
        let is_missing = |file: &&BundleFile| !self.loader.has(file);
        let wanted = wanted.filter(is_missing).find(|file| self.files.contains(file));
        wanted.or_else(|| self.files.iter().find(is_missing)).cloned()
    }

    pub(crate) fn n_arrived(&self) -> u64 {
        self.files.iter().filter(|file| self.loader.has(file)).map(|file| file.bytes).sum()
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
