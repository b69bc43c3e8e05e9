use std::collections::BTreeMap;
use std::path::Path;

use boomerang_core::bundle::{
    BundleContents, BundleError, BundleFile, BundleLoader, MANIFEST, Manifest, RecordedMember,
    RecordedText, Recordings, TaskFile, as_stored, bundle_files,
};
use boomerang_core::checkpoint::{Precision, StoredAs, model_to_bytes};
use boomerang_core::corpus::Corpus;
use boomerang_core::curve::Series;
use boomerang_core::evaluate::{ChoiceDoc, Examination, PrefixTree, Stack};
use boomerang_core::generate::{Generation, Sampling, retrace};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::Family;
use boomerang_core::tokenizer::Tokenizer;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::family_run::RECORDED_TOKENS;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{block_on, read, root};

pub(crate) fn folder() -> std::path::PathBuf {
    root().join("assets/demo/bundle")
}

pub(crate) fn manifest_in(folder: &Path) -> Manifest {
    Manifest::from_json(&String::from_utf8(read(folder.join(MANIFEST))).unwrap()).unwrap()
}

fn recordings_in(folder: &Path) -> Recordings {
    let manifest = manifest_in(folder);
    let file = manifest.recordings.as_ref().expect("the bundle has recordings");
    Recordings::from_json(&read(folder.join(&file.path)), &manifest).unwrap()
}

pub(crate) fn task_in(folder: &Path) -> TaskFile {
    let manifest = manifest_in(folder);
    let file = manifest.task.as_ref().expect("the bundle has a task");
    TaskFile::from_json(&read(folder.join(&file.path)), &manifest).unwrap()
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
    // One dropped layer costs little, so the size next to the teacher proves nothing.
    let naive = stops(Series::Naive);
    for (ours, naive) in boomerang.iter().zip(&naive).take(boomerang.len() - 2) {
        assert!(ours.nats.unwrap().mean < naive.nats.unwrap().mean, "better than naive pruning");
    }
    let random = stops(Series::Random);
    let intermediate = &random[..random.len() - 1];
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

/// The tokens up to the model's own end, and whether it came to it.
fn written(member: &LanguageModel, prompt: &[u32]) -> (Vec<u32>, bool) {
    let ends = member.config().end_tokens();
    let mut generation =
        Generation::new(member, prompt, RECORDED_TOKENS, Sampling::Greedy).unwrap();
    let mut tokens = Vec::new();
    while let Some(token) = block_on(generation.next()).unwrap() {
        if ends.contains(&token) {
            return (tokens, true);
        }
        tokens.push(token);
    }
    (tokens, false)
}

#[test]
fn recorded_texts_are_what_the_committed_members_write() {
    let (manifest, tokenizer, family) = load();
    let recordings = recordings_in(&folder());
    let prompts: Vec<&String> = recordings.texts.iter().map(|text| &text.prompt).collect();
    assert_eq!(prompts, manifest.prompts.iter().collect::<Vec<_>>());
    let path = manifest.order.path(&manifest.plan).unwrap();
    for (text, place) in recordings
        .texts
        .iter()
        .flat_map(|text| [0, path.len() / 2, path.len() - 1].map(|p| (text, p)))
    {
        let (member, recorded) = (family.member(&path[place]), &text.members[place]);
        let tokens = tokenizer.encode(&text.prompt, true).unwrap();
        assert_eq!(text.prompt_tokens, tokens);
        let expected = (recorded.tokens.clone(), recorded.is_ended);
        assert_eq!(written(&member, &tokens), expected, "{} at {place}", text.prompt);

        let whole = [&*tokens, &recorded.tokens].concat();
        let told = tokenizer.decode(&tokens).unwrap() + &recorded.pieces.concat();
        assert_eq!(told, tokenizer.decode(&whole).unwrap());
        let fresh = block_on(retrace(&member, &tokens, &recorded.tokens)).unwrap();
        for (fresh, recorded) in fresh.iter().zip(&recorded.log_probs) {
            let fresh = fresh.log_prob as f32;
            assert!(
                (fresh - recorded).abs() < 1e-4,
                "{} at {place}: {fresh} {recorded}",
                text.prompt
            );
        }
    }
}

#[test]
fn recording_again_gives_the_same_file() {
    let (manifest, tokenizer, family) = load();
    let prompts = &manifest.prompts[..2];
    let mut told = Vec::new();
    let mut record = || {
        let mut progress = |n_written| told.push(n_written);
        let recording =
            Recordings::record(&family, &manifest.order, &tokenizer, prompts, 10, &mut progress);
        serde_json::to_string(&block_on(recording).unwrap()).unwrap()
    };
    assert_eq!(record(), record());
    let n_texts = 2 * manifest.order.path(&manifest.plan).unwrap().len();
    assert!(told.into_iter().eq((1..=n_texts).chain(1..=n_texts)));
}

#[test]
fn a_prompt_that_fills_the_window_is_named() {
    let (manifest, tokenizer, family) = load();
    let prompts = ["2 ".repeat(64)];
    let mut progress = |_| {};
    let recording =
        Recordings::record(&family, &manifest.order, &tokenizer, &prompts, 10, &mut progress);
    let error = block_on(recording).unwrap_err().to_string();
    assert!(error.starts_with("the prompt \"2 2 2"), "{error}");
    assert!(error.ends_with("cannot be continued"), "{error}");
}

#[test]
fn the_committed_task_can_be_asked_of_its_family() {
    let (manifest, tokenizer, family) = load();
    let task = task_in(&folder());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for question in &task.questions {
        *kinds.entry(&question.task).or_default() += 1;
    }
    assert_eq!(kinds.len(), 13);
    assert!(kinds.values().all(|&n_questions| n_questions == 8), "{kinds:?}");
    let max_seq = manifest.config().unwrap().max_seq;
    Examination::new(&[], &task.questions, Some(&tokenizer), max_seq).unwrap();
    let tokens = tokenizer.encode(&task.paragraph, true).unwrap();
    assert!(tokens.len() > 12 && tokens.len() <= max_seq, "{} tokens", tokens.len());
    // Of a text such as it was trained on, a model expects more than a token in hundreds.
    let teacher = family.teacher().model();
    let found = block_on(retrace(teacher, &tokens[..1], &tokens[1..])).unwrap();
    let nats = -found.iter().map(|place| place.log_prob).sum::<f64>() / found.len() as f64;
    assert!(nats < 2.0, "{nats} nats a token");
}

/// The committed family packed anew.
fn packed(recordings: Option<Recordings>, task: Option<TaskFile>) -> Vec<(String, Vec<u8>)> {
    let (manifest, _, family) = load();
    packed_as(Precision::F16.into(), &manifest, &family, recordings, task)
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
fn recordings_and_task_come_out_of_a_bundle_as_they_went_in() {
    let (recordings, task) = (recordings_in(&folder()), task_in(&folder()));
    let files = packed(Some(recordings.clone()), Some(task.clone()));
    let manifest = manifest_of(&files);
    let read = Recordings::from_json(bytes_of(&files, "recordings.json"), &manifest).unwrap();
    assert_eq!(read, recordings);
    assert_eq!(TaskFile::from_json(bytes_of(&files, "task.json"), &manifest).unwrap(), task);
    // Members are made of the same files as before.
    let committed = manifest_in(&folder());
    assert!(manifest.files().eq(committed.files()));
    assert_eq!(manifest.fingerprint(), committed.fingerprint());
}

#[test]
fn a_bundle_without_recordings_and_task_is_as_it_always_was() {
    let files = packed(None, None);
    let json = std::str::from_utf8(bytes_of(&files, MANIFEST)).unwrap();
    assert!(!json.contains("recordings") && !json.contains("\"task\""));
    let manifest = manifest_of(&files);
    assert_eq!(manifest.extras().count(), 0);
    let error = Recordings::from_json(b"{}", &manifest).unwrap_err();
    assert_eq!(error.to_string(), "the manifest lists no recordings");
    let error = TaskFile::from_json(b"{}", &manifest).unwrap_err();
    assert_eq!(error.to_string(), "the manifest lists no task");
}

#[test]
fn recordings_and_task_lie_below_the_manifest() {
    let manifest = manifest_in(&folder());
    let astray = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        Manifest::from_json(&serde_json::to_string(&manifest).unwrap()).err()
    };
    let file = Some(BundleFile::of("../secret.json".to_owned(), b"{}"));
    for error in [
        astray(&|manifest| manifest.recordings.clone_from(&file)),
        astray(&|manifest| manifest.task.clone_from(&file)),
    ] {
        assert!(matches!(&error, Some(BundleError::Path { .. })), "{error:?}");
    }
}

#[test]
fn damaged_recordings_are_told_from_those_of_another_family() {
    let manifest = manifest_in(&folder());
    let mut bytes = read(folder().join("recordings.json"));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = Recordings::from_json(&bytes, &manifest).unwrap_err();
    assert!(matches!(error, BundleError::Hash { .. }), "{error}");

    let refused = |change: &dyn Fn(&mut RecordedText)| {
        let mut recordings = recordings_in(&folder());
        change(&mut recordings.texts[1]);
        let bytes = serde_json::to_vec(&recordings).unwrap();
        let file = Some(BundleFile::of("recordings.json".to_owned(), &bytes));
        let manifest = Manifest { recordings: file, ..manifest.clone() };
        match Recordings::from_json(&bytes, &manifest) {
            Err(BundleError::Unfit { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let teacher = |change: fn(&mut RecordedMember)| {
        refused(&|text| change(text.members.last_mut().expect("a text has members")))
    };
    let expected = [
        (refused(&|text| text.members.truncate(5)), "5 members have written; the path has 6"),
        (refused(&|text| text.prompt_tokens.clear()), "has no tokens"),
        (refused(&|text| text.prompt_tokens.resize(64, 5)), "than the model's window of 64"),
        (refused(&|text| text.prompt_tokens[0] = 859), "the model's vocabulary of 859"),
        (teacher(|member| member.tokens[0] = u32::MAX), "the model's vocabulary of 859"),
        (teacher(|member| member.pieces.clear()), "expected as many of each"),
        (teacher(|member| member.log_probs.push(-1.0)), "expected as many of each"),
        (teacher(|member| member.log_probs[0] = 0.5), "is 0.5; expected at most 0"),
        (teacher(|member| member.n_layers = 11), "the path has one of 12 there"),
    ];
    for (reason, end) in expected {
        assert!(reason.ends_with(end), "{reason}");
    }
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
fn a_bundle_records_its_prompts_and_takes_a_task() {
    let dir = family_on_disk();
    let task = folder().join("task.json");
    let paths = [("dir", dir.path()), ("root", &*root()), ("task", &*task)];
    boomerang(&format!("{BUNDLE} --record 3 --task {{task}}"), &paths).unwrap();
    let bundle = dir.path().join("bundle");
    let recordings = recordings_in(&bundle);
    assert_eq!(recordings.texts.len(), 2);
    let members = recordings.texts.iter().flat_map(|text| &text.members);
    assert!(members.clone().all(|member| member.tokens.len() == 3 || member.is_ended));
    assert_eq!(members.map(|member| member.n_layers).max(), Some(12));
    assert_eq!(task_in(&bundle), task_in(&folder()));

    boomerang(&format!("{BUNDLE} --record 0"), &paths).unwrap();
    assert_eq!(manifest_in(&bundle).extras().count(), 0);
}

#[test]
fn a_bundle_takes_no_task_that_cannot_be_asked() {
    let dir = family_on_disk();
    let task = dir.path().join("sums.json");
    let question = r#"{"task": "sum", "context": "1 + 1 is", "choices": [" 2", " 3"], "gold": 2}"#;
    let json = format!(r#"{{"name": "sums", "questions": [{question}], "paragraph": "1 + 1"}}"#);
    std::fs::write(&task, json).unwrap();
    let paths = [("dir", dir.path()), ("root", &*root()), ("task", &*task)];
    let (sentence, code) = failure(&format!("{BUNDLE} --task {{task}}"), &paths);
    assert!(sentence.ends_with("found 2 choices and gold 2"), "{sentence}");
    assert!(sentence.contains("sums.json"), "{sentence}");
    assert_eq!(code, 3);
    assert!(!dir.path().join("bundle").exists());
}
