use std::path::Path;

use boomerang_core::bundle::{
    BundleContents, BundleError, BundleLoader, MANIFEST, Manifest, Recordings, TaskFile, as_stored,
    bundle_files,
};
use boomerang_core::checkpoint::{Precision, StoredAs, model_to_bytes};
use boomerang_core::corpus::Corpus;
use boomerang_core::curve::Series;
use boomerang_core::evaluate::{ChoiceDoc, Examination, PrefixTree, Stack};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::boomerang;
use boomerang_tests::{block_on, read, root};

pub(crate) fn folder() -> std::path::PathBuf {
    root().join("assets/demo/bundle")
}

pub(crate) fn manifest_in(folder: &Path) -> Manifest {
    Manifest::from_json(&String::from_utf8(read(folder.join(MANIFEST))).unwrap()).unwrap()
}

pub(crate) fn load() -> (Manifest, Tokenizer, Family) {
    let manifest = manifest_in(&folder());
    let mut loader = BundleLoader::new(manifest.clone(), cpu()).unwrap();
    for file in manifest.files() {
        loader.add(file, &read(folder().join(&file.path))).unwrap();
    }
    loader.finish().unwrap()
}

#[test]
fn the_committed_curve_is_what_a_fresh_evaluation_gives() {
    let (manifest, tokenizer, family) = load();
    let tasks = String::from_utf8(read(root().join("assets/teacher/tasks.jsonl"))).unwrap();
    let questions: Vec<ChoiceDoc> =
        tasks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let max_seq = family.teacher().model().config().max_seq;
    let examination = Examination::new(&[], &questions, Some(&tokenizer), max_seq).unwrap();
    let plan = family.plan();
    let sizes = manifest.order.path(plan).unwrap();
    let stacks: Vec<Stack> =
        sizes.iter().map(|patch| Stack::new(&plan.recipe(patch), 0, 1)).collect();
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(&stacks);
    let scores = block_on(examination.score(&models, &tree, 8192, &mut |_| {})).unwrap();
    for (patch, score) in sizes.iter().zip(scores) {
        let point = manifest
            .curve
            .points
            .iter()
            .find(|point| {
                point.series == Series::Boomerang
                    && point.seed == 0
                    && point.n_patched == patch.layers().len()
            })
            .expect("every size of the bundle is on its curve");
        let (fresh, committed) =
            (score.mean_accuracy().unwrap(), point.score.mean_accuracy().unwrap());
        // The bundle is in f16, the measurement was made in f32: a question or two may tip.
        assert!((fresh.0 - committed.0).abs() < 0.005, "{fresh:?}, committed {committed:?}");
    }
}

#[test]
fn every_member_is_there_with_its_last_file() {
    let (manifest, _, family) = load();
    let tokens = |model: &LanguageModel| {
        let mut generation = Generation::new(model, &[1, 5, 9], 8, Sampling::Greedy).unwrap();
        std::iter::from_fn(|| block_on(generation.next()).unwrap()).collect::<Vec<u32>>()
    };
    for patch in manifest.order.path(&manifest.plan).unwrap() {
        let mut loader = BundleLoader::new(manifest.clone(), cpu()).unwrap();
        let files = manifest.files_of(&patch);
        let (last, others) = files.split_last().unwrap();
        for file in others {
            loader.add(file, &read(folder().join(&file.path))).unwrap();
        }
        let early = loader.member(&patch).err();
        assert!(
            matches!(&early, Some(BundleError::Missing { path }) if *path == last.path),
            "{early:?}"
        );
        loader.add(last, &read(folder().join(&last.path))).unwrap();
        let member = loader.member(&patch).unwrap();
        assert_eq!(tokens(&member), tokens(&family.member(&patch)), "{patch:?}");
    }
}

#[test]
fn a_fingerprint_is_that_of_the_weights_and_not_of_the_measurements() {
    let (manifest, ..) = load();
    let measured_anew = Manifest { similarity: Vec::new(), ..manifest.clone() };
    assert_eq!(measured_anew.fingerprint(), manifest.fingerprint());
    let mut other = manifest.clone();
    other.teacher.layers.swap(0, 1);
    assert_ne!(other.fingerprint(), manifest.fingerprint());
}

#[test]
fn the_committed_curve_shows_the_phenomenon() {
    let (manifest, ..) = load();
    let stops = |series| manifest.curve.stops(series);
    let boomerang = stops(Series::Boomerang);
    assert!(boomerang.len() >= 6, "the dial has at least six stops");
    let (student, teacher) = (&boomerang[0], &boomerang[boomerang.len() - 1]);
    let accuracy = |stop: &boomerang_core::curve::CurveStop| stop.accuracy.unwrap();
    assert!(
        accuracy(student).mean + 0.1 < accuracy(teacher).mean,
        "the student is clearly weaker than the teacher"
    );
    for pair in boomerang.windows(2) {
        let (smaller, larger) = (accuracy(&pair[0]), accuracy(&pair[1]));
        let error = smaller.stderr.hypot(larger.stderr);
        assert!(larger.mean > smaller.mean - 2.0 * error, "accuracy climbs within its error");
        let (smaller, larger) = (pair[0].nats.unwrap(), pair[1].nats.unwrap());
        let error = smaller.stderr.hypot(larger.stderr);
        assert!(larger.mean < smaller.mean + 2.0 * error, "loss falls within its error");
    }
    // With two layers or fewer missing, and the right ones, naive pruning is about as good.
    let naive = stops(Series::Naive);
    for (ours, naive) in boomerang.iter().zip(&naive).take(boomerang.len() - 3) {
        assert!(ours.nats.unwrap().mean < naive.nats.unwrap().mean, "better than naive pruning");
    }
    let random = stops(Series::Random);
    // Next to the teacher the two layers that are left change little, whatever their weights.
    let intermediate = &random[..random.len() - 2];
    let best = intermediate.iter().map(|stop| accuracy(stop).mean).fold(0.0, f64::max);
    assert!(best < accuracy(student).mean, "a random student stays below a distilled one");
}

#[test]
fn the_bundle_is_small_enough_to_embed() {
    let (manifest, ..) = load();
    assert!(manifest.n_bytes() < 4 << 20, "{} bytes", manifest.n_bytes());
    let embedded = read(root().join("assets/teacher/model.safetensors")).len();
    assert!(embedded < 4 << 20, "{embedded} bytes");
}

#[test]
fn the_embedded_tokenizer_is_the_corpus_own() {
    let made = boomerang_tests::read_json(root().join("assets/teacher/made.json"));
    let corpus = Corpus::new(made["corpus_seed"].as_u64().unwrap());
    let committed = read(root().join("assets/teacher/tokenizer.json"));
    assert!(corpus.tokenizer_json().as_bytes() == committed);
}

#[test]
fn a_damaged_file_is_named() {
    let manifest = manifest_in(&folder());
    let mut loader = BundleLoader::new(manifest.clone(), cpu()).unwrap();
    let file = &manifest.student.layers[0];
    let mut bytes = read(folder().join(&file.path));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = loader.add(file, &bytes).unwrap_err();
    assert!(matches!(&error, BundleError::Hash { path } if *path == file.path), "{error}");
}

pub(crate) fn packed_as(
    stored_as: StoredAs,
    manifest: &Manifest,
    family: &Family,
    recordings: Option<Recordings>,
    task: Option<TaskFile>,
) -> Vec<(String, Vec<u8>)> {
    let contents = BundleContents {
        name: &manifest.name,
        order: manifest.order.clone(),
        stored_as,
        tokenizer_json: &read(folder().join(&manifest.tokenizer.path)),
        tokenizer_gz: None,
        chat: None,
        curve: manifest.curve.clone(),
        similarity: manifest.similarity.clone(),
        prompts: manifest.prompts.clone(),
        recordings,
        task,
        loss: None,
    };
    bundle_files(family, contents).unwrap()
}

pub(crate) fn bytes_of<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(path, _)| path == name).expect("a file of this name").1
}

pub(crate) fn manifest_of(files: &[(String, Vec<u8>)]) -> Manifest {
    Manifest::from_json(std::str::from_utf8(bytes_of(files, MANIFEST)).unwrap()).unwrap()
}

#[test]
fn what_a_bundle_stores_is_what_it_gives_back() {
    let (_, _, family) = load();
    let bytes = |family: &Family, precision| {
        let models = [family.teacher().model(), family.student().model()];
        models.map(|model| model_to_bytes(model, precision).unwrap())
    };
    // The committed weights are f16: storing them so changes nothing, storing them as bf16 does.
    let stored = |precision| as_stored(&family, precision, &cpu()).unwrap();
    assert!(bytes(&stored(Precision::F16), Precision::F32) == bytes(&family, Precision::F32));
    assert!(bytes(&stored(Precision::Bf16), Precision::F32) != bytes(&family, Precision::F32));
    assert!(bytes(&stored(Precision::Bf16), Precision::Bf16) == bytes(&family, Precision::Bf16));
}

/// The embedded teacher and a student cut out of it, in a folder.
pub(crate) fn family_on_disk() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let line = "prune --teacher {root}/assets/teacher --out {dir}/student";
    boomerang(line, &[("dir", dir.path()), ("root", &root())]).unwrap();
    dir
}

pub(crate) const BUNDLE: &str = "bundle --teacher {root}/assets/teacher --student {dir}/student --order last \
                      --prompt sort --prompt say --out {dir}/bundle --force";

#[test]
fn the_loss_of_the_number_format_can_be_left_unmeasured() {
    let dir = family_on_disk();
    let paths = [("dir", dir.path()), ("root", &*root())];
    let is_measured = |flags: &str| {
        boomerang(&format!("{BUNDLE} --precision q8_0 --record 0 {flags}"), &paths).unwrap();
        manifest_in(&dir.path().join("bundle")).stored.is_some()
    };
    assert!(is_measured("") && !is_measured("--measure-storing false"));
}
