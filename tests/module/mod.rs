mod errors;
mod package;
mod texts;

use std::collections::BTreeMap;
use std::path::PathBuf;

use boomerang_tests::browser::Page;
use boomerang_tests::file_server::{FileServer, Files};
use boomerang_tests::{read, root};
use serde_json::{Value, json};

/// The unpacked package.
fn package() -> PathBuf {
    let built = std::env::var_os("BOOMERANG_MODULE");
    let folder = built.map_or_else(|| root().join("dist-module"), PathBuf::from).join("package");
    assert!(
        folder.join("package.json").exists(),
        "{} holds no package; build it with `cargo xtask module`",
        folder.display()
    );
    folder
}

/// A block of code in docs/module.md, the first one in a language.
fn example(language: &str) -> String {
    let manual = String::from_utf8(read(root().join("docs/module.md"))).unwrap();
    let block = manual.split(&format!("```{language}\n")).nth(1).expect("an example");
    block.split("```").next().unwrap().to_owned()
}

/// Files of a page with the package beside it.
fn site(policy: Option<&str>) -> Files {
    let folders =
        [("/boomerang-dial/", package()), ("/bundle/", root().join("assets/demo/bundle"))];
    Files {
        folders: folders.map(|(start, folder)| (start.to_owned(), folder)).into(),
        texts: BTreeMap::from([("/".to_owned(), EMPTY_PAGE.to_owned())]),
        headers: policy
            .map(|policy| ("Content-Security-Policy", policy.to_owned()))
            .into_iter()
            .collect(),
        has_start_page: false,
    }
}

const EMPTY_PAGE: &str = "<!doctype html><html lang=\"en\"><title>A page</title><main></main>";

/// A bundle that pages of other origins may read.
fn elsewhere(bundle: PathBuf) -> FileServer {
    FileServer::start(Files {
        folders: BTreeMap::from([("/family/".to_owned(), bundle)]),
        headers: vec![("Access-Control-Allow-Origin", "*".to_owned())],
        ..Files::default()
    })
}

/// Allows what a page needs by docs/module.md, and nothing else.
fn strict_policy(bundles: &FileServer) -> String {
    let bundles = bundles.url();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
         connect-src 'self' {bundles}; base-uri 'none'; form-action 'none'"
    )
}

/// A page with nothing on it but the package, and its server.
async fn open(policy: Option<&str>) -> (Page, FileServer) {
    let server = FileServer::start(site(policy));
    let page = Page::open_at(&server.url(), &[], "").await;
    (page, server)
}

/// Runs an asynchronous script in which `load` is the package's; an error becomes `{failed, kind,
/// message}`.
async fn script(page: &Page, body: &str, arguments: Vec<Value>) -> Value {
    let script = format!(
        "const args = [...arguments]; const done = args.pop(); \
         const read = async (texts) => {{ const all = []; \
             for await (const piece of texts) all.push(piece); return all; }}; \
         const failed = (error) => \
             ({{failed: error.name, kind: error.kind, message: error.message}}); \
         const outcome = (work) => Promise.resolve().then(work).catch(failed); \
         (async () => {{ const {{load, BoomerangError}} = \
             await import('/boomerang-dial/index.js'); {body} }})().then(done, error => done(failed(error)));"
    );
    page.client.execute_async(&script, arguments).await.expect("the script runs")
}

/// The tokens of pieces.
fn tokens(pieces: &Value) -> Vec<u32> {
    let pieces = pieces.as_array().unwrap_or_else(|| panic!("expected a list, found {pieces}"));
    pieces.iter().filter_map(|piece| Some(piece["token"].as_u64()? as u32)).collect()
}

fn folder_at(server: &FileServer) -> Value {
    json!(format!("{}family/", server.url()))
}
