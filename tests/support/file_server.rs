//! A server of files on this machine, with headers of one's own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::listener::Listener;

/// Serves folders and single files until it is dropped.
pub struct FileServer {
    listener: Listener,
}

/// What a server has.
#[derive(Clone, Default)]
pub struct Files {
    /// Folders by the start of their paths: `/bundle/`.
    pub folders: BTreeMap<String, PathBuf>,
    /// Texts by their whole path; they come before folders.
    pub texts: BTreeMap<String, String>,
    /// Sent with every answer.
    pub headers: Vec<(&'static str, String)>,
    /// Whether what is missing is answered by a web page, as by many hosts of single pages.
    pub has_start_page: bool,
}

impl FileServer {
    pub fn start(files: Files) -> Self {
        let files = Arc::new(files);
        let listener = Listener::start(move |connection| {
            let files = Arc::clone(&files);
            // A browser opens connections that it does not use yet: none waits for another.
            thread::spawn(move || serve(&connection, &files));
        });
        Self { listener }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.listener.address())
    }
}

impl Files {
    fn find(&self, path: &str) -> Option<(Vec<u8>, &'static str)> {
        if let Some(text) = self.texts.get(path) {
            return Some((text.clone().into_bytes(), kind(path)));
        }
        let (folder, name) = self
            .folders
            .iter()
            .find_map(|(start, folder)| Some((folder, path.strip_prefix(start.as_str())?)))?;
        let is_inside = !name.split('/').any(|part| part == "..");
        let bytes = is_inside.then(|| std::fs::read(folder.join(name)).ok()).flatten()?;
        Some((bytes, kind(path)))
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript",
        "json" => "application/json",
        "wasm" => "application/wasm",
        "safetensors" => "application/octet-stream",
        _ => "text/html; charset=utf-8",
    }
}

/// One request and its answer; then the connection ends.
fn serve(mut browser: &TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(browser).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (status, (body, kind)) = match files.find(path) {
        Some(found) => ("200 OK", found),
        None if files.has_start_page => ("200 OK", (b"<!doctype html>".to_vec(), kind(""))),
        None => ("404 Not Found", (Vec::new(), "text/plain")),
    };
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\n");
    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    for (name, value) in &files.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    browser.write_all(format!("{head}\r\n").as_bytes())?;
    browser.write_all(&body)?;
    browser.shutdown(Shutdown::Both)
}
