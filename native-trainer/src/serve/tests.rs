//! One fact about the server each, over a real connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use tempfile::TempDir;

use super::*;
use crate::exit::{code_of, describe};

pub(super) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A site and a bundle in a folder, with a secret beside them.
pub(super) fn folders() -> (TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let [site, bundle] = ["site", "family"].map(|name| root.path().join(name));
    for (path, content) in [
        ("site/index.html", "<base href=\"./\"><title>page</title><script>go()</script>"),
        ("site/app.js", "go()"),
        ("site/app_bg.wasm", "\0asm"),
        ("site/bundle/manifest.json", "the site's own"),
        ("family/manifest.json", "the family's"),
        ("family/layers/0.safetensors", "0123456789"),
        ("secret.txt", "secret"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    (root, site, bundle)
}

/// The whole answer to `GET path`, its header names in lower case.
fn get(path: &str) -> String {
    ask(&format!("GET {path} HTTP/1.1\r\n"))
}

fn ask(request: &str) -> String {
    let (_root, site, bundle) = folders();
    let server = Server::start(&site, &bundle, ANY_PORT).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "{request}Host: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
pub(super) fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

#[track_caller]
pub(super) fn assert_header(answer: &str, line: &str) {
    assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{answer}");
}

#[test]
fn the_bundle_shadows_the_one_in_the_site() {
    assert!(get("/bundle/manifest.json").ends_with("the family's"));
}

#[test]
fn a_part_of_a_file_can_be_asked_for() {
    let request = "GET /bundle/layers/0.safetensors HTTP/1.1\r\nRange: bytes=2-4\r\n";
    let answer = ask(request);
    assert_status(&answer, 206);
    assert_header(&answer, "content-range: bytes 2-4/10");
    assert!(answer.ends_with("\r\n\r\n234"), "{answer}");
}

#[test]
fn a_file_missing_in_the_bundle_is_not_found() {
    for path in ["/bundle/layers/9.safetensors", "/bundle/none", "/bundle/", "/bundle"] {
        assert_status(&get(path), 404);
    }
}

#[test]
fn a_route_of_the_page_is_the_page() {
    for path in ["/", "/index.html", "/family/3", "/a/b?size=4"] {
        let answer = get(path);
        assert_status(&answer, 200);
        assert_header(&answer, "content-type: text/html; charset=utf-8");
        assert!(answer.contains("<title>page</title>"));
    }
}

#[test]
fn a_view_finds_its_files_at_the_root() {
    assert!(get("/explore/").contains("<base href=\"/\">"));
}

#[test]
fn a_missing_file_of_the_site_is_not_the_page() {
    assert_status(&get("/app-of-last-week.js"), 404);
}

#[test]
fn files_have_their_media_types() {
    for (path, media_type) in [
        ("/app.js", "text/javascript"),
        ("/app_bg.wasm", "application/wasm"),
        ("/bundle/manifest.json", "application/json"),
        ("/bundle/layers/0.safetensors", "application/octet-stream"),
    ] {
        assert_header(&get(path), &format!("content-type: {media_type}"));
    }
}

#[test]
fn no_path_leads_out_of_the_folders() {
    for path in [
        "/../secret.txt",
        "/bundle/../../secret.txt",
        "/bundle/..%2f..%2fsecret.txt",
        "/bundle/%2e%2e/%2e%2e/secret.txt",
        "/%2e%2e/secret.txt",
        "/bundle//etc/passwd",
    ] {
        let answer = get(path);
        assert_status(&answer, 404);
        assert!(!answer.ends_with("secret"), "{path} leads out");
    }
}

#[test]
fn a_head_request_returns_the_size_and_no_body() {
    let answer = ask("HEAD /bundle/layers/0.safetensors HTTP/1.1\r\n");
    assert_header(&answer, "content-length: 10");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_file_that_is_known_is_not_sent_again() {
    let (_root, site, bundle) = folders();
    let server = Server::start(&site, &bundle, ANY_PORT).unwrap();
    let send = |header: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let request = "GET /bundle/manifest.json HTTP/1.1\r\nHost: localhost\r\nConnection: close";
        write!(stream, "{request}\r\n{header}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let first = send("");
    let modified = first.lines().find_map(|line| line.strip_prefix("last-modified: ")).unwrap();
    assert_status(&send(&format!("If-Modified-Since: {modified}\r\n")), 304);
}

#[test]
fn every_answer_carries_the_security_headers() {
    for path in ["/", "/app.js", "/bundle/manifest.json", "/bundle/none"] {
        let answer = get(path);
        assert_header(&answer, "x-content-type-options: nosniff");
        assert_header(&answer, "cross-origin-opener-policy: same-origin");
        assert_header(&answer, "cross-origin-embedder-policy: require-corp");
        assert_header(&answer, "cache-control: no-cache");
        assert!(answer.contains("\r\ncontent-security-policy: default-src 'self';"), "{answer}");
    }
}

#[test]
fn the_page_may_run_its_inline_script() {
    let answer = get("/");
    let policies = answer.matches("content-security-policy:").count();
    assert_eq!((policies, answer.matches("'sha256-").count()), (1, 1), "{answer}");
}

#[test]
fn a_taken_port_is_refused_with_advice() {
    let (_root, site, bundle) = folders();
    let server = Server::start(&site, &bundle, ANY_PORT).unwrap();
    let Err(error) = Server::start(&site, &bundle, server.address()) else { panic!("two on one") };
    assert!(describe(&error).contains("choose another with --port"));
    assert_eq!(code_of(&error), Exit::Usage);
}

#[test]
fn a_missing_bundle_or_page_is_refused_with_advice() {
    let (root, site, bundle) = folders();
    for (site, bundle, advice) in [
        (site.as_path(), root.path(), "make the bundle with `boomerang bundle`"),
        (root.path(), bundle.as_path(), "build the page with `cargo xtask page`"),
    ] {
        let Err(error) = Server::start(site, bundle, ANY_PORT) else { panic!("it started") };
        assert!(describe(&error).ends_with(advice));
    }
}

#[test]
fn a_dropped_server_no_longer_answers() {
    let (_root, site, bundle) = folders();
    let server = Server::start(&site, &bundle, ANY_PORT).unwrap();
    let address = server.address();
    drop(server);
    let is_gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        TcpStream::connect(address).is_err()
    });
    assert!(is_gone, "{address} still answers");
}
