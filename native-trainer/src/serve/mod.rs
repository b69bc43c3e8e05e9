//! The explorer's web server: the built page, and a bundle below `/bundle/`.
//!
//! Only serves files. `boomerang explore` runs it, and so do the browser tests. The files of a bundle go
//! out a few at a time, in an order in which a class works (`queue.rs`).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::runtime::{self, Runtime};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::exit::Exit;

mod connections;
mod policy;
mod queue;
mod transfer;

use connections::Limits;
use transfer::Transfers;

/// A server that runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    /// `None` only during drop.
    runtime: Option<Runtime>,
}

/// The headers of every response.
///
/// The two cross-origin headers give the page memory that threads can share. Browsers revalidate
/// their cache, so that a rewritten bundle is seen at once; unchanged files cost a 304.
const HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-cache"),
];

impl Server {
    /// Starts to serve at `address`, on its own threads; port 0 selects a free one.
    ///
    /// # Errors
    /// When the page or the bundle does not exist, or the address is in use.
    pub fn start(site: &Path, bundle: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        Self::start_with(site, bundle, address, Limits::default())
    }

    fn start_with(
        site: &Path,
        bundle: &Path,
        address: SocketAddr,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        check_folders(site, bundle)?;
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let entered = runtime.enter();
        let listener = connections::listen(address).map_err(|error| refused(address, error))?;
        let address = listener.local_addr()?;
        drop(entered);
        let router = router(site, bundle);
        runtime.spawn(connections::accept(listener, router, limits));
        Ok(Self { address, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address on this machine.
    pub fn url(&self) -> String {
        if self.address.ip().is_unspecified() {
            format!("http://127.0.0.1:{}/", self.address.port())
        } else {
            format!("http://{}/", self.address)
        }
    }

    /// Serves until Ctrl-C.
    ///
    /// # Errors
    /// When the system refuses a handler for Ctrl-C.
    pub fn wait_for_interrupt(self) -> anyhow::Result<()> {
        match &self.runtime {
            Some(runtime) => {
                runtime.block_on(tokio::signal::ctrl_c()).context("listening to Ctrl-C")
            }
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for running downloads.
            runtime.shutdown_background();
        }
    }
}

/// Routes: `/bundle/…` serves the bundle, everything else the site.
///
/// A path without a file name is a view of the page (`/explore/`) and serves the page; a file that
/// is missing (`/app.js`, anything below `/bundle/`) is a 404, never the page.
fn router(site: &Path, bundle: &Path) -> Router {
    let site: Arc<Path> = site.into();
    let page = get(page).with_state(Arc::clone(&site));
    let site_files = ServeDir::new(&site)
        .append_index_html_on_directories(false)
        .redirect_to_trailing_slash(false)
        .precompressed_br()
        .precompressed_gzip()
        .fallback(page.clone());
    let bundle_files = ServeDir::new(bundle)
        .append_index_html_on_directories(false)
        .redirect_to_trailing_slash(false);
    let bundle_files = Router::new()
        .fallback_service(bundle_files)
        .layer(from_fn_with_state(Transfers::of(bundle), transfer::in_turn));
    let router = Router::new()
        .route_service("/", page.clone())
        .route_service("/index.html", page)
        .nest_service("/bundle", bundle_files)
        .fallback_service(site_files)
        .layer(header(CONTENT_SECURITY_POLICY, &policy::for_page("")));
    HEADERS.into_iter().fold(router, |router, (name, value)| router.layer(header(name, value)))
}

/// `index.html`, with a policy that allows its own inline scripts.
async fn page(State(site): State<Arc<Path>>, uri: Uri) -> Response {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    if name.contains('.') && name != "index.html" {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    }
    match std::fs::read_to_string(site.join("index.html")) {
        Ok(html) => {
            // Whatever the route of the view, the page's files are at the root of this server.
            let html = html.replacen("<base href=\"./\">", "<base href=\"/\">", 1);
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
                (CONTENT_SECURITY_POLICY, policy::for_page(&html)),
            ];
            (headers, html).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("index.html: {error}\n")).into_response()
        }
    }
}

fn header(name: HeaderName, value: &str) -> SetResponseHeaderLayer<Option<HeaderValue>> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_str(value).ok())
}

fn check_folders(site: &Path, bundle: &Path) -> anyhow::Result<()> {
    let checks: [(PathBuf, &str); 2] = [
        (bundle.join("manifest.json"), "make the bundle with `boomerang bundle`"),
        (site.join("index.html"), "build the page with `cargo xtask page`"),
    ];
    match checks.into_iter().find(|(file, _)| !file.is_file()) {
        None => Ok(()),
        Some((file, advice)) => {
            Err(Exit::Unusable.error(format!("{} is missing; {advice}", file.display())))
        }
    }
}

fn refused(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let port = address.port();
    let advice = "choose another with --port (0 selects a free one)";
    match error.kind() {
        ErrorKind::AddrInUse => {
            Exit::Usage.error(format!("port {port} is in use by another program; {advice}"))
        }
        ErrorKind::PermissionDenied => {
            Exit::Usage.error(format!("port {port} needs administrator rights; {advice}"))
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
