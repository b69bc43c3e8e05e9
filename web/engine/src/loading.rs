//! Loading a bundle file by file, while members that are complete already generate.

use std::collections::BTreeMap;
use std::rc::Rc;

use boomerang_core::bundle::{BundleError, BundleFile, Manifest};
use boomerang_core::plan::Patch;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use crate::bundle::{Bundle, BundleSource};
use crate::fetch::{Body, FetchError, Freshness, MAX_RESERVED, Redirects, beside};
use crate::messages::{FamilyReply, FamilyRequest, Reply, StoreReply};
use crate::notice::{Notice, chain};
use crate::store::is_kept_only;
use crate::store::space;
use crate::worker::{Worker, now_millis, post};

impl Worker {
    pub(crate) fn on_family_request(worker: &Rc<Self>, request: FamilyRequest, files: Vec<Blob>) {
        let outcome = match request {
            FamilyRequest::Load { manifest_url, manifest, n_sizes } => {
                let source = BundleSource { manifest_url, manifest, n_sizes, is_kept: true };
                Self::load(worker, source)
            }
            FamilyRequest::Adopt { manifest_url, manifest, n_sizes, paths, is_kept } => {
                let source = BundleSource { manifest_url, manifest, n_sizes, is_kept };
                Self::adopt(worker, source, paths.into_iter().zip(files).collect())
            }
            FamilyRequest::Prioritize { patch } => {
                worker.prioritize(&[patch]);
                Ok(())
            }
        };
        if let Err(notice) = outcome {
            post(&Reply::Family(FamilyReply::LoadFailed { notice }));
        }
    }

    /// Starts to fetch a bundle, or resumes after a failure; members wait for their files.
    fn load(worker: &Rc<Self>, source: BundleSource) -> Result<(), Notice> {
        let mut bundle = worker.bundle.borrow_mut();
        match bundle.as_mut() {
            Some(bundle) if bundle.is_loading => return Ok(()),
            Some(bundle) => bundle.is_loading = true,
            None => {
                let new = Bundle::new(source, BTreeMap::new(), worker).map_err(unusable)?;
                *bundle = Some(new);
            }
        }
        let worker = Rc::clone(worker);
        spawn_local(async move { worker.fetch_all().await });
        Ok(())
    }

    /// Replaces the current family; files that both have are not fetched again.
    fn adopt(
        worker: &Rc<Self>,
        source: BundleSource,
        files: BTreeMap<String, Blob>,
    ) -> Result<(), Notice> {
        let mut bundle = Bundle::new(source, files, worker).map_err(unusable)?;
        let before = worker.bundle.borrow_mut().take();
        let was_loading = before.as_ref().is_some_and(|before| before.is_loading);
        if let Some(before) = before {
            bundle.loader.take_from(&before.loader);
        }
        for file in bundle.files.iter().filter(|file| bundle.loader.has(file)) {
            post(&Reply::Family(FamilyReply::FileLoaded { path: file.path.clone() }));
        }
        *worker.bundle.borrow_mut() = Some(bundle);
        worker.n_adopted.set(worker.n_adopted.get() + 1);
        worker.last_text.replace(None);
        // The task that fetches for the previous family notices, and continues with this one.
        if !was_loading {
            let worker = Rc::clone(worker);
            spawn_local(async move { worker.fetch_all().await });
        }
        Ok(())
    }

    /// Fetches the files of these members before all others.
    pub(crate) fn prioritize(&self, patches: &[Patch]) {
        if let Some(bundle) = self.bundle.borrow_mut().as_mut() {
            bundle.prioritized = patches.to_vec();
        }
    }

    /// Waits until the next file is loaded; false when none is being fetched.
    pub(crate) async fn next_file_loaded(&self) -> bool {
        let is_loading = self.bundle.borrow().as_ref().is_some_and(|bundle| bundle.is_loading);
        if is_loading {
            self.waiters.next().await;
        }
        is_loading
    }

    async fn fetch_all(&self) {
        let mut adopted = None;
        let outcome = loop {
            let now = self.n_adopted.get();
            if adopted != Some(now) {
                adopted = Some(now);
                self.store_bundle().await;
            }
            match self.fetch_next(now).await {
                // A result for the previous family, even a failure, does not concern this one.
                _ if self.n_adopted.get() != now => {}
                Ok(true) => self.waiters.notify(),
                Ok(false) => break FamilyReply::Loaded,
                Err(notice) => break FamilyReply::LoadFailed { notice },
            }
        };
        if let Some(bundle) = self.bundle.borrow_mut().as_mut() {
            bundle.is_loading = false;
        }
        self.waiters.notify();
        if matches!(outcome, FamilyReply::LoadFailed { .. }) {
            // What was stored until now; the page may end this worker with the failure.
            post(&Reply::Store(StoreReply::Listed { report: self.store.report().await }));
        }
        post(&Reply::Family(outcome));
    }

    async fn store_bundle(&self) {
        let bundle = self.bundle.borrow().as_ref().and_then(|bundle| {
            let BundleSource { manifest_url, manifest, is_kept, .. } = &bundle.source;
            let parsed = bundle.loader.manifest().clone();
            is_kept.then(|| (manifest_url.clone(), manifest.clone(), parsed))
        });
        if let Some((url, json, manifest)) = bundle {
            report_unless(self.store.keep(&url, &json, &manifest).await).await;
        }
    }

    /// Loads one file onto the device, from the store as far as it is stored, the rest from the
    /// server; false when all are loaded. A damaged file is fetched once more, bypassing the browser's
    /// cache. Ends early when another family than that of `adopted` has been adopted.
    async fn fetch_next(&self, adopted: u32) -> Result<bool, Notice> {
        let next = self.bundle.borrow().as_ref().and_then(|bundle| {
            let file = bundle.next_file()?;
            let origin = match bundle.uploaded.get(&file.path) {
                Some(blob) => Origin::Upload(blob.clone()),
                None => Origin::Server(beside(&bundle.source.manifest_url, &file.path)),
            };
            Some((file, origin, bundle.n_loaded_bytes(), bundle.n_bytes()))
        });
        let Some((file, origin, n_loaded, total)) = next else { return Ok(false) };
        let mut compressed = self.compressed_twin(&file, &origin);
        let is_over = || self.n_adopted.get() != adopted;
        let progress = |bytes| {
            if is_over() || !self.throttle.is_due(now_millis(), bytes == file.bytes) {
                return;
            }
            let (bytes, path) = (n_loaded + bytes, file.path.clone());
            post(&Reply::Family(FamilyReply::Progress { bytes, total, path }));
        };
        if let Some(n_bytes) = self.store.conflicting_length(&file).await {
            let (path, listed) = (&file.path, file.bytes);
            let why =
                format!("{path} has {n_bytes} bytes by its hash; the manifest lists {listed}");
            let next = "The manifest is wrong; create the bundle again.";
            return Err(Notice::new("Loading stopped.", why, next));
        }
        let mut bytes = self.store.read(&file, progress).await;
        let mut is_stored = !bytes.is_empty() && bytes.len() as u64 == file.bytes;
        let mut freshness = match origin {
            Origin::Server(_) | Origin::Compressed(_) => Freshness::Cached,
            Origin::Upload(_) => Freshness::Reload,
        };
        loop {
            // Only for a whole file, and only once.
            let twin = compressed.take().filter(|_| bytes.is_empty());
            let outcome = match is_stored {
                true => Ok(()),
                false => {
                    let on_bytes = |n_bytes| {
                        progress(n_bytes);
                        !is_over()
                    };
                    let origin = twin.as_ref().unwrap_or(&origin);
                    self.fetch_rest(origin, &file, freshness, &mut bytes, on_bytes).await
                }
            };
            if is_over() {
                return Ok(true);
            }
            if twin.is_some() && (outcome.is_err() || file.verify(&bytes).is_err()) {
                self.store.drop_file(&file.sha256).await;
                bytes.clear();
                continue;
            }
            let damage = match outcome {
                Ok(()) => match self.add(&file, &bytes) {
                    Ok(()) => {
                        drop(bytes);
                        self.store.mark_whole(&file).await;
                        if !is_over() {
                            let path = file.path;
                            post(&Reply::Family(FamilyReply::FileLoaded { path }));
                        }
                        return Ok(true);
                    }
                    Err(error @ (BundleError::Hash { .. } | BundleError::Length { .. })) => {
                        chain(&error)
                    }
                    Err(error) => return Err(unusable(error)),
                },
                Err(error @ FetchError::TooLong { .. }) => error.to_string(),
                Err(error) => {
                    let next = match &error {
                        FetchError::NotStored { .. } | FetchError::NotRead { .. } => {
                            "Upload the files again, in the view Models."
                        }
                        _ => {
                            "Check that the complete bundle folder is next to the page, and that \
                             the network is available."
                        }
                    };
                    return Err(Notice::new("Loading stopped.", error, next));
                }
            };
            self.store.drop_file(&file.sha256).await;
            bytes.clear();
            if is_stored {
                // Damaged in this browser; the file on the server may be intact.
                is_stored = false;
            } else if freshness == Freshness::Reload {
                let next = "The file is not the one that the manifest describes.";
                return Err(Notice::new("Loading stopped.", damage, next));
            } else {
                freshness = Freshness::Reload;
            }
        }
    }

    /// Where a file of a server is compressed, if the bundle has such a file.
    fn compressed_twin(&self, file: &BundleFile, origin: &Origin) -> Option<Origin> {
        let bundle = self.bundle.borrow();
        let Bundle { loader, source, .. } = bundle.as_ref()?;
        let Manifest { tokenizer, tokenizer_gz, .. } = loader.manifest();
        let is_listed = file == tokenizer && matches!(origin, Origin::Server(_));
        let twin =
            tokenizer_gz.as_ref().filter(|_| is_listed && !is_kept_only(&source.manifest_url));
        Some(Origin::Compressed(beside(&source.manifest_url, &twin?.path)))
    }

    /// Appends the rest of a file to `bytes`, and stores it chunk by chunk; `on_bytes` gets the number
    /// of bytes so far, and returns whether to continue.
    async fn fetch_rest(
        &self,
        origin: &Origin,
        file: &BundleFile,
        freshness: Freshness,
        bytes: &mut Vec<u8>,
        on_bytes: impl Fn(u64) -> bool,
    ) -> Result<(), FetchError> {
        let body = match origin {
            Origin::Upload(blob) => Body::of_blob(&file.path, blob),
            Origin::Server(url) if is_kept_only(url) => {
                return Err(FetchError::NotStored { path: file.path.clone() });
            }
            Origin::Compressed(url) => Body::open_gzip(url, freshness, Redirects::Followed).await?,
            Origin::Server(url) => {
                Body::open(url, bytes.len() as u64, freshness, Redirects::Followed).await?
            }
        };
        bytes.truncate(body.start as usize);
        bytes.reserve_exact((file.bytes.min(MAX_RESERVED) as usize).saturating_sub(bytes.len()));
        report_unless(self.store.begin(file, bytes.len()).await).await;
        let outcome = loop {
            match body.append_to(bytes, file.bytes).await {
                Ok(true) => {
                    if !on_bytes(bytes.len() as u64) {
                        body.end();
                        break Ok(());
                    }
                    report_unless(self.store.receive(bytes, false).await).await;
                }
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // After a failure, too: the next visit resumes from here.
        report_unless(self.store.receive(bytes, true).await).await;
        outcome
    }

    fn add(&self, file: &BundleFile, bytes: &[u8]) -> Result<(), BundleError> {
        match self.bundle.borrow_mut().as_mut() {
            Some(bundle) => bundle.loader.add(file, bytes),
            None => Ok(()),
        }
    }
}

/// Where a file comes from, as far as it is not stored.
enum Origin {
    Server(String),
    /// The same, compressed with gzip.
    Compressed(String),
    Upload(Blob),
}

/// The model is used all the same.
async fn report_unless(stored: Result<(), String>) {
    if let Err(why) = stored {
        let space = space::estimate().await;
        post(&Reply::Store(StoreReply::NotKept { why, space }));
    }
}

fn unusable(error: BundleError) -> Notice {
    Notice::new("The model cannot be used.", chain(&error), error.remedy())
}
