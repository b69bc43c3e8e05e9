//! The server's side: a model's files, their expected hashes, and their bytes.
//!
//! `hf-hub` provides the URLs and the list of files. The bytes are downloaded here, because they
//! are checked before a file gets its name, and an attempt resumes where the last one ended.

use std::io::Read as _;
use std::time::Duration;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use ureq::http::{HeaderMap, Response};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::cache::is_commit;
use crate::error::{Context as _, HubError, Result};
use crate::part::{Expected, Part};
use crate::{HubId, HubSettings, refusal};

/// A model at one commit on the server.
pub(crate) struct Remote<'a> {
    id: &'a HubId,
    settings: &'a HubSettings,
    agent: Agent,
    repo: ApiRepo,
    /// Scheme and host; the token is sent to no other.
    origin: String,
    pub(crate) commit: String,
    /// Every file of the commit.
    pub(crate) names: Vec<String>,
}

/// Why an attempt failed.
enum Fault {
    /// May succeed the next time.
    Passing(String),
    Final(HubError),
}

/// Attempts without progress before giving up.
const N_ATTEMPTS: u32 = 5;
const N_REDIRECTS: usize = 5;
const BUFFER: usize = 1 << 18;

const CONNECT: Duration = Duration::from_secs(10);
/// A connection may be slow, but not silent.
const SILENCE: Duration = Duration::from_secs(60);

impl<'a> Remote<'a> {
    /// Requests the list of files.
    pub(crate) fn open(id: &'a HubId, settings: &'a HubSettings) -> Result<Self> {
        let repo = api_repo(id, id.revision(), settings)?;
        let address = repo.url("");
        let mut remote = Self {
            id,
            settings,
            agent: agent(&address),
            repo,
            origin: origin(&address).to_owned(),
            commit: String::new(),
            names: Vec::new(),
        };
        let info = remote.persist(|| remote.list())?;
        if !is_commit(&info.sha) {
            return Err(refusal::senseless(id, settings, "no commit"));
        }
        remote.repo = api_repo(id, &info.sha, settings)?;
        remote.names = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        remote.commit = info.sha;
        Ok(remote)
    }

    fn list(&self) -> Result<RepoInfo, Fault> {
        let request = self.repo.info_request().config();
        let request = request
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        let request = if is_here(&self.origin) { request.proxy(None) } else { request };
        // A server that cannot be reached the first time is not tried again.
        let cause = |error: ureq::Error| {
            Fault::Final(refusal::unreachable(self.id, self.settings, &error.to_string()))
        };
        let response = self.accept(request.build().call().map_err(cause)?)?;
        let body = response.into_body().read_to_vec().map_err(passing)?;
        serde_json::from_slice(&body).map_err(|_| self.senseless("not a list of files"))
    }

    /// Expected size and hash of a file, from the server.
    pub(crate) fn expected(&self, name: &str) -> Result<Expected> {
        self.persist(|| self.promise(name))
    }

    /// Large files are stored elsewhere: the redirect has their size and hash.
    fn promise(&self, name: &str) -> Result<Expected, Fault> {
        let mut url = self.repo.url(name);
        let mut etag = None;
        for _ in 0..N_REDIRECTS {
            let response = self.accept(self.ask(self.agent.head(&url), &url)?)?;
            let leads_on = leads_on(&response);
            let header = |linked, own| {
                let found = text(response.headers(), linked);
                found.or_else(|| text(response.headers(), own).filter(|_| !leads_on))
            };
            etag = etag.or_else(|| header("x-linked-etag", "etag"));
            let size = header("x-linked-size", "content-length").and_then(|size| size.parse().ok());
            if let (Some(etag), Some(size)) = (&etag, size) {
                return Expected::new(size, etag)
                    .ok_or_else(|| self.senseless(&format!("no hash to check {name} against")));
            }
            match text(response.headers(), "location").filter(|_| leads_on) {
                Some(location) => url = join(&url, &location),
                None => break,
            }
        }
        Err(self.senseless(&format!("neither size nor hash of {name}")))
    }

    /// Downloads the rest of a part; `report` receives its size after each piece.
    pub(crate) fn fill(
        &self,
        name: &str,
        part: &mut Part,
        mut report: impl FnMut(u64),
    ) -> Result<()> {
        // Only new bytes count as progress.
        let mut furthest = part.n_bytes();
        let mut n_failed = 0;
        while part.n_missing() > 0 {
            let cause = match self.transfer(name, part, &mut report) {
                Ok(()) if part.n_missing() == 0 => break,
                Ok(()) => "the connection ended too early".to_owned(),
                Err(Fault::Passing(cause)) => cause,
                Err(Fault::Final(error)) => return Err(error),
            };
            if part.n_bytes() > furthest {
                furthest = part.n_bytes();
                n_failed = 0;
            }
            n_failed = self.pause(n_failed, &cause)?;
        }
        Ok(())
    }

    fn transfer(
        &self,
        name: &str,
        part: &mut Part,
        report: &mut impl FnMut(u64),
    ) -> Result<(), Fault> {
        let start = part.n_bytes();
        let response = self.get(name, start)?;
        if response.status() == 416 {
            part.restart().map_err(on_disk)?;
            return Err(Fault::Passing("the server does not resume the download".to_owned()));
        }
        let response = self.accept(response)?;
        let range = text(response.headers(), "content-range").unwrap_or_default();
        let is_resumed = response.status() == 206 && range.starts_with(&format!("bytes {start}-"));
        if !is_resumed {
            // Checked before the partial file is replaced: an error page, for one, has another
            // length.
            let size = part.n_bytes() + part.n_missing();
            let found = text(response.headers(), "content-length").and_then(|n| n.parse().ok());
            if let Some(found) = found.filter(|found| *found != size) {
                return Err(Fault::Final(refusal::other_size(self.id, name, size, found)));
            }
            part.restart().map_err(on_disk)?;
        }
        let mut body = response.into_body().into_reader().take(part.n_missing());
        let mut buffer = vec![0; BUFFER];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => part.append(&buffer[..n]).map_err(on_disk)?,
                Err(error) => return Err(Fault::Passing(error.to_string())),
            }
            report(part.n_bytes());
        }
    }

    /// Requests a file from byte `start`, following redirects.
    fn get(&self, name: &str, start: u64) -> Result<Response<Body>, Fault> {
        let mut url = self.repo.url(name);
        for _ in 0..N_REDIRECTS {
            let mut request = self.agent.get(&url);
            if start > 0 {
                request = request.header("Range", format!("bytes={start}-"));
            }
            let response = self.ask(request, &url)?;
            match text(response.headers(), "location").filter(|_| leads_on(&response)) {
                Some(location) => url = join(&url, &location),
                None => return Ok(response),
            }
        }
        Err(self.senseless(&format!("too many redirects for {name}")))
    }

    /// Sends a request, with the token if the URL is the Hub's own.
    fn ask(
        &self,
        request: RequestBuilder<WithoutBody>,
        url: &str,
    ) -> Result<Response<Body>, Fault> {
        let token = self.settings.token.as_ref().filter(|_| origin(url) == self.origin);
        let request = match token {
            Some(token) => request.header("Authorization", format!("Bearer {}", token.secret())),
            None => request,
        };
        request.call().map_err(passing)
    }

    /// Retries temporary faults.
    fn persist<T>(&self, attempt: impl Fn() -> Result<T, Fault>) -> Result<T> {
        let mut n_failed = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(cause)) => n_failed = self.pause(n_failed, &cause)?,
            }
        }
    }

    /// Waits before the next attempt, unless there were enough of them.
    fn pause(&self, n_failed: u32, cause: &str) -> Result<u32> {
        if n_failed + 1 >= N_ATTEMPTS {
            return Err(refusal::interrupted(self.id, self.settings, cause));
        }
        std::thread::sleep(self.settings.pause * 2_u32.pow(n_failed));
        Ok(n_failed + 1)
    }

    fn accept(&self, response: Response<Body>) -> Result<Response<Body>, Fault> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        if status.is_server_error() || status == 429 || status == 408 {
            return Err(Fault::Passing(format!("status {}", status.as_u16())));
        }
        let code = text(response.headers(), "x-error-code").unwrap_or_default();
        Err(Fault::Final(refusal::answered(self.id, self.settings, status.as_u16(), &code)))
    }

    fn senseless(&self, what: &str) -> Fault {
        Fault::Final(refusal::senseless(self.id, self.settings, what))
    }
}

fn api_repo(id: &HubId, revision: &str, settings: &HubSettings) -> Result<ApiRepo> {
    let mut builder = ApiBuilder::from_cache(Cache::new(settings.cache.clone()))
        .with_token(settings.token.as_ref().map(|token| token.secret().to_owned()))
        .with_user_agent("boomerang", env!("CARGO_PKG_VERSION"));
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let repo = Repo::with_revision(id.repo().to_owned(), RepoType::Model, revision.to_owned());
    let api =
        builder.build().with_context(|| "the client for the Hub cannot be created".to_owned())?;
    Ok(api.repo(repo))
}

fn agent(url: &str) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("boomerang/", env!("CARGO_PKG_VERSION")))
        // A range of a compressed response is not a range of the file.
        .accept_encoding("identity")
        // Followed here, so that the token is sent only to the Hub.
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE));
    let config = if is_here(origin(url)) { config.proxy(None) } else { config };
    config.build().into()
}

/// `https://host:port` of an address.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |index| index + 3);
    let end = url[start..].find('/').map_or(url.len(), |index| start + index);
    &url[..end]
}

/// No proxy for a server on this machine.
fn is_here(origin: &str) -> bool {
    ["://127.0.0.1", "://localhost", "://[::1]"].iter().any(|local| origin.contains(local))
}

fn leads_on(response: &Response<Body>) -> bool {
    response.status().is_redirection()
}

fn join(url: &str, location: &str) -> String {
    if location.starts_with('/') && !location.starts_with("//") {
        format!("{}{location}", origin(url))
    } else {
        location.to_owned()
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn passing(error: ureq::Error) -> Fault {
    Fault::Passing(error.to_string())
}

/// An error of the disk, not of the connection.
fn on_disk(error: std::io::Error) -> Fault {
    let context = "the cache cannot be written".to_owned();
    Fault::Final(HubError::Cache { context, source: Box::new(error) })
}
