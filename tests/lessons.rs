use std::fs;
use std::path::Path;

use boomerang_core::bundle::Recordings;
use boomerang_core::generate::{Generation, Sampling, retrace};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::Patch;
use boomerang_lessons::built_in::{self, text};
use boomerang_lessons::{Answers, Asked, Beside, Facts, FamilyName, Lesson, Sheet, parse};
use boomerang_native_trainer::measure::bundle::RECORDED_TOKENS;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{block_on, read, root};

use crate::bundle::{folder, load};

/// The facts of the demo's bundle, with texts that its members generate now.
fn fresh_facts() -> Facts {
    let (manifest, tokenizer, family) = load();
    let mut nothing = |_| {};
    let recordings = Recordings::record(
        &family,
        &manifest.order,
        &tokenizer,
        &manifest.prompts,
        RECORDED_TOKENS,
        &mut nothing,
    );
    Facts::of_bundle(&manifest, Some(&block_on(recordings).unwrap()))
}

fn committed_facts() -> Facts {
    let (manifest, ..) = load();
    let file = manifest.recordings.clone().unwrap();
    let recordings = Recordings::from_json(&read(folder().join(&file.path)), &manifest).unwrap();
    Facts::of_bundle(&manifest, Some(&recordings))
}

#[test]
fn every_lesson_is_true_of_the_demos_members() {
    let facts = fresh_facts();
    assert_eq!(facts, committed_facts());
    for (language, name, lesson) in built_in::all().unwrap() {
        if lesson.beside == Beside::Published {
            continue;
        }
        let filled = lesson.filled(&facts);
        let filled =
            filled.unwrap_or_else(|unsupported| panic!("{language}/{name}: {unsupported}"));
        for (asked, number) in filled.asked() {
            let question = filled.question(asked, number).unwrap();
            if let Some(expected) = &question.answer {
                let is_right = question.is_right(&expected.value);
                assert_eq!(is_right, Some(true), "{language}/{name}: {}", question.text);
            }
        }
    }
}

#[test]
fn the_smallest_size_with_the_teachers_text_is_the_one_that_the_lesson_expects() {
    let (manifest, tokenizer, family) = load();
    let facts = committed_facts();
    let prompt = tokenizer.encode(facts.get("prompt").unwrap(), true).unwrap();
    let path = manifest.order.path(&manifest.plan).unwrap();
    let texts: Vec<Vec<u32>> = path
        .iter()
        .map(|patch| generated(&family.member(patch), &prompt, Sampling::Greedy))
        .collect();
    let teacher = texts.last().unwrap();
    assert_ne!(&texts[0], teacher, "the student answers as the teacher does");
    let first = (0..texts.len()).find(|&stop| texts[stop..].iter().all(|text| text == teacher));
    let n_layers = family.member(&path[first.unwrap()]).n_layers();
    assert_eq!(facts.get("prompt layers"), Some(&*n_layers.to_string()));
}

#[test]
fn the_page_opens_with_a_prompt_on_which_sizes_improve() {
    let (manifest, ..) = load();
    assert_eq!(committed_facts().get("prompt"), Some(&*manifest.prompts[0]));
}

fn generated(member: &LanguageModel, prompt: &[u32], sampling: Sampling) -> Vec<u32> {
    let mut generation = Generation::new(member, prompt, 16, sampling).unwrap();
    let ends = member.config().end_tokens().to_vec();
    std::iter::from_fn(|| block_on(generation.next()).unwrap())
        .take_while(|token| !ends.contains(token))
        .collect()
}

#[test]
fn what_the_lesson_about_sampling_says_is_true_of_the_middle_size() {
    let (manifest, tokenizer, family) = load();
    let path = manifest.order.path(&manifest.plan).unwrap();
    let member = family.member(&path[path.len() / 2]);
    let prompt = tokenizer.encode(&manifest.prompts[0], true).unwrap();
    let write = |sampling| generated(&member, &prompt, sampling);
    assert_eq!(write(Sampling::Greedy), write(Sampling::Greedy));
    let sampled = |temperature, seed| write(Sampling::Random { temperature, seed });
    assert_eq!(sampled(1.0, 1), sampled(1.0, 1));
    // Nats per token at which the model itself, at temperature 1, expects the text.
    let surprise = |temperature| {
        let texts: Vec<Vec<u32>> = (0..20).map(|seed| sampled(temperature, seed)).collect();
        let nats = texts.iter().filter(|text| !text.is_empty()).flat_map(|text| {
            let found = block_on(retrace(&member, &prompt, text)).unwrap();
            found.into_iter().map(|token| -token.log_prob).collect::<Vec<_>>()
        });
        let nats: Vec<f64> = nats.collect();
        nats.iter().sum::<f64>() / nats.len() as f64
    };
    assert!(surprise(2.0) > 2.0 * surprise(0.2), "{} {}", surprise(2.0), surprise(0.2));
}

#[test]
fn as_many_teacher_layers_in_another_place_generate_other_texts() {
    let (manifest, tokenizer, family) = load();
    let block = |block: usize| Patch::of(&[block], &manifest.plan).unwrap();
    let members = [0, 4].map(|at| family.member(&block(at)));
    assert_eq!(members[0].n_layers(), members[1].n_layers());
    let differs = manifest.prompts.iter().any(|prompt| {
        let prompt = tokenizer.encode(prompt, true).unwrap();
        let [one, other] = [0, 1].map(|at| generated(&members[at], &prompt, Sampling::Greedy));
        one != other
    });
    assert!(differs);
}

/// The sheet of somebody who learns the answers of the check in the lesson.
fn sheet(language: &str, id: &str, before: [Option<&str>; 3]) -> Sheet {
    let lesson: Lesson = parse(text(language, "sizes").unwrap()).unwrap();
    let facts = committed_facts();
    let filled = lesson.filled(&facts).unwrap();
    let mut answers = Answers::default();
    for (number, before) in (1..).zip(before) {
        let right = filled.question(Asked::After, number).unwrap().answer.clone().unwrap().value;
        answers.set(Asked::Before, number, before.unwrap_or(&right).to_owned());
        answers.set(Asked::After, number, right);
    }
    answers.set(Asked::Step, 1, "=cmd|' /C calc'!A0".to_owned());
    answers.set(Asked::Step, 2, "9".to_owned());
    let family = FamilyName { name: "Boomerang demo".to_owned(), fingerprint: None };
    let name = Some(format!("<b>{id}</b>"));
    Sheet::new(&filled, lesson.used(&facts), Some(family), (id.to_owned(), name), &answers)
}

fn write(folder: &Path, name: &str, sheet: &Sheet) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), sheet.to_json()).unwrap();
}

#[test]
fn a_class_is_tabulated_over_languages() {
    let dir = tempfile::tempdir().unwrap();
    let sheets = dir.path().join("sheets");
    write(&sheets, "a.json", &sheet("en", "a", [Some("5"), None, None]));
    write(&sheets, "b.json", &sheet("de", "b", [Some("5"), None, None]));
    write(&sheets, "c.json", &sheet("es", "c", [None, None, None]));
    fs::write(sheets.join("broken.json"), "{\"format\": \"boomerang-ans").unwrap();
    let bundle = root().join("assets/demo/bundle");
    let paths = [("dir", dir.path()), ("bundle", &bundle)];
    boomerang("lessons collect {dir}/sheets --bundle {bundle} --out {dir}/class", &paths).unwrap();

    let questions = fs::read_to_string(dir.path().join("class/questions.csv")).unwrap();
    let first: Vec<&str> = questions.lines().nth(1).unwrap().rsplit(',').collect();
    // From the right: p, interval, change, right after, right before, sheets.
    assert_eq!(first[2..6], ["+67 %", "3", "1", "3"], "{questions}");
    let answers = fs::read_to_string(dir.path().join("class/answers.csv")).unwrap();
    assert!(answers.contains(",'=cmd|' /C calc'!A0,"), "{answers}");
    let report = fs::read_to_string(dir.path().join("class/report.md")).unwrap();
    assert!(report.contains("mean score of 3 sheets: 2.33 before, 3.00 after"), "{report}");
    assert!(report.contains("broken.json: not an answer sheet") && !report.contains("<b>"));
    assert!(report.contains("| 3 of 3 |"), "{report}");
}

#[test]
fn a_report_is_overwritten_with_force_only() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &sheet("en", "a", [None; 3]));
    let line = "lessons collect {dir}/a.json --out {dir}/class";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    assert!(failure(line, &[("dir", dir.path())]).0.contains("--force"));
    boomerang(&format!("{line} --force"), &[("dir", dir.path())]).unwrap();
}

#[test]
fn without_a_sheet_that_can_be_used_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut unknown = sheet("en", "a", [None; 3]);
    unknown.lesson.sha256 = "0".repeat(64);
    write(dir.path(), "unknown.json", &unknown);
    fs::write(dir.path().join("large.json"), vec![b' '; 1 << 20]).unwrap();
    let line = "lessons collect {dir} {dir}/missing.json --out {dir}/class";
    let (sentence, code) = failure(line, &[("dir", dir.path())]);
    assert!(sentence.contains("none of 3 files is an answer sheet that can be used"), "{sentence}");
    assert_eq!(code, 3);
    assert!(!dir.path().join("class").exists());
}

#[test]
fn a_lesson_of_ones_own_is_collected_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let own = "# Mine\n\n## Guess\nasked: before and after\nquestion: A?\nexpect: a | b\n\
               answer: b\n\n## One\nquestion: B?\n";
    fs::write(dir.path().join("own.md"), own).unwrap();
    let mut answers = Answers::default();
    answers.set(Asked::Before, 1, "a".to_owned());
    answers.set(Asked::After, 1, "b".to_owned());
    let lesson = parse(own).unwrap();
    let sheet = Sheet::new(&lesson, [].into(), None, ("1".to_owned(), None), &answers);
    write(dir.path(), "a.json", &sheet);
    let paths = [("dir", dir.path())];
    assert_eq!(failure("lessons collect {dir}/a.json", &paths).1, 3);
    boomerang("lessons collect {dir}/a.json --lesson {dir}/own.md", &paths).unwrap();
    fs::write(dir.path().join("own.md"), "# Mine\n\n## One\nlock: wheel\n").unwrap();
    let (sentence, code) = failure("lessons collect {dir}/a.json --lesson {dir}/own.md", &paths);
    assert!(sentence.contains("own.md") && sentence.contains("line 4: lock"), "{sentence}");
    assert_eq!(code, 3);
}
