use std::fs;
use std::io::Write as _;
use std::path::Path;

use boomerang_core::bundle::{BundleFile, MANIFEST, Manifest};
use boomerang_native_trainer::serve::Server;
use boomerang_tests::browser::{Page, serve};
use boomerang_tests::passage::{Passage, Passed, Ranges, Spoiled};
use boomerang_tests::root;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{copied_bundle, manifest, native_tokens, tokens_at};

const COMPLETE: &str = "stored in this browser: complete";

/// A name other than localhost, so that browsers do not trust plain http from it.
const LAN: &str = "--host-resolver-rules=MAP lan.test 127.0.0.1";

/// Where files are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PrivateFiles,
    IndexedDb,
}

/// A page behind a passage that counts, opened so that it stores files in this kind of storage.
struct Visit {
    page: Page,
    passage: Passage,
    _server: Server,
}

impl Visit {
    async fn first(kind: Kind, spoiled: Spoiled) -> Self {
        Self::to(&root().join("assets/demo/bundle"), kind, spoiled).await
    }

    async fn to(bundle: &Path, kind: Kind, spoiled: Spoiled) -> Self {
        let server = serve(bundle);
        let passage = Passage::to(server.address());
        passage.spoil(spoiled);
        let lan = format!("http://lan.test:{}/", passage.port());
        let page = match kind {
            Kind::PrivateFiles => Page::open_at(&passage.url(), &[], "explore/?device=cpu").await,
            Kind::IndexedDb => Page::open_at(&lan, &[LAN], "explore/?device=cpu").await,
        };
        Self { page, passage, _server: server }
    }

    /// Requests the model if the page offers it, without waiting for it.
    async fn load(&self) {
        let script = "const m = document.querySelector('main'); \
                      return !!m && (m.dataset.state !== 'loading' || \
                      document.querySelector('#load, #progress') !== null);";
        self.page.wait_until(script, json!(true)).await;
        self.page.run("document.querySelector('#load')?.click();", Vec::new()).await;
    }

    /// Loads everything; the weights that went over the line for it.
    async fn load_all(&self) -> Vec<Passed> {
        self.load().await;
        self.wait_for_text("#kept", COMPLETE).await;
        self.passage.weights()
    }

    async fn wait_for_text(&self, selector: &str, part: &str) {
        let script = format!(
            "return (document.querySelector('{selector}')?.textContent ?? '').includes('{part}');"
        );
        self.page.wait_until(&script, json!(true)).await;
    }

    /// Shows the stored models, if they are not shown already.
    async fn show_models(&self) {
        let is_here = "return document.querySelector('#models') !== null;";
        if self.page.run(is_here, Vec::new()).await != json!(true) {
            self.page.go("models/").await;
        }
        self.wait_for_text("#stored-place", "e").await;
    }
}

/// A teacher layer, which is loaded late.
fn late_file() -> BundleFile {
    manifest().files().last().unwrap().clone()
}

fn n_weights() -> usize {
    manifest().files().filter(|file| file.path.ends_with(".safetensors")).count()
}

/// What a first visit got of a file before the line was cut.
async fn cut_short(visit: &Visit, file: &BundleFile) {
    visit.load().await;
    let script = "return document.querySelector('#load-rest') !== null;";
    visit.page.wait_until(script, json!(true)).await;
    assert_eq!(visit.passage.weights().len(), n_weights());
    let n = manifest().files().count();
    visit.wait_for_text("#kept", &format!("{} of {n} files", n - 1)).await;
    assert!(file.bytes > 30_000);
    visit.page.reload().await;
}

fn cut(file: &BundleFile) -> Spoiled {
    Spoiled { cut: Some((file.path.clone(), 30_000)), ..Spoiled::default() }
}

async fn resumes_where_it_was_cut(kind: Kind) {
    let file = late_file();
    let visit = Visit::first(kind, cut(&file)).await;
    cut_short(&visit, &file).await;
    visit.passage.spoil(Spoiled::default());
    let passed = visit.load_all().await;
    assert_eq!(passed.len(), 1, "{passed:?}");
    assert!(passed[0].path.ends_with(&file.path) && passed[0].status == 206, "{passed:?}");
    let range = passed[0].range.as_deref().unwrap();
    let start: usize = range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    assert!(start > 0 && start <= 30_000, "{range}");
    assert_eq!(passed[0].n_bytes, file.bytes as usize - start);
    let expected = native_tokens();
    let last = expected.len() - 1;
    assert_eq!(tokens_at(&visit.page, last).await, expected[last]);
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_resumes_where_it_was_cut() {
    resumes_where_it_was_cut(Kind::PrivateFiles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_over_plain_http_resumes_where_it_was_cut() {
    resumes_where_it_was_cut(Kind::IndexedDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_ranges_restart() {
    for (ranges, n_requests) in [(Ranges::Ignored, 1), (Ranges::Refused, 2)] {
        let file = late_file();
        let visit = Visit::first(Kind::PrivateFiles, cut(&file)).await;
        cut_short(&visit, &file).await;
        visit.passage.spoil(Spoiled { ranges, ..Spoiled::default() });
        let passed = visit.load_all().await;
        assert_eq!(passed.len(), n_requests, "{passed:?}");
        assert!(passed[0].range.is_some(), "{passed:?}");
        visit.page.close().await;
    }
}

async fn second_visit_fetches_no_weights(kind: Kind, storage: &str) {
    let visit = Visit::first(kind, Spoiled::default()).await;
    assert_eq!(visit.load_all().await.len(), n_weights());
    visit.page.reload().await;
    assert_eq!(visit.load_all().await.len(), 0);
    let expected = native_tokens();
    assert_eq!(tokens_at(&visit.page, 1).await, expected[1]);
    visit.show_models().await;
    visit.wait_for_text("#stored-place", storage).await;
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_visit_fetches_no_weights() {
    second_visit_fetches_no_weights(Kind::PrivateFiles, "private file system").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_visit_over_plain_http_fetches_no_weights() {
    second_visit_fetches_no_weights(Kind::IndexedDb, "IndexedDB, because").await;
}

/// Changes one byte of a stored file.
const DAMAGE_FILE: &str = "
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle('boomerang-models');
    const file = await folder.getFileHandle(args[0]);
    const old = new Uint8Array(await (await file.getFile()).arrayBuffer());
    const writer = await file.createWritable({keepExistingData: true});
    await writer.write({type: 'write', position: 5000, data: new Uint8Array([old[5000] ^ 1])});
    await writer.close();
    return 'damaged';";
const DAMAGE_CHUNK: &str = "
    const heard = request => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const base = await heard(indexedDB.open('boomerang-models'));
    const table = base.transaction('chunks', 'readwrite').objectStore('chunks');
    const bytes = await heard(table.get([args[0], 0]));
    bytes[5000] ^= 1;
    await heard(table.put(bytes, [args[0], 0]));
    base.close();
    return 'damaged';";

async fn damaged_file_is_fetched_again(kind: Kind, script: &str) {
    let visit = Visit::first(kind, Spoiled::default()).await;
    visit.load_all().await;
    let file = late_file();
    assert_eq!(visit.page.promised(script, vec![json!(file.sha256)]).await, json!("damaged"));
    visit.page.reload().await;
    let passed = visit.load_all().await;
    assert_eq!(passed.len(), 1, "{passed:?}");
    assert!(passed[0].path.ends_with(&file.path) && passed[0].range.is_none(), "{passed:?}");
    let expected = native_tokens();
    let last = expected.len() - 1;
    assert_eq!(tokens_at(&visit.page, last).await, expected[last]);
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_stored_file_is_fetched_again() {
    damaged_file_is_fetched_again(Kind::PrivateFiles, DAMAGE_FILE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_in_the_database_is_fetched_again() {
    damaged_file_is_fetched_again(Kind::IndexedDb, DAMAGE_CHUNK).await;
}

/// Lists a compressed tokenizer, with these bytes, in a bundle.
fn with_tokenizer_gz(folder: &Path, bytes: &[u8]) {
    let listed = BundleFile::of("tokenizer.json.gz".to_owned(), bytes);
    fs::write(folder.join(&listed.path), bytes).unwrap();
    let manifest = Manifest { tokenizer_gz: Some(listed), ..manifest() };
    fs::write(folder.join(MANIFEST), serde_json::to_string(&manifest).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_tokenizer_is_fetched_instead_of_the_other() {
    let folder = copied_bundle();
    let plain = folder.path().join(&manifest().tokenizer.path);
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(&fs::read(&plain).unwrap()).unwrap();
    with_tokenizer_gz(folder.path(), &writer.finish().unwrap());
    fs::remove_file(plain).unwrap();
    let page = Page::open_with(folder.path(), &[], "explore/?device=cpu").await;
    page.ready().await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_tokenizer_that_is_damaged_is_replaced_by_the_other() {
    let folder = copied_bundle();
    with_tokenizer_gz(folder.path(), b"not gzip");
    let page = Page::open_with(folder.path(), &[], "explore/?device=cpu").await;
    page.ready().await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_fetches_a_file_that_was_damaged_on_the_server() {
    let (folder, file) = (copied_bundle(), late_file());
    let path = folder.path().join(&file.path);
    let intact = fs::read(&path).unwrap();
    let mut damaged = intact.clone();
    damaged[5000] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let visit = Visit::to(folder.path(), Kind::PrivateFiles, Spoiled::default()).await;
    visit.load().await;
    let is_interrupted = "return document.querySelector('#load-rest') !== null;";
    visit.page.wait_until(is_interrupted, json!(true)).await;
    fs::write(&path, &intact).unwrap();
    visit.passage.weights();
    let expected = native_tokens();
    let last = expected.len() - 1;
    assert_eq!(tokens_at(&visit.page, last).await, expected[last]);
    let passed = visit.passage.weights();
    assert!(passed.iter().all(|passed| passed.path.ends_with(&file.path)), "{passed:?}");
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_a_wrong_length_deletes_no_stored_file() {
    let folder = copied_bundle();
    let visit = Visit::to(folder.path(), Kind::PrivateFiles, Spoiled::default()).await;
    visit.load_all().await;
    let write = |manifest: &Manifest| {
        let json = serde_json::to_string(manifest).unwrap();
        fs::write(folder.path().join(MANIFEST), json).unwrap();
    };
    let bytes = late_file().bytes;
    for lie in [bytes - 1, bytes + 1] {
        let mut manifest = manifest();
        manifest.teacher.layers.last_mut().unwrap().bytes = lie;
        write(&manifest);
        visit.page.reload().await;
        visit.load().await;
        let why = format!("has {bytes} bytes by its hash; the manifest lists {lie}");
        visit.wait_for_text(".notice", &why).await;
        assert!(visit.passage.weights().is_empty());
    }
    write(&manifest());
    visit.page.reload().await;
    assert_eq!(visit.load_all().await.len(), 0);
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_full_storage_the_model_generates_and_is_not_stored() {
    let visit = Visit::first(Kind::PrivateFiles, Spoiled::default()).await;
    let origin = visit.passage.url();
    let quota = json!({"origin": origin.trim_end_matches('/'), "quotaSize": 400_000});
    // Some pages load automatically.
    visit.page.client.goto("about:blank").await.unwrap();
    let all = json!({"origin": origin.trim_end_matches('/'), "storageTypes": "all"});
    visit.page.devtools("Storage.clearDataForOrigin", all).await;
    visit.page.devtools("Storage.overrideQuotaForOrigin", quota).await;
    visit.page.go("explore/?device=cpu").await;
    visit.load().await;
    visit.wait_for_text("#not-kept", "storage is full (").await;
    visit.wait_for_text("#not-kept", " used of about ").await;
    visit.page.ready().await;
    let expected = native_tokens();
    let last = expected.len() - 1;
    visit.page.wait_for("#reach", "data-sizes", &[&expected.len().to_string()]).await;
    assert_eq!(tokens_at(&visit.page, last).await, expected[last]);
    visit.page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_model_is_verified_and_deleted() {
    let visit = Visit::first(Kind::PrivateFiles, Spoiled::default()).await;
    visit.load_all().await;
    let file = late_file();
    visit.page.promised(DAMAGE_FILE, vec![json!(file.sha256)]).await;
    visit.page.reload().await;
    visit.show_models().await;
    let row = format!("#stored-models [data-fingerprint=\"{}\"]", manifest().fingerprint());
    let n = manifest().files().count();
    let words = format!("{row} .model-words");
    visit.wait_for_text(&words, "Complete").await;
    visit.page.click(&format!("{row} .verify")).await;
    let news = format!("{row} [role=status]");
    visit.wait_for_text(&news, &format!("{} of {n} files intact", n - 1)).await;
    visit.wait_for_text(&words, &format!("{} of {n} files", n - 1)).await;

    // The second click confirms.
    visit.page.click(&format!("{row} .delete")).await;
    visit.wait_for_text(&news, "Click again").await;
    visit.page.click(&format!("{row} .delete")).await;
    visit.wait_for_text("#models-state", "No models are stored").await;
    let left = "const root = await navigator.storage.getDirectory(); let names = []; \
                for await (const name of (await root.getDirectoryHandle('boomerang-models')).keys()) \
                names.push(name); return names;";
    assert_eq!(visit.page.promised(left, Vec::new()).await, json!([]));
    visit.page.close().await;
}
