//! The built page in a real, headless browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boomerang_native_trainer::serve::Server;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::root;

/// How long a state of the page may take: a software GPU compiles its shaders on two cores.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a control may be missing, covered or replaced before a click on it fails.
const CLICK_PATIENCE: Duration = Duration::from_secs(20);

/// A browser with the page open, and everything that stands behind it.
pub struct Page {
    pub client: Client,
    server: Option<Server>,
    /// What was opened, without the query.
    url: String,
    driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

/// One browser at a time; they would only slow each other down.
static TURN: Mutex<()> = Mutex::const_new(());

struct Driver {
    child: Child,
    port: u16,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    /// Opens the page with the committed bundle. `flags` go to the browser, `query` to the page.
    pub async fn open(flags: &[&str], query: &str) -> Self {
        Self::open_with(&root().join("assets/demo/bundle"), flags, query).await
    }

    /// Opens the page with the bundle of another folder.
    pub async fn open_with(bundle: &Path, flags: &[&str], query: &str) -> Self {
        let server = serve(bundle);
        let url = server.url();
        let mut page = Self::open_at(&url, flags, query).await;
        page.server = Some(server);
        page
    }

    /// Opens a page that is served already.
    pub async fn open_at(url: &str, flags: &[&str], query: &str) -> Self {
        let turn = TURN.lock().await;
        let driver = start_driver();
        let mut arguments = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,1000",
        ];
        arguments.extend(flags);
        let mut options = json!({"args": arguments});
        if let Some(chromium) = std::env::var_os("CHROMIUM") {
            options["binary"] = chromium.to_string_lossy().into();
        }
        let capabilities =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let mut builder =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{}", driver.port);
        // On a machine at its limits a browser may end before it has begun; no page is open yet.
        let client = match builder.connect(&address).await {
            Ok(client) => client,
            Err(_) => builder.connect(&address).await.expect("chromedriver starts a browser"),
        };
        client.goto(&format!("{url}{query}")).await.expect("the page opens");
        Self { client, url: url.to_owned(), server: None, driver, _turn: turn }
    }

    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page opens again");
    }

    /// Goes to another view by its address, as if it were typed.
    pub async fn go(&self, view: &str) {
        let address = format!("{}{view}", self.url);
        self.client.goto(&address).await.expect("the view opens");
    }

    /// Waits until nothing moves on the screen any more.
    pub async fn settled(&self) {
        let still =
            "return document.getAnimations().filter(it => it.playState === 'running').length;";
        self.wait_until(still, json!(0)).await;
        self.drawn().await;
    }

    /// Waits until an attribute of an element has one of these values; returns which.
    pub async fn wait_for(&self, selector: &str, attribute: &str, values: &[&str]) -> String {
        let started = std::time::Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            if let Ok(element) = self.client.find(Locator::Css(selector)).await
                && let Ok(Some(value)) = element.attr(attribute).await
            {
                if values.contains(&value.as_str()) {
                    return value;
                }
                last = value;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let text = self.text("body").await;
        panic!(
            "{selector} has {attribute}={last:?}, expected one of {values:?}; the page says:\n{text}"
        );
    }

    /// Waits until a script gives this value; returns what it gives otherwise in its complaint.
    pub async fn wait_until(&self, script: &str, expected: Value) {
        let started = std::time::Instant::now();
        let mut last = Value::Null;
        while started.elapsed() < PATIENCE {
            last = self.run(script, Vec::new()).await;
            if last == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let text = self.text("body").await;
        panic!("{script} gives {last}, expected {expected}; the page says:\n{text}");
    }

    /// Waits until the model is there, loading it if the page asks first.
    pub async fn ready(&self) {
        let state = self.wait_for("main", "data-state", &["ready", "offered"]).await;
        if state == "offered" {
            self.click("#load").await;
            self.wait_for("main", "data-state", &["ready"]).await;
        }
    }

    pub async fn attribute(&self, selector: &str, attribute: &str) -> String {
        let element = self.client.find(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.attr(attribute).await.expect("an attribute can be read").unwrap_or_default()
    }

    pub async fn text(&self, selector: &str) -> String {
        // An element that is replaced between being found and being read is found again.
        for _ in 0..3 {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { break };
            if let Ok(text) = element.text().await {
                return text;
            }
        }
        String::new()
    }

    /// Clicks as a person does: what is in a closed menu is clicked after the menu, and what still
    /// moves, because something above it arrives, once it stands still.
    pub async fn click(&self, selector: &str) {
        let open = "document.querySelector(arguments[0])?.closest('.more:not([open]) > ul') \
                    ?.previousElementSibling.click();";
        self.run(open, vec![json!(selector)]).await;
        let started = std::time::Instant::now();
        loop {
            self.stands_still(selector).await;
            let clicked = match self.client.find(Locator::Css(selector)).await {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => break,
                Err(error) if started.elapsed() > CLICK_PATIENCE => {
                    panic!(
                        "clicking {selector}: {error}; the page says:\n{}",
                        self.text("body").await
                    )
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        self.drawn().await;
    }

    /// Scrolls to an element, and waits for two frames in which it is at the same place, at most a
    /// second.
    async fn stands_still(&self, selector: &str) {
        let script = "const done = arguments[1]; const began = performance.now(); let last = ''; \
                      document.querySelector(arguments[0])?.scrollIntoView({block: 'nearest', \
                          behavior: 'instant'}); \
                      const look = () => { \
                          const box = document.querySelector(arguments[0])?.getBoundingClientRect(); \
                          const now = JSON.stringify(box ?? null); \
                          if (now === last || performance.now() - began > 1000) { done(); return; } \
                          last = now; requestAnimationFrame(look); }; \
                      requestAnimationFrame(look);";
        self.client.execute_async(script, vec![json!(selector)]).await.expect("the page draws");
    }

    /// Sets a form control as a person does, so that the page hears of it.
    pub async fn set(&self, selector: &str, value: &str) {
        let script = "const e = document.querySelector(arguments[0]); e.value = arguments[1]; \
                      e.dispatchEvent(new Event('input', {bubbles: true})); \
                      e.dispatchEvent(new Event('change', {bubbles: true}));";
        self.run(script, vec![json!(selector), json!(value)]).await;
        self.drawn().await;
    }

    /// Chooses a file or a folder in a field.
    pub async fn choose(&self, selector: &str, path: &Path) {
        // A slow machine may still be opening the page.
        let there = format!("return document.querySelector({selector:?}) !== null;");
        self.wait_until(&there, json!(true)).await;
        let field = self.client.find(Locator::Css(selector)).await.expect("there is a field");
        field.send_keys(&path.display().to_string()).await.expect("the field takes files");
    }

    /// Waits until what follows from the last event is on the screen.
    async fn drawn(&self) {
        let script = "const done = arguments[0]; \
                      const glides = () => document.getAnimations() \
                          .filter(animation => animation instanceof CSSTransition); \
                      requestAnimationFrame(() => requestAnimationFrame(() => \
                          Promise.allSettled(glides().map(glide => glide.finished)).then(done)));";
        self.client.execute_async(script, Vec::new()).await.expect("the page draws");
    }

    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.expect("the script runs")
    }

    /// From now on the page's server answers nobody.
    pub fn stop_server(&mut self) {
        self.server = None;
    }

    /// Runs a script that gives a promise, and waits for what it promises.
    pub async fn promised(&self, script: &str, mut arguments: Vec<Value>) -> Value {
        arguments.insert(0, json!(script));
        let wrapped = "const [script, ...rest] = arguments; const done = rest.pop(); \
                       const run = Object.getPrototypeOf(async () => {}).constructor; \
                       run('args', script)(rest).then(done, error => done(String(error)));";
        self.client.execute_async(wrapped, arguments).await.expect("the script runs")
    }

    /// A command of the browser's developer tools.
    pub async fn devtools(&self, method: &str, parameters: Value) {
        let session = self.client.session_id().await.ok().flatten().expect("there is a session");
        let body = json!({"cmd": method, "params": parameters}).to_string();
        let mut driver =
            TcpStream::connect(("127.0.0.1", self.driver.port)).expect("chromedriver listens");
        let head = format!(
            "POST /session/{session}/goog/cdp/execute HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        driver.write_all(format!("{head}{body}").as_bytes()).expect("chromedriver hears");
        // It keeps the line open, and its first words say all.
        let mut answer = [0; "HTTP/1.1 200".len()];
        driver.read_exact(&mut answer).expect("chromedriver answers");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200", "{method}");
    }

    /// Ends the browser.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

/// Serves the built page with a bundle.
pub fn serve(bundle: &Path) -> Server {
    let site =
        std::env::var_os("BOOMERANG_SITE").map_or_else(|| root().join("dist"), PathBuf::from);
    assert!(
        site.join("index.html").exists(),
        "{} holds no page; build it with `cargo xtask page`",
        site.display()
    );
    Server::start(&site, bundle, ([127, 0, 0, 1], 0).into()).expect("the page can be served")
}

/// On a machine at its limits a driver may find its port taken, and end before it listens.
fn start_driver() -> Driver {
    (0..3).find_map(|_| try_to_start_driver()).expect("chromedriver says its port")
}

fn try_to_start_driver() -> Option<Driver> {
    let path = std::env::var_os("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
    let mut child = Command::new(&path)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo xtask test` installs it", path.to_string_lossy())
        });
    let output = child.stdout.take().expect("the output is piped");
    let port = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
        let rest = line.split("started successfully on port ").nth(1)?;
        rest.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        let _ = child.wait();
        return None;
    };
    Some(Driver { child, port })
}
