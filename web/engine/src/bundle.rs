//! A bundle while it is loaded: which of its files fit in memory, are loaded, and come next.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::bundle::{BundleError, BundleFile, BundleLoader, Manifest};
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::Patch;
use web_sys::Blob;

use crate::worker::Worker;

/// A bundle and what is loaded of it.
pub(crate) struct Bundle {
    pub(crate) loader: BundleLoader,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) source: BundleSource,
    /// Files that are on no server, by path.
    pub(crate) uploaded: BTreeMap<String, Blob>,
    /// Files that fit in memory, in the order in which they are fetched.
    pub(crate) files: Vec<BundleFile>,
    /// Members whose files are fetched first.
    pub(crate) prioritized: Vec<Patch>,
    pub(crate) is_loading: bool,
}

/// A bundle as the page requests it.
pub(crate) struct BundleSource {
    /// Files are fetched relative to it.
    pub(crate) manifest_url: String,
    pub(crate) manifest: String,
    /// How many sizes of the path fit in memory, smallest first.
    pub(crate) n_sizes: usize,
    /// Whether it is stored for the next visit.
    pub(crate) is_kept: bool,
}

impl Bundle {
    pub(crate) fn new(
        source: BundleSource,
        uploaded: BTreeMap<String, Blob>,
        worker: &Worker,
    ) -> Result<Self, BundleError> {
        let manifest = Manifest::from_json(&source.manifest)?;
        let config = manifest.config()?;
        let format = match manifest.stays_packed(&config) {
            true => worker.format,
            false => WeightFormat::F32,
        };
        let end_tokens = config.end_tokens().to_vec();
        let mut fitting = manifest.order.path(&manifest.plan)?;
        fitting.truncate(source.n_sizes);
        let of_fitting: BTreeSet<&str> = fitting
            .iter()
            .flat_map(|patch| manifest.files_of(patch))
            .map(|file| file.path.as_str())
            .collect();
        let fits = |file: &&BundleFile| of_fitting.contains(file.path.as_str());
        let files = manifest.files().filter(fits).cloned().collect();
        let loader = BundleLoader::new(manifest, worker.device.clone())?.in_format(format);
        let (prioritized, is_loading) = (Vec::new(), true);
        Ok(Self { loader, end_tokens, source, uploaded, files, prioritized, is_loading })
    }

    /// The file to fetch next: the first that a prioritized member lacks, or the first of all.
    pub(crate) fn next_file(&self) -> Option<BundleFile> {
        let manifest = self.loader.manifest();
        let prioritized = self.prioritized.iter().flat_map(|patch| manifest.files_of(patch));
        let is_missing = |file: &&BundleFile| !self.loader.has(file);
        let prioritized = prioritized.filter(is_missing).find(|file| self.files.contains(file));
        prioritized.or_else(|| self.files.iter().find(is_missing)).cloned()
    }

    pub(crate) fn n_loaded_bytes(&self) -> u64 {
        self.files.iter().filter(|file| self.loader.has(file)).map(|file| file.bytes).sum()
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
