/// Accessibility: what axe-core finds.
mod axe;
/// Conversations with a family that has a chat template.
mod chat;
/// Failures, and how the page handles them.
mod failures;
/// What works before any weights are loaded.
mod first;
/// The model while it is loaded: what works before it is complete.
mod growing;
/// Inside one size, and this machine: the page shows what native code computes.
mod lens;
/// Lessons, and parts of the bench that are hidden or locked.
mod lessons;
/// The address of the page: what it contains, and what it restores.
mod links;
/// A window that follows another.
mod mirror;
/// A page on a small phone.
mod narrow;
/// A page whose server is gone.
mod offline;
/// Uploaded families, and those on other servers.
mod own;
/// Uploaded zips: their files are checked.
mod packed;
/// Prompts that are long, or have characters that cannot be seen.
mod prompts;
/// A text that is sampled again with other settings.
mod resampled;
/// The page until its program runs.
mod starting;
/// What is stored in the browser between visits.
mod storage;
/// A student distilled in the page.
mod teach;
/// Several sizes with one prompt: side by side, and in one table.
mod trials;

use std::fs;
use std::path::Path;

use boomerang_core::bundle::{BundleLoader, MANIFEST, Manifest};
use boomerang_core::checkpoint::StoredAs;
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::Patch;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::browser::Page;
use boomerang_tests::{block_on, read, root};
use serde_json::json;

use crate::bundle::{load, manifest_in, packed_as};

const PROMPT: &str = "sort 7 2 9 4 :";
const N_TOKENS: usize = 12;
const SOFTWARE_GPU: [&str; 2] = ["--enable-unsafe-webgpu", "--enable-features=WebGPU"];

fn manifest() -> Manifest {
    manifest_in(&root().join("assets/demo/bundle"))
}

/// A copy of the committed bundle, to be changed.
fn copied_bundle() -> tempfile::TempDir {
    let (folder, from) = (tempfile::tempdir().unwrap(), root().join("assets/demo/bundle"));
    let manifest = manifest();
    let files = manifest.files().chain(manifest.extras()).map(|file| &*file.path);
    for path in files.chain([MANIFEST]) {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, read(from.join(path))).unwrap();
    }
    folder
}

/// The family of the committed bundle, in native code.
struct Native {
    manifest: Manifest,
    tokenizer: Tokenizer,
    family: Family,
}

impl Native {
    fn open() -> Self {
        Self::open_in(&root().join("assets/demo/bundle"))
    }

    fn open_in(folder: &Path) -> Self {
        let manifest = manifest_in(folder);
        let mut loader = BundleLoader::new(manifest.clone(), cpu()).unwrap();
        for file in manifest.files() {
            loader.add(file, &read(folder.join(&file.path))).unwrap();
        }
        let (manifest, tokenizer, family) = loader.finish().unwrap();
        Self { manifest, tokenizer, family }
    }

    fn path(&self) -> Vec<Patch> {
        self.manifest.order.path(self.family.plan()).unwrap()
    }

    fn prompt(&self) -> Vec<u32> {
        self.tokenizer.encode(PROMPT, true).unwrap()
    }

    /// Tokens that a member adds to the prompt, until the text ends.
    fn tokens(&self, patch: &Patch, sampling: Sampling) -> Vec<u32> {
        written(&self.family, &self.prompt(), patch, sampling)
    }
}

/// Tokens that a member adds to a prompt, until the text ends.
fn written(family: &Family, prompt: &[u32], patch: &Patch, sampling: Sampling) -> Vec<u32> {
    let ends = family.teacher().model().config().end_tokens();
    let member = family.member(patch);
    let mut generation = Generation::new(&member, prompt, N_TOKENS, sampling).unwrap();
    let mut tokens = Vec::new();
    while let Some(token) = block_on(generation.next()).unwrap() {
        if ends.contains(&token) {
            break;
        }
        tokens.push(token);
    }
    tokens
}

/// Tokens that native code adds to the prompt at each stop of the dial, until a text ends.
fn native_tokens() -> Vec<Vec<u32>> {
    let native = Native::open();
    native.path().iter().map(|patch| native.tokens(patch, Sampling::Greedy)).collect()
}

fn ids(tokens: &[u32]) -> String {
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Tokens that the page shows for one stop of the dial.
async fn tokens_at(page: &Page, stop: usize) -> Vec<u32> {
    page.set("#size-dial", &stop.to_string()).await;
    page.set("#prompt", PROMPT).await;
    page.set("#n-tokens", &N_TOKENS.to_string()).await;
    page.click("#generate").await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let ids = page.attribute("#output", "data-token-ids").await;
    ids.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webgpu_every_size_gives_the_tokens_of_native_code() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    assert_eq!(page.attribute("main", "data-backend").await, "cpu");
    for (stop, expected) in native_tokens().iter().enumerate() {
        assert_eq!(tokens_at(&page, stop).await, *expected, "stop {stop}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_stay_in_8_bits_give_the_tokens_of_native_code() {
    let (manifest, _, family) = load();
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in packed_as(StoredAs::Q8_0, &manifest, &family, None, None) {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    let native = Native::open_in(folder.path());
    let page = Page::open_with(folder.path(), &[], "explore/?device=cpu").await;
    page.ready().await;
    for (stop, patch) in native.path().iter().enumerate() {
        let expected = native.tokens(patch, Sampling::Greedy);
        assert_eq!(tokens_at(&page, stop).await, expected, "stop {stop}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_software_gpu_student_and_teacher_give_the_tokens_of_native_code() {
    let page = Page::open(&SOFTWARE_GPU, "explore/?device=webgpu").await;
    page.ready().await;
    assert_eq!(page.attribute("main", "data-backend").await, "webgpu");
    let expected = native_tokens();
    // The software adapter takes seconds a token; the ends of the dial use every layer there is.
    for stop in [0, expected.len() - 1] {
        assert_eq!(tokens_at(&page, stop).await, expected[stop], "stop {stop}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_software_gpu_is_not_chosen_automatically() {
    let page = Page::open(&SOFTWARE_GPU, "explore/").await;
    page.ready().await;
    assert_eq!(page.attribute("main", "data-backend").await, "cpu");
    let text = page.text("main").await;
    assert!(text.contains("software"), "the reason is on the page:\n{text}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_on_the_curve_follows_the_dial() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    let place = "return document.querySelector('#here-mark').getBoundingClientRect().x;";
    page.set("#size-dial", "0").await;
    let student = page.run(place, Vec::new()).await.as_f64().unwrap();
    let last = manifest().order.path(&manifest().plan).unwrap().len() - 1;
    page.set("#size-dial", &last.to_string()).await;
    let teacher = page.run(place, Vec::new()).await.as_f64().unwrap();
    assert!(teacher > student + 50.0, "the mark went from {student} to {teacher}");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_a_layer_patches_it() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    // Nothing moves under the pointer any more.
    page.wait_until("return document.querySelector('#progress') === null;", json!(true)).await;
    page.set("#size-dial", "0").await;
    let pressed = "#layer-strip button[aria-pressed=true]";
    let count = "return document.querySelectorAll(arguments[0]).length;";
    assert_eq!(page.run(count, vec![json!(pressed)]).await, 0);
    page.click("#layer-strip button:nth-of-type(1)").await;
    assert_eq!(page.run(count, vec![json!(pressed)]).await, 1);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generation_stops_when_asked() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    page.set("#prompt", PROMPT).await;
    page.set("#n-tokens", "60").await;
    page.click("#generate").await;
    page.run("document.querySelector('#stop')?.click();", Vec::new()).await;
    page.wait_for("main", "data-state", &["ready"]).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_nobody_else() {
    let page = Page::open(&[], "explore/").await;
    page.ready().await;
    let foreign = page
        .run(
            "return performance.getEntriesByType('resource').map(e => e.name)\
             .filter(name => !name.startsWith(location.origin) && !name.startsWith('blob:'));",
            Vec::new(),
        )
        .await;
    assert_eq!(foreign, json!([]));
    page.close().await;
}
