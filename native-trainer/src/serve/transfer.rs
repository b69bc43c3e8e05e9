//! The files of a bundle: in turn, and in parts that are of the same file.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::http::header::{ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use boomerang_core::bundle::{MANIFEST, Manifest};
use http_body::{Frame, SizeHint};

use super::connections::Client;
use super::queue::{Queue, Slot, Urgency};

/// Two are enough to fill a fast network; the others are for clients whose own link is slower.
const N_TRANSFERS: usize = 8;
/// A transfer whose client has accepted nothing for so long gives its slot to another, and continues
/// without: its link is the limit, not this machine's.
const STALLED: Duration = Duration::from_secs(1);

/// What the transfers of a bundle share.
#[derive(Clone)]
pub(super) struct Transfers {
    queue: Queue,
    /// Paths of the files that the smallest size needs.
    first: Arc<BTreeSet<String>>,
}

impl Transfers {
    pub(super) fn of(bundle: &Path) -> Self {
        Self { queue: Queue::new(N_TRANSFERS), first: Arc::new(files_of_smallest(bundle)) }
    }

    /// `None` for files that are small, such as the manifest.
    pub(super) fn urgency(&self, path: &str) -> Option<Urgency> {
        let path = path.trim_start_matches('/');
        if self.first.contains(path) {
            return Some(Urgency::First);
        }
        path.ends_with(".safetensors").then_some(Urgency::Later)
    }
}

/// Empty if the manifest cannot be used, which the page reports.
fn files_of_smallest(bundle: &Path) -> BTreeSet<String> {
    let files = || {
        let manifest = std::fs::read_to_string(bundle.join(MANIFEST)).ok()?;
        let manifest = Manifest::from_json(&manifest).ok()?;
        let path = manifest.order.path(&manifest.plan).ok()?;
        let files = manifest.files_of(path.first()?);
        Some(files.into_iter().map(|file| file.path.clone()).collect())
    };
    files().unwrap_or_default()
}

/// Sends a file when it is its turn.
pub(super) async fn in_turn(
    State(transfers): State<Transfers>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let urgency = transfers.urgency(request.uri().path());
    let Some(urgency) = urgency.filter(|_| request.method() == Method::GET) else {
        return of_same_file(request, next).await;
    };
    let slot = transfers.queue.slot(urgency, client).await;
    let response = of_same_file(request, next).await;
    if !response.status().is_success() {
        return response;
    }
    response.map(|body| Body::new(Transfer::new(body, slot)))
}

/// With `If-Range`, a part of a file that has changed is answered with the whole file.
async fn of_same_file(mut request: Request, next: Next) -> Response {
    let Some(known) = request.headers_mut().remove(IF_RANGE) else {
        return next.run(request).await;
    };
    let mut whole = Request::new(Body::empty());
    *whole.method_mut() = request.method().clone();
    *whole.uri_mut() = request.uri().clone();
    *whole.headers_mut() = request.headers().clone();
    whole.headers_mut().remove(RANGE);
    let response = next.clone().run(request).await;
    if is_part_of_other(&response, &known) { next.run(whole).await } else { response }
}

/// Whether a response has a part, or refuses one, of another file than the `known` one.
fn is_part_of_other(response: &Response, known: &HeaderValue) -> bool {
    let is_part = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE]
        .contains(&response.status());
    let is_same = |name| response.headers().get(name) == Some(known);
    is_part && !is_same(ETAG) && !is_same(LAST_MODIFIED)
}

/// A file under way.
struct Transfer {
    body: Body,
    held: Arc<Mutex<Held>>,
}

struct Held {
    slot: Option<Slot>,
    /// When the client last accepted something.
    moved: Instant,
}

impl Transfer {
    fn new(body: Body, slot: Option<Slot>) -> Self {
        let held = Arc::new(Mutex::new(Held { slot, moved: Instant::now() }));
        let watched = Arc::clone(&held);
        tokio::spawn(async move {
            while !is_over(&watched) {
                tokio::time::sleep(STALLED / 4).await;
            }
        });
        Self { body, held }
    }
}

/// Whether a transfer has no slot any more; takes it from one that has stalled.
fn is_over(held: &Mutex<Held>) -> bool {
    let mut held = lock(held);
    if held.moved.elapsed() >= STALLED {
        held.slot = None;
    }
    held.slot.is_none()
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for Transfer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        lock(&self.held).moved = Instant::now();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        lock(&self.held).slot = None;
    }
}
