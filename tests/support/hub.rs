//! A server on this machine that answers as the Hub does, remembers what it was asked, and can be
//! told to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use boomerang_core::bundle::hex;
use sha2::{Digest as _, Sha256};

use crate::listener::{Listener, lock};

/// A Hub with one model, until it is dropped.
pub struct StandIn {
    listener: Listener,
    shared: Arc<Mutex<Shared>>,
}

/// What the server has, and how it behaves.
#[derive(Clone, Default)]
pub struct Model {
    /// Branches and the commits they stand for.
    pub revisions: BTreeMap<String, String>,
    /// Files by commit and name.
    pub files: BTreeMap<(String, String), Vec<u8>>,
    /// Names in the list that no file has.
    pub listed_too: Vec<String>,
    /// The one token that is let in.
    pub token: Option<String>,
    /// What is sent in place of a file, with the file's own hash.
    pub instead: BTreeMap<String, Vec<u8>>,
    /// A hash that is given in place of a file's own.
    pub etag: Option<String>,
    /// After how many bytes of weights the connection ends; each once.
    pub cuts: Vec<usize>,
    pub ignores_ranges: bool,
    /// How many requests are put off.
    pub n_busy: usize,
    /// Where large files are kept; here, if nowhere else.
    pub elsewhere: Option<SocketAddr>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Shared {
    model: Model,
    asked: Vec<Asked>,
    n_bytes_of_weights: usize,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection ends.
    cut: Option<usize>,
}

/// The model's name on this Hub.
pub const REPO: &str = "owner/tiny";

/// A commit's name, for people who count from one.
pub fn commit(number: u8) -> String {
    format!("{number:040x}")
}

impl Model {
    /// `main`, which is commit 1, with these files.
    pub fn of(files: &[(&str, &[u8])]) -> Self {
        let mut model = Self::default();
        model.commit("main", 1, files);
        model
    }

    /// Lets `revision` stand for a commit with these files.
    pub fn commit(&mut self, revision: &str, number: u8, files: &[(&str, &[u8])]) {
        self.revisions.insert(revision.to_owned(), commit(number));
        for (name, bytes) in files {
            self.files.insert((commit(number), (*name).to_owned()), bytes.to_vec());
        }
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        if self.n_busy > 0 {
            self.n_busy -= 1;
            return Answer::of("503 Service Unavailable", b"");
        }
        let expected = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let path = asked.path.split('?').next().unwrap_or_default();
        // Links to large files carry their own permission.
        if expected.is_some() && asked.authorization != expected && !path.starts_with("/cdn/") {
            return Answer::of("401 Unauthorized", b"who are you?");
        }
        if let Some(revision) = path.strip_prefix(&format!("/api/models/{REPO}/revision/")) {
            return self.list(&revision.replace("%2F", "/"));
        }
        if let Some(rest) = path.strip_prefix("/cdn/") {
            return self.bytes(asked, rest, true);
        }
        if let Some(rest) = path.strip_prefix(&format!("/api/resolve-cache/models/{REPO}/")) {
            return self.bytes(asked, rest, false);
        }
        match path.strip_prefix(&format!("/{REPO}/resolve/")) {
            Some(rest) => self.lead_on(rest),
            None => Answer::of("404 Not Found", b"").with("X-Error-Code", "RepoNotFound"),
        }
    }

    fn list(&self, revision: &str) -> Answer {
        let is_commit = self.revisions.values().any(|commit| commit == revision);
        let commit = if is_commit {
            Some(revision)
        } else {
            self.revisions.get(revision).map(|commit| &**commit)
        };
        let Some(commit) = commit else {
            return Answer::of("404 Not Found", b"").with("X-Error-Code", "RevisionNotFound");
        };
        let own = self.files.keys().filter(|(of, _)| of == commit).map(|(_, name)| name);
        let siblings: Vec<_> = own
            .chain(&self.listed_too)
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let list = serde_json::json!({ "id": REPO, "sha": commit, "siblings": siblings });
        Answer::of("200 OK", list.to_string().as_bytes())
    }

    /// Small files are behind a relative address, large ones behind that of another server.
    fn lead_on(&self, rest: &str) -> Answer {
        let Some((commit, bytes)) = self.find(rest) else {
            return Answer::of("404 Not Found", b"").with("X-Error-Code", "EntryNotFound");
        };
        if !is_large(rest) {
            let location = format!("/api/resolve-cache/models/{REPO}/{rest}");
            return Answer::of("307 Temporary Redirect", b"").with("Location", location);
        }
        let location = match self.elsewhere {
            Some(address) => format!("http://{address}/cdn/{rest}"),
            None => format!("/cdn/{rest}"),
        };
        Answer::of("302 Found", b"moved")
            .with("Location", location)
            .with("X-Repo-Commit", commit)
            .with("X-Linked-Size", bytes.len().to_string())
            .with("X-Linked-Etag", self.etag(rest, bytes))
            .with("ETag", "\"of the address\"")
    }

    fn bytes(&mut self, asked: &Asked, rest: &str, is_large: bool) -> Answer {
        let Some((commit, bytes)) = self.find(rest) else {
            return Answer::of("404 Not Found", b"").with("X-Error-Code", "EntryNotFound");
        };
        let etag = self.etag(rest, bytes);
        let (_, name) = rest.split_once('/').unwrap_or_default();
        let bytes = self.instead.get(name).unwrap_or(bytes);
        let range = asked.range.as_deref().filter(|_| !self.ignores_ranges);
        let start =
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let answer = match start {
            Some(start) if start >= bytes.len() => Answer::of("416 Range Not Satisfiable", b""),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::of("206 Partial Content", &bytes[start..]).with("Content-Range", range)
            }
            None => Answer::of("200 OK", bytes),
        };
        let answer = answer.with("ETag", etag).with("X-Repo-Commit", commit);
        let is_cut = is_large && asked.method == "GET" && !self.cuts.is_empty();
        Answer { cut: is_cut.then(|| self.cuts.remove(0)), ..answer }
    }

    /// `<commit>/<name>`, from the end of an address.
    fn find(&self, rest: &str) -> Option<(String, &Vec<u8>)> {
        let (commit, name) = rest.split_once('/')?;
        let key = (commit.to_owned(), name.to_owned());
        Some((commit.to_owned(), self.files.get(&key)?))
    }

    fn etag(&self, name: &str, bytes: &[u8]) -> String {
        let own = || if is_large(name) { sha256(bytes) } else { git_sha1(bytes) };
        format!("\"{}\"", self.etag.clone().unwrap_or_else(own))
    }
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

/// By what the Hub knows a large file.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// By what the Hub knows a small file.
fn git_sha1(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

impl StandIn {
    pub fn start(model: Model) -> Self {
        let shared = Arc::new(Mutex::new(Shared { model, ..Shared::default() }));
        let ours = Arc::clone(&shared);
        let listener = Listener::start(move |connection| {
            // Whoever hangs up early is meant to.
            let _ = serve(&connection, &ours);
        });
        Self { listener, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared).asked.clone()
    }

    /// How much of large files went over the line.
    pub fn n_bytes_of_weights(&self) -> usize {
        lock(&self.shared).n_bytes_of_weights
    }

    pub fn change(&self, change: impl FnOnce(&mut Model)) {
        change(&mut lock(&self.shared).model);
    }
}

/// One request and its answer; then the connection ends.
fn serve(mut connection: &TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked = Asked { method, path, range: None, authorization: None };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = Some(value.to_owned()),
            "authorization" => asked.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let answer = {
        let mut shared = lock(shared);
        shared.asked.push(asked.clone());
        shared.model.answer(&asked)
    };
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(format!("{head}\r\n").as_bytes())?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    let n_sent = answer.cut.unwrap_or(answer.body.len()).min(answer.body.len());
    if asked.path.starts_with("/cdn/") {
        lock(shared).n_bytes_of_weights += n_sent;
    }
    connection.write_all(&answer.body[..n_sent])
}

impl Answer {
    fn of(status: &'static str, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec(), cut: None }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
