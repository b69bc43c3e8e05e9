use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use boomerang_core::checkpoint::{
    Checkpoint, FingerprintsFile, ModelFingerprint, Precision, model_to_bytes,
};
use boomerang_core::config::ModelConfig;
use boomerang_core::distill::Initialization;
use boomerang_core::generate::Sampling;
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, Patch};
use boomerang_core::prune::{Family, StudentConfig, Teacher};
use boomerang_core::tokenizer::Tokenizer;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::browser::{Page, serve};
use boomerang_tests::passage::{Passage, Spoiled};
use boomerang_tests::{read, root};
use serde_json::json;

use super::packed::zip;
use super::{PROMPT, native_tokens, tokens_at, written};

/// A family that nobody has seen: Qwen3, with random weights and the embedded tokenizer.
pub(super) fn random_family() -> Family {
    let vocab = tokenizer().n_tokens();
    let config = json!({
        "model_type": "qwen3", "hidden_size": 24, "intermediate_size": 40,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "num_hidden_layers": 6, "vocab_size": vocab, "tie_word_embeddings": true,
        "max_position_embeddings": 128,
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    let random = |seed| {
        Teacher::new(LanguageModel::random(&config, Initialization::HuggingFace, seed, &cpu()))
    };
    let student = random(2).prune(&LayerPlan::keep(&[0, 2, 4, 5], 6).unwrap()).unwrap();
    Family::new(random(1), student).unwrap()
}

fn path(family: &Family) -> Vec<Patch> {
    let order = family.teacher().model().config().architecture.default_order();
    order.path(family.plan()).unwrap()
}

fn tokenizer_json() -> Vec<u8> {
    read(root().join("assets/teacher/tokenizer.json"))
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&tokenizer_json()).unwrap()
}

/// As transformers and `boomerang` write it.
pub(super) fn checkpoints(family: &Family) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let models = [("teacher", family.teacher().model()), ("run/student", family.student().model())];
    for (folder, model) in models {
        let mut add = |name: &str, bytes| files.push((format!("own/{folder}/{name}"), bytes));
        add("config.json", model.config().to_json().into_bytes());
        add("model.safetensors", model_to_bytes(model, Precision::F32).unwrap());
        add("tokenizer.json", tokenizer_json());
    }
    let plan = StudentConfig::of(family.plan()).to_json();
    files.push(("own/run/student/student_config.json".to_owned(), plan.into_bytes()));
    files
}

/// Uploads a zip of these files; what the page shows.
async fn bring(page: &Page, folder: &Path, files: &[(String, Vec<u8>)]) -> String {
    let path = folder.join("own.zip");
    fs::write(&path, zip(files)).unwrap();
    choose(page, "#own-zip", &path).await
}

/// Chooses files to upload; what the page shows.
pub(super) async fn choose(page: &Page, field: &str, path: &Path) -> String {
    let results = "#own-take, #own .notice";
    let forget = "document.querySelectorAll(arguments[0]).forEach(it => it.dataset.old = 'yes');";
    page.run(forget, vec![json!(results)]).await;
    page.choose(field, path).await;
    let is_told = "return [...document.querySelectorAll('#own-take, #own .notice')]\
                   .some(it => !it.dataset.old);";
    page.wait_until(is_told, json!(true)).await;
    page.text("#own").await
}

async fn writes_as_native_code(page: &Page, family: &Family) {
    // The bench is created again for a family, after the model is ready.
    page.wait_until("return document.querySelector('#size-dial') !== null;", json!(true)).await;
    let prompt = tokenizer().encode(PROMPT, true).unwrap();
    for (stop, patch) in path(family).iter().enumerate() {
        let expected = written(family, &prompt, patch, Sampling::Greedy);
        assert_eq!(tokens_at(page, stop).await, expected, "stop {stop}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_uploaded_as_a_zip_generates_now_and_on_the_next_visit() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let page = Page::open(&[], "models/?device=cpu").await;
    // Later texts are read aloud only in an element that existed before.
    let mark = "document.querySelector('#own-state').dataset.first = 'yes';";
    page.run(mark, Vec::new()).await;
    let words = bring(&page, folder.path(), &checkpoints(&family)).await;
    assert_eq!(page.attribute("#own-state", "data-first").await, "yes");
    assert!(words.contains("3 sizes, from 4 layers") && words.contains("to 6 layers"), "{words}");
    page.click("#own-take").await;
    let link = "return document.querySelector('#own-state a') !== null;";
    page.wait_until(link, json!(true)).await;
    page.click("#own-state a").await;
    page.ready().await;
    writes_as_native_code(&page, &family).await;

    // Only the address is left of it now, and what the browser has stored.
    let kept =
        "return new URLSearchParams(location.search).get('m')?.startsWith('kept:') ?? false;";
    page.wait_until(kept, json!(true)).await;
    let is_complete = "return document.querySelector('#kept').textContent.includes('complete');";
    page.wait_until(is_complete, json!(true)).await;
    page.reload().await;
    page.ready().await;
    writes_as_native_code(&page, &family).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_uploaded_while_another_is_loading_replaces_it_and_is_stored() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let page = Page::open(&[], "explore/?device=cpu").await;
    // Slow enough that the teacher's layers are still being loaded.
    let slow = json!({"offline": false, "latency": 0, "downloadThroughput": 2_000_000,
        "uploadThroughput": -1});
    page.devtools("Network.enable", json!({})).await;
    page.devtools("Network.emulateNetworkConditions", slow).await;
    page.ready().await;
    page.run("document.querySelector('a[href=\"models/\"]').click();", Vec::new()).await;
    page.wait_until("return document.querySelector('#own-zip') !== null;", json!(true)).await;
    bring(&page, folder.path(), &checkpoints(&family)).await;
    page.click("#own-take").await;
    page.wait_until("return document.querySelector('#own-state a') !== null;", json!(true)).await;
    page.click("#own-state a").await;
    page.ready().await;
    writes_as_native_code(&page, &family).await;
    let is_complete = "return document.querySelector('#kept').textContent.includes('complete');";
    page.wait_until(is_complete, json!(true)).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_works_like_a_zip() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    for (name, contents) in checkpoints(&family) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    let page = Page::open(&[], "models/?device=cpu").await;
    let mut own = folder.path().join("own");
    for name in ["own", ".own"] {
        // A chosen folder is used whatever its name.
        let renamed = folder.path().join(name);
        fs::rename(&own, &renamed).unwrap();
        own = renamed;
        let words = choose(&page, "#own-folder", &own).await;
        assert!(words.contains("3 sizes, from 4 layers"), "{name}: {words}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_family_is_refused_with_the_reason() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let good = checkpoints(&family);
    let change = |name: &str, contents: &[u8]| {
        let mut files = good.clone();
        let file = files.iter_mut().find(|(path, _)| path.ends_with(name));
        file.expect("there is such a file").1 = contents.to_vec();
        files
    };
    let mut long = u64::MAX.to_le_bytes().to_vec();
    long.extend(b"{}");
    let page = Page::open(&[], "models/").await;
    let cases = [
        (good[..3].to_vec(), "only one model"),
        (change("student_config.json", b"{}"), "pruned_teacher_layers"),
        (change("teacher/config.json", b"[]"), "own/teacher/config.json"),
        (change("teacher/model.safetensors", &long), "own/teacher/model.safetensors"),
        (change("student/model.safetensors", b"version https://git-lfs"), "git lfs pull"),
        (change("teacher/model.safetensors", &good[4].1), "model.layers.4."),
        (change("student/tokenizer.json", b"{\"model\": {}}"), "different tokenizers"),
    ];
    for (files, reason) in &cases {
        let words = bring(&page, folder.path(), files).await;
        assert!(words.contains(reason), "expected {reason:?}; the page shows: {words}");
        assert!(!words.contains("Put it on the dial"));
    }
    let path = folder.path().join("own.zip");
    fs::write(&path, b"PK no zip").unwrap();
    assert!(choose(&page, "#own-zip", &path).await.contains("not a zip"));
    page.close().await;
}

/// The fingerprint of a safetensors file's weights.
fn weights_fingerprint(file: &[u8]) -> String {
    Checkpoint::parse([("x".to_owned(), file)]).unwrap().weights_fingerprint()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_of_another_teacher_is_refused_with_both_fingerprints() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let good = checkpoints(&family);
    let (teacher, other) = (weights_fingerprint(&good[1].1), "0".repeat(64));
    let made_from = |weights: &str| {
        let teacher = ModelFingerprint { weights: weights.to_owned(), tokenizer: None };
        let json = serde_json::to_vec(&FingerprintsFile::new(teacher)).unwrap();
        let name = "own/run/student/fingerprints.json".to_owned();
        [good.clone(), vec![(name, json)]].concat()
    };
    let page = Page::open(&[], "models/?device=cpu").await;
    bring(&page, folder.path(), &made_from(&other)).await;
    page.click("#own-take").await;
    page.wait_for("#own .notice", "role", &["alert"]).await;
    let words = page.text("#own").await;
    assert!(words.contains(&other) && words.contains(&teacher), "{words}");

    bring(&page, folder.path(), &made_from(&teacher)).await;
    page.click("#own-take").await;
    page.wait_until("return document.querySelector('#own-state a') !== null;", json!(true)).await;
    page.close().await;
}

/// Bytes of the weights of the `n_sizes` smallest sizes together, those they share counted once.
fn bytes_in_memory(family: &Family, n_sizes: usize) -> u64 {
    let config = family.teacher().model().config();
    let (ends, layer) = (config.n_end_params(config.tied), config.n_layer_params());
    let (mut layers, mut owners) = (BTreeSet::new(), BTreeSet::new());
    for patch in path(family).iter().take(n_sizes) {
        let recipe = family.plan().recipe(patch);
        layers.extend(recipe.layers.iter().map(ToString::to_string));
        owners.extend([recipe.embedding, recipe.head].map(|owner| format!("{owner:?}")));
    }
    4 * (owners.len() as u64 * ends + layers.len() as u64 * layer)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_in_memory_is_reported_before_anything_is_copied() {
    let (family, folder) = (random_family(), tempfile::tempdir().unwrap());
    let page = Page::open(&[], "models/?device=cpu").await;
    let machine_with = |gib: f64| {
        format!(
            "Object.defineProperty(Navigator.prototype, 'deviceMemory', \
             {{get: () => {gib}, configurable: true}});"
        )
    };
    page.run(&machine_with(1e-6), Vec::new()).await;
    let words = bring(&page, folder.path(), &checkpoints(&family)).await;
    assert!(words.contains("does not fit in memory"), "{words}");
    assert!(!words.contains("Put it on the dial"));

    // Half of the memory is for weights: enough for all but the largest size.
    let bytes = bytes_in_memory(&family, 2) as f64;
    page.run(&machine_with(bytes / f64::from(1 << 29)), Vec::new()).await;
    let words = bring(&page, folder.path(), &checkpoints(&family)).await;
    assert!(words.contains("The 2 smallest of 3 sizes fit in memory"), "{words}");
    page.click("#own-take").await;
    page.wait_until("return document.querySelector('#own-state a') !== null;", json!(true)).await;
    page.click("#own-state a").await;
    page.ready().await;
    page.wait_until("return document.querySelector('#progress') === null;", json!(true)).await;
    page.wait_for("#reach", "data-sizes", &["2"]).await;
    assert!(page.text("#tight").await.contains("2 smallest of 3 sizes"));
    page.set("#size-dial", "2").await;
    assert_eq!(page.text("#generate").await, "6 layers do not fit in memory");

    // What needs the teacher is disabled; everything else uses the sizes that fit.
    page.click("nav a[href='lens/']").await;
    let text = page.text("#lens-state").await;
    assert!(text.contains("fit in memory: 2 of 3 sizes fit in memory, up to 5 layers."), "{text}");
    assert_eq!(page.attribute("#lens", "disabled").await, "true");
    page.click("nav a[href='sweep/']").await;
    page.set("#prompt", PROMPT).await;
    let text = page.text("#sweep-state").await;
    assert!(text.contains("the largest of them replaces the teacher"), "{text}");
    assert_eq!(page.text("#sweep").await, "Run all 2 sizes");
    page.click("#sweep").await;
    page.wait_until("return document.querySelector('#sweep-table') !== null;", json!(true)).await;
    page.wait_for("main", "data-state", &["ready"]).await;
    let text = page.text("#sweep-state").await;
    assert!(text.contains("the largest size that fits predicts"), "{text}");
    page.click("nav a[href='compare/']").await;
    assert!(page.text("#compare-state").await.contains("2 of 3 sizes fit in memory"));
    assert_eq!(page.text("#compare").await, "Generate at 2 sizes");
    page.click("nav a[href='device/']").await;
    assert_eq!(page.text("#measure").await, "Measure 2 sizes");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_contacted_only_with_permission() {
    let elsewhere = serve(&root().join("assets/demo/bundle"));
    let passage = Passage::to(elsewhere.address());
    passage.spoil(Spoiled { is_open: true, ..Spoiled::default() });
    let address = format!("{}bundle/", passage.url());
    let page = Page::open(&[], &format!("explore/?device=cpu&m={address}")).await;
    page.wait_for("main", "data-state", &["asking"]).await;
    assert!(page.text(".offer").await.contains(passage.url().trim_end_matches('/')));
    assert!(passage.passed().is_empty());
    page.click("#not-elsewhere").await;
    page.wait_for("main", "data-state", &["offered"]).await;
    assert!(passage.passed().is_empty());
    page.close().await;
    let page = Page::open(&[], &format!("explore/?device=cpu&m={address}")).await;
    page.wait_for("main", "data-state", &["asking"]).await;
    page.click("#ask-elsewhere").await;
    page.ready().await;
    assert_eq!(tokens_at(&page, 0).await, native_tokens()[0]);
    assert!(!passage.weights().is_empty());
    page.close().await;
}
