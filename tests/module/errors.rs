//! Errors of the package: each with its kind, and with what to do.

use std::fs;
use std::path::PathBuf;

use boomerang_core::bundle::MANIFEST;
use boomerang_core::generate::Sampling;
use boomerang_tests::browser::Page;
use boomerang_tests::file_server::{FileServer, Files};
use boomerang_tests::{read, root};
use serde_json::{Value, json};

use super::{elsewhere, open, package, script, site, tokens};
use crate::page::{N_TOKENS, Native, PROMPT, copied_bundle};

/// What `load` fails with for a bundle in a folder.
async fn failure_of(bundle: PathBuf) -> Value {
    let mut files = site(None);
    files.folders.insert("/bundle/".to_owned(), bundle);
    let server = FileServer::start(files);
    let page = Page::open_at(&server.url(), &[], "").await;
    let found = script(&page, "await load('bundle/');", Vec::new()).await;
    page.close().await;
    found
}

#[track_caller]
fn assert_fails(found: &Value, kind: &str, words: &str) {
    assert_eq!(found["failed"], json!("BoomerangError"), "{found}");
    assert_eq!(found["kind"], json!(kind), "{found}");
    assert!(found["message"].as_str().unwrap().contains(words), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_wrong_says_what_was_expected() {
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); const calls = [ \
                    () => load(7), () => load('bundle/', 3), () => load('bundle/', {signal: {}}), \
                    () => load('ftp://host/'), \
                    () => family.setSize(-1), () => family.setSize(99), () => family.setSize('1'), \
                    () => family.generate(7), () => family.generate([]), \
                    () => family.generate([{role: 'assistant', content: ''}]), \
                    () => family.generate('a', {tokens: 0}), \
                    () => family.generate('a', {tokens: '5'}), \
                    () => family.generate('a', {temperature: -1}), \
                    () => family.generate('a', {seed: 1.5}), \
                    () => family.generate('a', {chat: true}), \
                    () => family.logits('a', {signal: 1}), \
                ]; \
                const all = []; for (const call of calls) all.push(await outcome(call)); \
                return all;";
    let found = script(&page, body, Vec::new()).await;
    let expected = [
        ("argument", "expected a string or a URL"),
        ("argument", "expected an object"),
        ("argument", "expected an AbortSignal"),
        ("argument", "expected http or https"),
        ("unknown-size", "expected an integer from 0 to 5"),
        ("unknown-size", "There is no size 99"),
        ("argument", "expected an integer"),
        ("argument", "expected a string, or messages"),
        ("argument", "expected a string, or messages"),
        ("argument", "expected a string, or messages"),
        ("argument", "tokens is 0"),
        ("argument", "tokens is \"5\""),
        ("argument", "temperature is -1"),
        ("argument", "seed is 1.5"),
        ("argument", "no chat template"),
        ("argument", "expected an AbortSignal"),
    ];
    for (index, (kind, words)) in expected.into_iter().enumerate() {
        assert_fails(&found[index], kind, words);
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_dispose_every_call_fails_and_so_does_what_was_pending() {
    let (page, _server) = open(None).await;
    let body = "const family = await load('bundle/'); \
                const text = family.generate(args[0], {tokens: 60, temperature: 1}); \
                await text.next(); const pending = outcome(() => read(text)); family.dispose(); \
                const calls = [() => pending, () => family.generate('a'), () => family.logits('a'), \
                               () => family.setSize(0), () => family.whenLoaded()]; \
                const all = []; for (const call of calls) all.push(await outcome(call)); \
                family.dispose(); return all;";
    let found = script(&page, body, vec![json!(PROMPT)]).await;
    for found in found.as_array().unwrap() {
        assert_fails(found, "disposed", "Call load() again");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_ends_what_was_pending() {
    let (page, _server) = open(None).await;
    let body = "const workers = []; const Own = window.Worker; \
                window.Worker = class extends Own { \
                    constructor(...given) { super(...given); workers.push(this); } }; \
                const family = await load('bundle/'); const kinds = []; \
                family.addEventListener('error', event => kinds.push(event.detail.kind)); \
                const text = family.generate(args[0], {tokens: 60, temperature: 1}); \
                await text.next(); const pending = outcome(() => read(text)); \
                workers[0].dispatchEvent( \
                    new ErrorEvent('error', {message: 'unreachable executed'})); \
                return [await pending, await outcome(() => family.logits('a')), kinds];";
    let found = script(&page, body, vec![json!(PROMPT)]).await;
    assert_fails(&found[0], "worker", "unreachable executed");
    assert_fails(&found[1], "worker", "Call load() again");
    assert_eq!(found[2], json!(["worker"]));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_is_not_a_bundle() {
    let start_page = FileServer::start(Files {
        headers: vec![("Access-Control-Allow-Origin", "*".to_owned())],
        has_start_page: true,
        ..Files::default()
    });
    let closed = FileServer::start(Files::default());
    let (page, _server) = open(None).await;
    let body = "return Promise.all(args.map(url => outcome(() => load(url))));";
    let addresses = vec![json!(start_page.url()), json!("missing/"), json!(closed.url())];
    let found = script(&page, body, addresses).await;
    assert_fails(&found[0], "not-a-bundle", "sent a web page instead of");
    assert_fails(&found[1], "network", "status 404");
    assert_fails(&found[2], "network", "Access-Control-Allow-Origin");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_another_version_is_refused() {
    let folder = copied_bundle();
    let path = folder.path().join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&read(&path)).unwrap();
    manifest["version"] = json!(3);
    fs::write(&path, manifest.to_string()).unwrap();
    assert_fails(&failure_of(folder.path().to_owned()).await, "version", "version 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_match_its_hash_is_named() {
    let folder = copied_bundle();
    let name = "student/layer-00.safetensors";
    let path = folder.path().join(name);
    let mut bytes = read(&path);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_fails(&failure_of(folder.path().to_owned()).await, "damaged", name);
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_is_aborted_with_the_reason_of_its_signal() {
    let (page, _server) = open(None).await;
    let body = "const stop = new AbortController(); \
                const loading = outcome(() => load('bundle/', \
                    {signal: stop.signal, onProgress: () => stop.abort()})); \
                return [(await loading).failed, \
                        (await outcome(() => load('bundle/', {signal: stop.signal}))).failed, \
                        await outcome(() => load('bundle/', {signal: AbortSignal.abort('why')}))];";
    let found = script(&page, body, Vec::new()).await;
    assert_eq!([&found[0], &found[1]], [&json!("AbortError"); 2], "{found}");
    page.close().await;
}

/// A page and the package on two origins.
async fn package_elsewhere(workers: &str) -> (Page, [FileServer; 2]) {
    let module = elsewhere(package());
    let origin = module.url();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {origin}; {workers} {origin}; \
         connect-src 'self' {origin}"
    );
    let mut files = site(Some(&policy));
    let own = format!("import \"{origin}family/worker.js\";");
    files.texts.insert("/worker.js".to_owned(), own);
    // The script of these tests imports the package from here.
    let index = format!("export * from \"{origin}family/index.js\";");
    files.texts.insert("/boomerang-dial/index.js".to_owned(), index);
    let server = FileServer::start(files);
    let page = Page::open_at(&server.url(), &[], "").await;
    (page, [module, server])
}

const FIRST_TEXT: &str = "const family = await load('bundle/', args[2]); \
                          return read(family.generate(args[0], {tokens: args[1]}));";

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_another_origin_runs_in_a_blob_or_in_a_worker_of_the_page() {
    let native = Native::open();
    let expected = native.tokens(&native.path()[0], Sampling::Greedy);
    for (workers, options) in
        [("worker-src blob:", json!({})), ("worker-src 'self'", json!({"workerUrl": "worker.js"}))]
    {
        let (page, _servers) = package_elsewhere(workers).await;
        let arguments = vec![json!(PROMPT), json!(N_TOKENS), options];
        let found = script(&page, FIRST_TEXT, arguments).await;
        assert_eq!(tokens(&found), expected, "{workers}");
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_forbids_the_worker_is_named() {
    let (page, _servers) = package_elsewhere("worker-src 'self'").await;
    let arguments = vec![json!(PROMPT), json!(N_TOKENS), json!({})];
    let found = script(&page, FIRST_TEXT, arguments).await;
    assert_fails(&found, "worker", "workerUrl");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_webassembly_is_named() {
    let (page, _server) = open(Some("default-src 'self'")).await;
    let found = script(&page, "await load('bundle/');", Vec::new()).await;
    assert_fails(&found, "program", "wasm-unsafe-eval");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_a_file_is_loaded_up_to_it() {
    let folder = copied_bundle();
    let native = Native::open();
    let last = &native.manifest.teacher.layers.last().unwrap().path;
    fs::remove_file(folder.path().join(last)).unwrap();
    let bundles = elsewhere(folder.path().to_owned());
    assert!(root().join("assets/demo/bundle").join(last).exists());
    let (page, _server) = open(None).await;
    let body = "const family = await load(args[0]); \
                const end = await outcome(() => family.whenLoaded()); \
                family.setSize(family.sizes.length - 1); \
                return [end, await outcome(() => read(family.generate('a')))];";
    let found = script(&page, body, vec![super::folder_at(&bundles)]).await;
    assert_fails(&found[0], "network", last);
    assert_fails(&found[1], "not-loaded", "whenLoaded()");
    page.close().await;
}
