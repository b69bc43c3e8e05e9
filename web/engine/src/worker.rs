//! The worker's side: one family, one text at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use boomerang_core::bundle::{BundleError, BundleFile, BundleLoader, Manifest};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::Patch;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::fetch::{FetchError, Freshness, fetch_bytes, reason};
use crate::messages::{Ending, PROTOCOL, Reply, Request, RunReport};
use crate::notice::{Notice, chain};
use crate::text_stream::TextStream;
use crate::turn::Turn;

/// Answers the page's requests from now on, with the model on the device that `device` opens.
pub fn serve<F>(device: F)
where
    F: Future<Output = Result<Device, Notice>> + 'static,
{
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let why = panic.to_string();
        let next = "Reload the page; a smaller size may fit.";
        post(&Reply::Failed { id: None, notice: Notice::new("The model stopped.", why, next) });
    }));
    spawn_local(async {
        match device.await {
            Ok(device) => listen(Worker::new(device)),
            Err(notice) => post(&Reply::Failed { id: None, notice }),
        }
    });
}

/// What the worker holds between requests.
struct Worker {
    device: Device,
    loaded: RefCell<Option<Loaded>>,
    /// Requests are answered one after the other.
    waiting: RefCell<VecDeque<Request>>,
    is_busy: Cell<bool>,
    /// Texts with this id or a smaller one are to end.
    stopped: Cell<u32>,
}

struct Loaded {
    family: Family,
    tokenizer: Tokenizer,
    end_tokens: Vec<u32>,
}

fn listen(worker: Worker) {
    let worker = Rc::new(worker);
    let on_message = move |event: MessageEvent| {
        let text = event.data().as_string().unwrap_or_default();
        match serde_json::from_str(&text) {
            // Not queued: it is about the request that is being answered.
            Ok(Request::Stop { id }) => worker.stopped.set(worker.stopped.get().max(id)),
            Ok(request) => Worker::enqueue(&worker, request),
            Err(error) => {
                let next = "Reload the page.";
                let notice = Notice::new("Page and model do not fit together.", error, next);
                post(&Reply::Failed { id: None, notice });
            }
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    scope().set_onmessage(Some(on_message.unchecked_ref()));
    post(&Reply::Ready { protocol: PROTOCOL });
}

impl Worker {
    fn new(device: Device) -> Self {
        Self {
            device,
            loaded: RefCell::new(None),
            waiting: RefCell::default(),
            is_busy: Cell::new(false),
            stopped: Cell::new(0),
        }
    }

    fn enqueue(worker: &Rc<Self>, request: Request) {
        worker.waiting.borrow_mut().push_back(request);
        if !worker.is_busy.replace(true) {
            let worker = Rc::clone(worker);
            spawn_local(async move {
                while let Some(request) = worker.next_request() {
                    worker.answer(request).await;
                }
                worker.is_busy.set(false);
            });
        }
    }

    fn next_request(&self) -> Option<Request> {
        self.waiting.borrow_mut().pop_front()
    }

    async fn answer(&self, request: Request) {
        let (id, outcome) = match request {
            Request::Load { manifest_url, manifest } => {
                (None, self.load(&manifest_url, &manifest).await)
            }
            Request::Generate { id, patch, prompt, n_tokens, sampling } => {
                (Some(id), self.generate(id, &patch, &prompt, n_tokens, sampling).await)
            }
            Request::Stop { .. } => return,
        };
        if let Err(notice) = outcome {
            post(&Reply::Failed { id, notice });
        }
    }

    async fn load(&self, manifest_url: &str, manifest: &str) -> Result<(), Notice> {
        let unusable = |error: BundleError| {
            let next = "The bundle has to be made again with this version of Boomerang.";
            Notice::new("The model cannot be used.", chain(&error), next)
        };
        let manifest = Manifest::from_json(manifest).map_err(unusable)?;
        let files: Vec<BundleFile> = manifest.files().cloned().collect();
        let total = manifest.n_bytes();
        let mut loader = BundleLoader::new(manifest, self.device.clone()).map_err(unusable)?;
        let mut arrived = 0;
        for file in &files {
            let url = beside(manifest_url, &file.path);
            add_file(&mut loader, file, &url, |bytes| {
                post(&Reply::Progress { bytes: arrived + bytes, total, path: file.path.clone() });
            })
            .await?;
            arrived += file.bytes;
        }
        let (manifest, tokenizer, family) = loader.finish().map_err(unusable)?;
        let config = manifest.config().map_err(|error| unusable(error.into()))?;
        let end_tokens = config.end_tokens();
        self.loaded.replace(Some(Loaded { family, tokenizer, end_tokens }));
        post(&Reply::Loaded);
        Ok(())
    }

    async fn generate(
        &self,
        id: u32,
        patch: &Patch,
        prompt: &str,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<(), Notice> {
        let not_continued =
            |why: String, next: &str| Notice::new("This text cannot be continued.", why, next);
        // Cloning a model copies no weights, and a new one may be loaded meanwhile.
        let parts = self.loaded.borrow().as_ref().map(|loaded| {
            let member = loaded.family.member(patch);
            (member, loaded.tokenizer.clone(), loaded.end_tokens.clone())
        });
        let Some((member, tokenizer, end_tokens)) = parts else {
            return Err(not_continued("No model is loaded.".to_owned(), "Load it first."));
        };
        let unreadable = |error: boomerang_core::tokenizer::TokenizerError| {
            not_continued(chain(&error), "Try another prompt.")
        };
        let impossible = |error: boomerang_core::generate::GenerateError| {
            not_continued(chain(&error), "Try another prompt.")
        };
        let prompt_tokens = tokenizer.encode(prompt, true).map_err(unreadable)?;
        let mut generation =
            Generation::new(&member, &prompt_tokens, n_tokens, sampling).map_err(impossible)?;
        let mut stream = TextStream::new(&tokenizer, &prompt_tokens);
        let has_room = prompt_tokens.len() + n_tokens <= member.config().max_seq;
        let turn =
            Turn::new().map_err(|error| not_continued(reason(&error), "Reload the page."))?;
        post(&Reply::Started { id, prompt_tokens });

        let start = now_millis();
        let mut first = start;
        let mut last = start;
        let mut n_done = 0;
        let ending = loop {
            turn.end().await;
            if self.stopped.get() >= id {
                break Ending::Stopped;
            }
            let Some(token) = generation.next().await.map_err(impossible)? else {
                break if has_room { Ending::Length } else { Ending::Window };
            };
            if end_tokens.contains(&token) {
                break Ending::EndOfText;
            }
            last = now_millis();
            n_done += 1;
            if n_done == 1 {
                first = last;
            }
            let text = stream.push(token).map_err(unreadable)?;
            post(&Reply::Token { id, token, text });
        };
        let rest = stream.finish().map_err(unreadable)?;
        let report = RunReport {
            n_tokens: n_done,
            first_millis: first - start,
            rest_millis: last - first,
            ending,
        };
        post(&Reply::Done { id, text: rest, report });
        Ok(())
    }
}

/// Fetches a file and puts it on the device. One that comes out damaged is fetched once more, past
/// the browser's cache.
async fn add_file(
    loader: &mut BundleLoader,
    file: &BundleFile,
    url: &str,
    mut progress: impl FnMut(u64),
) -> Result<(), Notice> {
    let mut freshness = Freshness::Cached;
    loop {
        let fetched = fetch_bytes(url, file.bytes, freshness, &mut progress).await;
        let damage = match fetched {
            Ok(bytes) => match loader.add(file, &bytes) {
                Ok(()) => return Ok(()),
                Err(error @ (BundleError::Hash { .. } | BundleError::Length { .. })) => {
                    chain(&error)
                }
                Err(error) => {
                    let next = "The bundle has to be made again.";
                    return Err(Notice::new("The model cannot be used.", chain(&error), next));
                }
            },
            Err(error @ FetchError::TooLong { .. }) => error.to_string(),
            Err(error) => {
                let next = "Check that the whole bundle folder lies beside the page, then reload.";
                return Err(Notice::new("Loading stopped.", error, next));
            }
        };
        if freshness == Freshness::Reload {
            let next = "The file on the server is not the one the manifest describes.";
            return Err(Notice::new("Loading stopped.", damage, next));
        }
        freshness = Freshness::Reload;
    }
}

/// A file that lies beside another, by its relative path.
fn beside(url: &str, path: &str) -> String {
    let end = url.split(['?', '#']).next().unwrap_or_default();
    let folder = end.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{path}")
}

fn post(reply: &Reply) {
    // Replies are plain data, and the page only goes away together with this worker.
    if let Ok(text) = serde_json::to_string(reply) {
        let _ = scope().post_message(&JsValue::from_str(&text));
    }
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

fn now_millis() -> f64 {
    scope().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn files_lie_beside_the_manifest() {
        assert_eq!(
            beside("http://host/page/bundle/manifest.json?v=1", "a/b"),
            "http://host/page/bundle/a/b"
        );
    }
}
