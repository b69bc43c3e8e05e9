//! Clients that are slow, greedy or hostile: one fact each, over a real connection.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tests::{ANY_PORT, assert_header, assert_status, folders};
use super::*;

/// Above what the buffers of both ends of a connection take.
const LARGE: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

fn short() -> Limits {
    let short = Duration::from_millis(300);
    Limits { request: short, stalled: short, ..Limits::default() }
}

/// A server, with a large file of weights in its bundle.
fn server(limits: Limits) -> (TempDir, Server) {
    let (root, site, bundle) = folders();
    File::create(bundle.join("large.safetensors")).unwrap().set_len(LARGE).unwrap();
    let server = Server::start_with(&site, &bundle, ANY_PORT, limits).unwrap();
    (root, server)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "{request}\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

/// Everything until the server closes the connection, or what came before it was reset.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    let start = Instant::now();
    while let Ok(n_bytes @ 1..) = stream.read(&mut chunk) {
        bytes.extend(&chunk[..n_bytes]);
    }
    assert!(start.elapsed() < PATIENCE, "the connection stays open");
    bytes
}

fn text(stream: &mut TcpStream) -> String {
    String::from_utf8_lossy(&rest(stream)).into_owned()
}

#[test]
fn headers_that_do_not_end_are_not_waited_for() {
    let (_root, server) = server(short());
    let mut stream = connect(server.address());
    let mut drip = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let _ = write!(drip, "GET / HTTP/1.1\r\n");
        while write!(drip, "a: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(!text(&mut stream).starts_with("HTTP/1.1 200"));
    dripping.join().unwrap();
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let (_root, server) = server(short());
    rest(&mut connect(server.address()));
}

#[test]
fn a_connection_that_is_idle_after_a_response_is_closed() {
    let (_root, server) = server(short());
    assert_status(&text(&mut send(server.address(), "GET /app.js HTTP/1.1")), 200);
}

#[test]
fn headers_that_are_too_long_are_refused() {
    let (_root, server) = server(short());
    let long = "x".repeat(64 << 10);
    let mut stream = send(server.address(), &format!("GET / HTTP/1.1\r\nCookie: {long}"));
    assert_status(&text(&mut stream), 431);
}

#[test]
fn nothing_can_be_uploaded() {
    let (_root, server) = server(short());
    let request = "POST /bundle/manifest.json HTTP/1.1\r\nContent-Length: 1000000000";
    assert_status(&text(&mut send(server.address(), request)), 405);
}

#[test]
fn a_client_that_accepts_nothing_is_dropped() {
    let (_root, server) = server(short());
    let mut stream = send(server.address(), "GET /bundle/large.safetensors HTTP/1.1");
    std::thread::sleep(Duration::from_secs(2));
    assert!((rest(&mut stream).len() as u64) < LARGE);
}

#[test]
fn clients_that_accept_nothing_keep_nobody_waiting() {
    let (_root, server) = server(Limits::default());
    let request = "GET /bundle/large.safetensors HTTP/1.1\r\nConnection: close";
    let stuck: Vec<TcpStream> = (0..20).map(|_| send(server.address(), request)).collect();
    let n_bytes = rest(&mut send(server.address(), request)).len();
    assert!(n_bytes as u64 > LARGE, "{n_bytes} bytes");
    drop(stuck);
}

#[test]
fn connections_above_the_limit_wait() {
    let (_root, server) = server(Limits { n_connections: 1, ..short() });
    let first = connect(server.address());
    let start = Instant::now();
    let mut second = send(server.address(), "GET /app.js HTTP/1.1\r\nConnection: close");
    assert_status(&text(&mut second), 200);
    assert!(start.elapsed() >= Duration::from_millis(200), "it did not wait");
    drop(first);
}

/// The value of a header of a response, its name in lower case.
fn value(response: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = response.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in\n{response}")).to_owned()
}

#[test]
fn a_part_comes_only_from_the_file_whose_beginning_is_known() {
    let (_root, server) = server(short());
    let ask = |headers: &str| {
        let path = "/bundle/layers/0.safetensors";
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close{headers}");
        text(&mut send(server.address(), &request))
    };
    let tag = value(&ask(""), "etag");
    let same = ask(&format!("\r\nRange: bytes=7-\r\nIf-Range: {tag}"));
    assert_status(&same, 206);
    assert_header(&same, "content-range: bytes 7-9/10");
    let other = ask("\r\nRange: bytes=7-\r\nIf-Range: \"another\"");
    assert_status(&other, 200);
    assert!(other.ends_with("\r\n\r\n0123456789"), "{other}");
    assert_status(&ask(&format!("\r\nIf-None-Match: {tag}")), 304);
}

#[test]
fn files_of_the_smallest_size_are_known_from_the_manifest() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/bundle");
    let transfers = Transfers::of(&bundle);
    let urgency = |path| transfers.urgency(path);
    assert_eq!(urgency("/student/layer-00.safetensors"), Some(queue::Urgency::First));
    assert_eq!(urgency("/teacher/layer-00.safetensors"), Some(queue::Urgency::Later));
    assert_eq!(urgency("/manifest.json"), None);
}
