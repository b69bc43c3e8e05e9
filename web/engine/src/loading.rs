//! The bundle as it arrives, file by file, while members that are whole already write.

use std::collections::BTreeMap;
use std::rc::Rc;

use boomerang_core::bundle::{BundleError, BundleFile};
use boomerang_core::plan::Patch;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use crate::arriving::{Bundle, Come};
use crate::fetch::{Body, FetchError, Freshness, MAX_RESERVED, Redirects, beside};
use crate::messages::Reply;
use crate::notice::{Notice, chain};
use crate::store::is_kept_only;
use crate::store::space;
use crate::worker::{Worker, now_millis, post};

impl Worker {
    /// Begins to fetch a bundle, or goes on with it after a failure; members wait for their files.
    pub(crate) fn load(worker: &Rc<Self>, come: Come) -> Result<(), Notice> {
        let mut bundle = worker.bundle.borrow_mut();
        match bundle.as_mut() {
            Some(bundle) if bundle.is_arriving => return Ok(()),
            Some(bundle) => bundle.is_arriving = true,
            None => {
                let new = Bundle::new(come, BTreeMap::new(), worker).map_err(unusable)?;
                *bundle = Some(new);
            }
        }
        let worker = Rc::clone(worker);
        spawn_local(async move { worker.fetch_all().await });
        Ok(())
    }

    /// Takes the place of the family before; what the two have in common is not fetched again.
    pub(crate) fn adopt(
        worker: &Rc<Self>,
        come: Come,
        files: BTreeMap<String, Blob>,
    ) -> Result<(), Notice> {
        let mut bundle = Bundle::new(come, files, worker).map_err(unusable)?;
        let before = worker.bundle.borrow_mut().take();
        let was_arriving = before.as_ref().is_some_and(|before| before.is_arriving);
        if let Some(before) = before {
            bundle.loader.take_from(&before.loader);
        }
        for file in bundle.files.iter().filter(|file| bundle.loader.has(file)) {
            post(&Reply::Arrived { path: file.path.clone() });
        }
        *worker.bundle.borrow_mut() = Some(bundle);
        worker.n_adopted.set(worker.n_adopted.get() + 1);
        worker.last_text.replace(None);
        // Whoever fetches for the family before notices, and goes on for this one.
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
        let mut adopted = None;
        let outcome = loop {
            let now = self.n_adopted.get();
            if adopted != Some(now) {
                adopted = Some(now);
                self.remember_bundle().await;
            }
            match self.fetch_next(now).await {
                // What has come of the family before, be it a failure, says nothing of this one.
                _ if self.n_adopted.get() != now => {}
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
            let Come { manifest_url, manifest, is_kept, .. } = &bundle.come;
            let parsed = bundle.loader.manifest().clone();
            is_kept.then(|| (manifest_url.clone(), manifest.clone(), parsed))
        });
        if let Some((url, json, manifest)) = bundle {
            tell_if_not(self.store.keep(&url, &json, &manifest).await).await;
        }
    }

    /// Puts one file on the device, from the store as far as it is there, the rest from the server;
    /// false when all are here. One that comes out damaged is fetched once more, past the browser's
    /// cache. Ends early when another family than that of `adopted` has been adopted.
    async fn fetch_next(&self, adopted: u32) -> Result<bool, Notice> {
        let next = self.bundle.borrow().as_ref().and_then(|bundle| {
            let file = bundle.next_file()?;
            let origin = match bundle.brought.get(&file.path) {
                Some(brought) => Origin::Brought(brought.clone()),
                None => Origin::Server(beside(&bundle.come.manifest_url, &file.path)),
            };
            Some((file, origin, bundle.n_arrived(), bundle.n_bytes()))
        });
        let Some((file, origin, arrived, total)) = next else { return Ok(false) };
        let is_over = || self.n_adopted.get() != adopted;
        let progress = |bytes| {
            if is_over() || !self.pace.is_due(now_millis(), bytes == file.bytes) {
                return;
            }
            post(&Reply::Progress { bytes: arrived + bytes, total, path: file.path.clone() });
        };
        if let Some(n_bytes) = self.store.other_length(&file).await {
            let (path, said) = (&file.path, file.bytes);
            let why = format!("{path} has {n_bytes} bytes by its hash; the manifest says {said}");
            let next = "The manifest is wrong, and the bundle has to be made again.";
            return Err(Notice::new("Loading stopped.", why, next));
        }
        let mut bytes = self.store.read(&file, progress).await;
        let mut is_stored = !bytes.is_empty() && bytes.len() as u64 == file.bytes;
        let mut freshness = match origin {
            Origin::Server(_) => Freshness::Cached,
            Origin::Brought(_) => Freshness::Reload,
        };
        loop {
            let outcome = match is_stored {
                true => Ok(()),
                false => {
                    let more = |n_bytes| {
                        progress(n_bytes);
                        !is_over()
                    };
                    self.fetch_rest(&origin, &file, freshness, &mut bytes, more).await
                }
            };
            if is_over() {
                return Ok(true);
            }
            let damage = match outcome {
                Ok(()) => match self.keep(&file, &bytes) {
                    Ok(()) => {
                        drop(bytes);
                        self.store.mark_whole(&file).await;
                        if !is_over() {
                            post(&Reply::Arrived { path: file.path });
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
                        FetchError::NotKept { .. } | FetchError::NotRead { .. } => {
                            "Bring the files again, on the view of what is stored."
                        }
                        _ => {
                            "Check that the whole bundle folder lies beside the page, and that the \
                             network is there."
                        }
                    };
                    return Err(Notice::new("Loading stopped.", error, next));
                }
            };
            self.store.drop_file(&file.sha256).await;
            bytes.clear();
            if is_stored {
                // Damaged in this browser, which says nothing about the server.
                is_stored = false;
            } else if freshness == Freshness::Reload {
                let next = "The file is not the one that the manifest describes.";
                return Err(Notice::new("Loading stopped.", damage, next));
            } else {
                freshness = Freshness::Reload;
            }
        }
    }

    /// Appends what `bytes` lack of a file, and stores it as it arrives; `more` is told bytes so far,
    /// and says whether to go on.
    async fn fetch_rest(
        &self,
        origin: &Origin,
        file: &BundleFile,
        freshness: Freshness,
        bytes: &mut Vec<u8>,
        more: impl Fn(u64) -> bool,
    ) -> Result<(), FetchError> {
        let body = match origin {
            Origin::Brought(brought) => Body::of_blob(&file.path, brought),
            Origin::Server(url) if is_kept_only(url) => {
                return Err(FetchError::NotKept { path: file.path.clone() });
            }
            Origin::Server(url) => {
                Body::open(url, bytes.len() as u64, freshness, Redirects::Followed).await?
            }
        };
        bytes.truncate(body.start as usize);
        bytes.reserve_exact((file.bytes.min(MAX_RESERVED) as usize).saturating_sub(bytes.len()));
        tell_if_not(self.store.begin(file, bytes.len()).await).await;
        let outcome = loop {
            match body.append_to(bytes, file.bytes).await {
                Ok(true) => {
                    if !more(bytes.len() as u64) {
                        body.end();
                        break Ok(());
                    }
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

/// Where a file comes from, as far as it is not kept.
enum Origin {
    Server(String),
    Brought(Blob),
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
