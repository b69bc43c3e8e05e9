//! What stands between a browser and the server of the page: it counts what goes through, and can
//! be told to cut an answer off or to deny that files have parts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::listener::{Listener, lock};

/// A way to a server, until it is dropped.
pub struct Passage {
    listener: Listener,
    shared: Arc<Mutex<Shared>>,
}

/// How answers are spoiled.
#[derive(Clone, Debug, Default)]
pub struct Spoiled {
    /// Answers for files whose path ends so are cut off after so many bytes.
    pub cut: Option<(String, usize)>,
    pub ranges: Ranges,
    /// Pages of other servers may read the answers.
    pub is_open: bool,
    /// Whoever asks for a path that ends so is sent on to this address.
    pub sent_on: Option<(String, String)>,
}

/// What becomes of requests for a part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    #[default]
    Served,
    /// The whole file comes.
    Ignored,
    /// There is no such part.
    Refused,
}

/// One request that went through.
#[derive(Clone, Debug)]
pub struct Passed {
    pub path: String,
    /// The value of its `Range` header.
    pub range: Option<String>,
    pub status: u16,
    /// Bytes of the answer's body.
    pub n_bytes: usize,
}

#[derive(Default)]
struct Shared {
    spoiled: Spoiled,
    passed: Vec<Passed>,
}

impl Passage {
    pub fn to(server: SocketAddr) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let ours = Arc::clone(&shared);
        let listener = Listener::start(move |connection| {
            let shared = Arc::clone(&ours);
            // A browser opens connections that it does not use yet: none waits for another.
            thread::spawn(move || pass(&connection, server, &shared));
        });
        Self { listener, shared }
    }

    pub fn port(&self) -> u16 {
        self.listener.address().port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.listener.address())
    }

    pub fn spoil(&self, spoiled: Spoiled) {
        lock(&self.shared).spoiled = spoiled;
    }

    /// All requests since the last call.
    pub fn passed(&self) -> Vec<Passed> {
        std::mem::take(&mut lock(&self.shared).passed)
    }

    /// The requests for weights since the last call.
    pub fn weights(&self) -> Vec<Passed> {
        self.passed().into_iter().filter(|passed| passed.path.ends_with(".safetensors")).collect()
    }
}

/// One request and its answer; then the connection ends. Whoever hangs up early is meant to.
fn pass(
    mut browser: &TcpStream,
    server: SocketAddr,
    shared: &Mutex<Shared>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(browser).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let spoiled = lock(shared).spoiled.clone();
    let (mut request, mut range) = (format!("{first}\r\nConnection: close\r\n"), None);
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "connection" => continue,
            "range" => range = Some(value.to_owned()),
            _ => {}
        }
        if spoiled.ranges != Ranges::Ignored || !name.eq_ignore_ascii_case("range") {
            request.push_str(&format!("{line}\r\n"));
        }
    }
    let mut answer = Vec::new();
    if range.is_some() && spoiled.ranges == Ranges::Refused {
        answer.extend(b"HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    } else if let Some((_, to)) = spoiled.sent_on.filter(|(end, _)| path.ends_with(end.as_str())) {
        let found = "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0";
        answer.extend(format!("{found}\r\nLocation: {to}\r\n\r\n").into_bytes());
    } else {
        let mut server = TcpStream::connect(server)?;
        server.write_all(format!("{request}\r\n").as_bytes())?;
        server.read_to_end(&mut answer)?;
    }
    let end_of_head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let status = std::str::from_utf8(answer.get(9..12).unwrap_or_default()).unwrap_or_default();
    let cut = spoiled.cut.filter(|(end, _)| path.ends_with(end.as_str())).map(|(_, n)| n);
    let all = answer.len() - end_of_head;
    let n_bytes = cut.unwrap_or(all).min(all);
    let status = status.parse().unwrap_or(0);
    lock(shared).passed.push(Passed { path, range, status, n_bytes });
    if spoiled.is_open && end_of_head > 0 {
        browser.write_all(&answer[..end_of_head - 2])?;
        browser.write_all(b"Access-Control-Allow-Origin: *\r\n\r\n")?;
    } else {
        browser.write_all(&answer[..end_of_head])?;
    }
    browser.write_all(&answer[end_of_head..end_of_head + n_bytes])?;
    if cut.is_some() {
        // What came before the cut is to be read before the cut is noticed.
        thread::sleep(Duration::from_millis(500));
    }
    browser.shutdown(Shutdown::Both)
}
