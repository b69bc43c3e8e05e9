use std::collections::BTreeMap;
use std::path::Path;

use boomerang_core::bundle::{
    BundleError, BundleFile, MANIFEST, Manifest, RecordedMember, RecordedText, Recordings, TaskFile,
};
use boomerang_core::checkpoint::Precision;
use boomerang_core::evaluate::Examination;
use boomerang_core::generate::{Generation, Sampling, retrace};
use boomerang_core::model::LanguageModel;
use boomerang_native_trainer::measure::bundle::RECORDED_TOKENS;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{block_on, read, root};

use crate::bundle::{
    BUNDLE, bytes_of, family_on_disk, folder, load, manifest_in, manifest_of, packed_as,
};

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
        (refused(&|text| text.members.truncate(5)), "5 members are recorded; the path has 6"),
        (refused(&|text| text.prompt_tokens.clear()), "has no tokens"),
        (refused(&|text| text.prompt_tokens.resize(64, 5)), "than the model's window of 64"),
        (refused(&|text| text.prompt_tokens[0] = 859), "the model's vocabulary of 859"),
        (teacher(|member| member.tokens[0] = u32::MAX), "the model's vocabulary of 859"),
        (teacher(|member| member.pieces.clear()), "expected the same number of each"),
        (teacher(|member| member.log_probs.push(-1.0)), "expected the same number of each"),
        (teacher(|member| member.log_probs[0] = 0.5), "is 0.5; expected at most 0"),
        (teacher(|member| member.n_layers = 11), "the path has one with 12"),
    ];
    for (reason, end) in expected {
        assert!(reason.ends_with(end), "{reason}");
    }
}

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
