//! The bundle as it arrives, file by file, while members that are whole already write.

use std::rc::Rc;

use boomerang_core::bundle::{BundleError, BundleFile, BundleLoader, Manifest};
use boomerang_core::plan::Patch;
use js_sys::Uint8Array;
use wasm_bindgen_futures::spawn_local;

use crate::fetch::{Body, FetchError, Freshness, MAX_RESERVED, beside};
use crate::messages::Reply;
use crate::notice::{Notice, chain};
use crate::store::space;
use crate::worker::{Worker, post};

/// What has arrived of a bundle.
pub(crate) struct Bundle {
    pub(crate) loader: BundleLoader,
    pub(crate) end_tokens: Vec<u32>,
    /// Files are fetched relative to it.
    manifest_url: String,
    /// The manifest as it was fetched; `None` of a family that no server has.
    json: Option<String>,
    /// Members whose files come before all others.
    wanted: Vec<Patch>,
    is_arriving: bool,
}

impl Bundle {
    /// The file to fetch next: the first that a wanted member lacks, or the first of all.
    fn next_file(&self) -> Option<BundleFile> {
        let manifest = self.loader.manifest();
        let wanted = self.wanted.iter().flat_map(|patch| manifest.files_of(patch));
        let mut files = wanted.chain(manifest.files());
        files.find(|file| !self.loader.has(file)).cloned()
    }

    fn n_arrived(&self) -> u64 {
        let files = self.loader.manifest().files();
        files.filter(|file| self.loader.has(file)).map(|file| file.bytes).sum()
    }
}

impl Worker {
    /// Begins to fetch a bundle, or goes on with it after a failure; members wait for their files.
    pub(crate) fn load(
        worker: &Rc<Self>,
        manifest_url: String,
        json: String,
    ) -> Result<(), Notice> {
        let mut bundle = worker.bundle.borrow_mut();
        match bundle.as_mut() {
            Some(bundle) if bundle.is_arriving => return Ok(()),
            Some(bundle) => bundle.is_arriving = true,
            None => {
                let manifest = Manifest::from_json(&json).map_err(unusable)?;
                let config = manifest.config().map_err(|error| unusable(error.into()))?;
                let loader =
                    BundleLoader::new(manifest, worker.device.clone()).map_err(unusable)?;
                let (wanted, end_tokens) = (Vec::new(), config.end_tokens());
                let (json, is_arriving) = (Some(json), true);
                *bundle =
                    Some(Bundle { loader, end_tokens, manifest_url, json, wanted, is_arriving });
            }
        }
        let worker = Rc::clone(worker);
        spawn_local(async move { worker.fetch_all().await });
        Ok(())
    }

    /// Takes the place of the family before; what the two have in common is not fetched again.
    pub(crate) fn adopt(
        worker: &Rc<Self>,
        manifest_url: String,
        manifest: &str,
        files: Vec<(String, Uint8Array)>,
    ) -> Result<(), Notice> {
        let manifest = Manifest::from_json(manifest).map_err(unusable)?;
        let config = manifest.config().map_err(|error| unusable(error.into()))?;
        let listed: Vec<BundleFile> = manifest.files().cloned().collect();
        let mut loader = BundleLoader::new(manifest, worker.device.clone()).map_err(unusable)?;
        for (path, bytes) in files {
            if let Some(file) = listed.iter().find(|file| file.path == path) {
                loader.add(file, &bytes.to_vec()).map_err(unusable)?;
            }
        }
        let before = worker.bundle.borrow_mut().take();
        let was_arriving = before.as_ref().is_some_and(|before| before.is_arriving);
        if let Some(before) = before {
            loader.take_from(&before.loader);
        }
        for file in listed.into_iter().filter(|file| loader.has(file)) {
            post(&Reply::Arrived { path: file.path });
        }
        let (wanted, end_tokens) = (Vec::new(), config.end_tokens());
        let (json, is_arriving) = (None, true);
        let bundle = Bundle { loader, end_tokens, manifest_url, json, wanted, is_arriving };
        *worker.bundle.borrow_mut() = Some(bundle);
        // Whoever fetches for the family before goes on for this one.
        if !was_arriving {
            let worker = Rc::clone(worker);
            spawn_local(async move { worker.fetch_all().await });
        }
        Ok(())
    }

    /// Has the files of these members fetched before all others.
    pub(crate) fn want(&self, patches: &[Patch]) {
        if let Some(bundle) = self.bundle.borrow_mut().as_mut() {
            bundle.wanted = patches.to_vec();
        }
    }

    /// Waits for the next file; false when none is on its way.
    pub(crate) async fn next_arrival(&self) -> bool {
        let is_arriving = self.bundle.borrow().as_ref().is_some_and(|bundle| bundle.is_arriving);
        if is_arriving {
            self.arrivals.next().await;
        }
        is_arriving
    }

    async fn fetch_all(&self) {
        self.remember_bundle().await;
        let outcome = loop {
            match self.fetch_next().await {
                Ok(true) => self.arrivals.tell(),
                Ok(false) => break Reply::Loaded,
                Err(notice) => break Reply::LoadFailed { notice },
            }
        };
        if let Some(bundle) = self.bundle.borrow_mut().as_mut() {
            bundle.is_arriving = false;
        }
        self.arrivals.tell();
        post(&outcome);
    }

    async fn remember_bundle(&self) {
        let bundle = self.bundle.borrow().as_ref().and_then(|bundle| {
            let manifest = bundle.loader.manifest().clone();
            Some((bundle.manifest_url.clone(), bundle.json.clone()?, manifest))
        });
        if let Some((url, json, manifest)) = bundle {
            tell_if_not(self.store.keep(&url, &json, &manifest).await).await;
        }
    }

    /// Puts one file on the device, from the store as far as it is there, the rest from the server;
    /// false when all are here. One that comes out damaged is fetched once more, past the browser's
    /// cache.
    async fn fetch_next(&self) -> Result<bool, Notice> {
        let next = self.bundle.borrow().as_ref().and_then(|bundle| {
            let manifest_url = bundle.manifest_url.clone();
            let total = bundle.loader.manifest().n_bytes();
            Some((bundle.next_file()?, manifest_url, bundle.n_arrived(), total))
        });
        let Some((file, manifest_url, arrived, total)) = next else { return Ok(false) };
        let url = beside(&manifest_url, &file.path);
        let progress = |bytes| {
            post(&Reply::Progress { bytes: arrived + bytes, total, path: file.path.clone() });
        };
        let mut bytes = self.store.read(&file, progress).await;
        let mut is_stored = !bytes.is_empty() && bytes.len() as u64 == file.bytes;
        let mut freshness = Freshness::Cached;
        loop {
            let outcome = match is_stored {
                true => Ok(()),
                false => self.fetch_rest(&url, &file, freshness, &mut bytes, progress).await,
            };
            let damage = match outcome {
                Ok(()) => match self.keep(&file, &bytes) {
                    Ok(()) => {
                        drop(bytes);
                        self.store.mark_whole(&file).await;
                        post(&Reply::Arrived { path: file.path });
                        return Ok(true);
                    }
                    Err(error @ (BundleError::Hash { .. } | BundleError::Length { .. })) => {
                        chain(&error)
                    }
                    Err(error) => return Err(unusable(error)),
                },
                Err(error @ FetchError::TooLong { .. }) => error.to_string(),
                Err(error) => {
                    let next = "Check that the whole bundle folder lies beside the page, and that \
                                the network is there.";
                    return Err(Notice::new("Loading stopped.", error, next));
                }
            };
            self.store.drop_file(&file.sha256).await;
            bytes.clear();
            if is_stored {
                // Damaged in this browser, which says nothing about the server.
                is_stored = false;
            } else if freshness == Freshness::Reload {
                let next = "The file on the server is not the one the manifest describes.";
                return Err(Notice::new("Loading stopped.", damage, next));
            } else {
                freshness = Freshness::Reload;
            }
        }
    }

    /// Appends what `bytes` lack of a file, and stores it as it arrives.
    async fn fetch_rest(
        &self,
        url: &str,
        file: &BundleFile,
        freshness: Freshness,
        bytes: &mut Vec<u8>,
        progress: impl Fn(u64),
    ) -> Result<(), FetchError> {
        let body = Body::open(url, bytes.len() as u64, freshness).await?;
        bytes.truncate(body.start as usize);
        bytes.reserve_exact((file.bytes.min(MAX_RESERVED) as usize).saturating_sub(bytes.len()));
        tell_if_not(self.store.begin(file, bytes.len()).await).await;
        let outcome = loop {
            match body.append_to(bytes, file.bytes).await {
                Ok(true) => {
                    progress(bytes.len() as u64);
                    tell_if_not(self.store.receive(bytes, false).await).await;
                }
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // After a failure, too: the next visit goes on from here.
        tell_if_not(self.store.receive(bytes, true).await).await;
        outcome
    }

    fn keep(&self, file: &BundleFile, bytes: &[u8]) -> Result<(), BundleError> {
        match self.bundle.borrow_mut().as_mut() {
            Some(bundle) => bundle.loader.add(file, bytes),
            None => Ok(()),
        }
    }
}

/// The model is used all the same.
async fn tell_if_not(kept: Result<(), String>) {
    if let Err(why) = kept {
        post(&Reply::NotKept { why, space: space::estimate().await });
    }
}

fn unusable(error: BundleError) -> Notice {
    let next = "The bundle has to be made again with this version of Boomerang.";
    Notice::new("The model cannot be used.", chain(&error), next)
}
