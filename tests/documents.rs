use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use boomerang_core::distill::UpdateSettings;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{Batch, DistillSettings, Distiller, Layout, Row, Schedule};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::train::data::{Packing, Reading, read_rows};
use boomerang_native_trainer::{Cli, run};
use boomerang_tests::commands::{boomerang, failure, write_ids, write_planned_family};
use boomerang_tests::{fixtures, plain_divergence, read, read_json, tiny_family};
use clap::Parser as _;
use futures_lite::future::block_on;

/// A family, and files by their names.
fn prepare(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// The curve that `eval` finds on a file.
fn curve(dir: &Path, file: &str) -> serde_json::Value {
    let line = "eval --teacher {dir}/teacher --student {dir}/student --order last --naive false \
                --data {dir}/FILE --out {dir}/eval --force --device cpu";
    boomerang(&line.replace("FILE", file), &[("dir", dir)]).unwrap();
    read_json(dir.join("eval/curve.json"))
}

/// The sentence with which `eval`, `distill` and `search` refuse a file, which is the same.
fn refusal(dir: &Path, file: &str) -> String {
    let family = "--teacher {dir}/teacher --student {dir}/student --device cpu";
    let lines = [
        format!("eval {family} --data {{dir}}/{file} --out {{dir}}/out"),
        format!("distill {family} --data {{dir}}/{file} --out {{dir}}/out"),
        format!("search {family} --calibration {{dir}}/{file} --out {{dir}}/out.json"),
    ];
    let sentences = lines.map(|line| {
        let (sentence, code) = failure(&line, &[("dir", dir)]);
        assert_eq!(code, 3, "{line}: {sentence}");
        sentence
    });
    assert!(sentences.iter().all(|sentence| *sentence == sentences[0]), "{sentences:#?}");
    sentences[0].clone()
}

#[test]
fn a_file_is_the_same_text_under_every_ending_and_with_a_byte_order_mark() {
    let rows = "{\"input_ids\": [1, 2, 3, 4]}\n{\"input_ids\": [5, 6, 7]}\n";
    let windows = format!("\u{feff}{}", rows.replace('\n', "\r\n\r\n"));
    let list = "[{\"input_ids\": [1, 2, 3, 4], \"score\": NaN},\n {\"input_ids\": [5, 6, 7]}]";
    let dir = prepare(&[("a.jsonl", rows), ("B.NDJSON", &windows), ("c.Json", list)]);
    let expected = curve(dir.path(), "a.jsonl");
    for file in ["B.NDJSON", "c.Json"] {
        assert_eq!(curve(dir.path(), file), expected, "{file}");
    }
}

#[test]
fn every_command_refuses_a_file_with_the_same_sentence() {
    let dir = prepare(&[
        ("a.csv", "text\na\n"),
        ("a.txt", ""),
        ("a.jsonl", "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2]\n"),
        ("b.jsonl", "{\"input_ids\": [1, 2], \"attention_mask\": [1]}\n"),
        ("c.jsonl", "{\"input_ids\": [1, 31]}\n"),
        ("d.json", "[]"),
    ]);
    fs::write(dir.path().join("b.txt"), b"\xff\xfea\0").unwrap();
    for (file, expected) in [
        ("a.csv", "found .csv"),
        ("a.txt", "a.txt: the file is empty"),
        ("a.jsonl", "a.jsonl, line 2, column 21: not JSON: expected \",\" or \"}\""),
        ("b.jsonl", "b.jsonl, line 1, column 41: attention_mask has 1 values"),
        ("c.jsonl", "c.jsonl, line 1: token 31 at input_ids[1]"),
        ("d.json", "d.json: all documents are empty"),
        ("b.txt", "b.txt: the file is in UTF-16"),
    ] {
        let sentence = refusal(dir.path(), file);
        assert!(sentence.contains(expected), "{file}: {sentence}");
    }
}

#[test]
fn padding_is_not_scored_on_either_side() {
    let dir = prepare(&[
        ("bare.jsonl", "{\"input_ids\": [5, 6, 7]}\n"),
        ("right.jsonl", "{\"input_ids\": [5, 6, 7, 0, 0], \"attention_mask\": [1, 1, 1, 0, 0]}\n"),
        ("left.jsonl", "{\"attention_mask\": [0, 0, 1, 1, 1], \"input_ids\": [9, 9, 5, 6, 7]}\n"),
    ]);
    let expected = curve(dir.path(), "bare.jsonl");
    for file in ["right.jsonl", "left.jsonl"] {
        assert_eq!(curve(dir.path(), file), expected, "{file}");
    }
}

#[test]
fn rows_beyond_the_window_are_read_in_windows_by_eval_and_refused_by_training() {
    let dir = prepare(&[]);
    write_ids(&dir.path().join("long.jsonl"), 1, 200);
    let found = curve(dir.path(), "long.jsonl");
    assert!(found.to_string().contains("nats_per_token"), "{found}");
    let line = "distill --teacher {dir}/teacher --student {dir}/student --data {dir}/long.jsonl \
                --out {dir}/run --device cpu";
    let (sentence, code) = failure(line, &[("dir", dir.path())]);
    assert!(sentence.contains("long.jsonl, line 1: 200 input_ids"), "{sentence}");
    assert_eq!(code, 3);
}

#[test]
fn a_label_of_minus_100_is_not_in_the_cross_entropy() {
    let family = tiny_family(&cpu());
    let teacher = family.teacher().model();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.jsonl");
    let lines = "{\"input_ids\": [3, 4, 5, 6, 7], \"labels\": [-100, -100, 5, -100, 7]}\n\
                 {\"input_ids\": [8, 9, 10], \"labels\": [8, 9, 10]}\n";
    fs::write(&path, lines).unwrap();
    let packing = Packing { seq: 8, layout: Layout::Padded, end_token: None };
    let rows = read_rows(
        &[path],
        Reading { tokenizer: None, template: None, packing, model: teacher.config() },
    )
    .unwrap();
    let batch = rows.batch(0, 2).unwrap();

    let loss = LossWeights { kl: 0.0, alignment: 0.0, ..LossWeights::default() };
    let update = UpdateSettings::new(Schedule::cosine(1e-3, 1));
    let settings = DistillSettings { loss, update, alignment: None };
    let student = family.student().clone();
    let distiller = Distiller::new(family.teacher().clone(), student.clone(), settings, 0);
    let found = block_on(distiller.measure(&batch)).unwrap().total;
    // By hand: rows of their own length, and the positions before a label.
    let row = |tokens: &[u32]| Row::new(tokens.to_vec(), vec![1; tokens.len()]);
    let nats = |tokens: &[u32], at: usize| {
        // The last token of a row is the only target.
        let whole = Batch::new(vec![row(&tokens[..=at])], Layout::Padded);
        let shorter = Batch::new(vec![row(&tokens[..at])], Layout::Padded);
        let sum = |batch: &Batch| {
            let n_targets = batch.seq() - 1;
            if n_targets == 0 {
                return 0.0;
            }
            plain_divergence(teacher, student.model(), batch).1 * n_targets as f64
        };
        sum(&whole) - sum(&shorter)
    };
    let long = [3, 4, 5, 6, 7];
    let short = [8, 9, 10];
    let expected = (nats(&long, 2) + nats(&long, 4) + nats(&short, 1) + nats(&short, 2)) / 4.0;
    assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
}

#[test]
fn only_labels_are_scored() {
    let line = |labels: &str| format!("{{\"input_ids\": [3, 4, 5, 6, 7], \"labels\": {labels}}}\n");
    let dir = prepare(&[
        ("all.jsonl", &line("[3, 4, 5, 6, 7]")),
        ("head.jsonl", "{\"input_ids\": [3, 4, 5]}\n"),
        ("tail.jsonl", &line("[-100, -100, -100, 6, 7]")),
    ]);
    let nats = |file: &str| -> Vec<(f64, f64)> {
        let curve = curve(dir.path(), file);
        let points =
            curve["curve"]["points"].as_array().unwrap_or_else(|| panic!("{curve}")).clone();
        let perplexity = |point: &serde_json::Value| {
            let texts = &point["score"]["perplexity"];
            let n_tokens = texts["n_tokens"].as_f64().unwrap_or_else(|| panic!("{point}"));
            (texts["nats_per_token"].as_f64().unwrap(), n_tokens)
        };
        points.iter().map(perplexity).collect()
    };
    let (all, head, tail) = (nats("all.jsonl"), nats("head.jsonl"), nats("tail.jsonl"));
    for ((all, head), tail) in all.iter().zip(&head).zip(&tail) {
        assert_eq!([all.1, head.1, tail.1], [4.0, 2.0, 2.0]);
        assert!((all.0 * 4.0 - head.0 * 2.0 - tail.0 * 2.0).abs() < 1e-4);
    }
}

#[test]
fn a_parquet_file_holds_the_same_rows_however_it_is_compressed() {
    let dir = prepare(&[]);
    let copy = |name: &str| {
        fs::copy(fixtures().join("parquet").join(name), dir.path().join(name)).unwrap();
    };
    copy("rows.jsonl");
    let expected = curve(dir.path(), "rows.jsonl");
    for codec in ["none", "snappy", "gzip", "lz4", "zstd"] {
        let name = format!("{codec}.parquet");
        copy(&name);
        assert_eq!(curve(dir.path(), &name), expected, "{codec}");
    }
    copy("brotli.parquet");
    let sentence = refusal(dir.path(), "brotli.parquet");
    assert!(sentence.contains("compressed with BROTLI"), "{sentence}");
    assert!(sentence.contains("expected zstd, Snappy, gzip, LZ4"), "{sentence}");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_unicode_is_read_and_recorded() {
    use std::os::unix::ffi::OsStringExt as _;

    let dir = tempfile::tempdir().unwrap();
    let strange = dir.path().join(OsString::from_vec(b"d\xff".to_vec()));
    fs::create_dir(&strange).unwrap();
    write_planned_family(&strange);
    write_ids(&strange.join("texts.jsonl"), 4, 16);
    let path = |name: &str| strange.join(name).into_os_string();
    let commands: [(&str, &[(&str, &str)]); 3] = [
        ("analyze", &[("--calibration", "texts.jsonl"), ("--out", "analysis")]),
        ("distill", &[("--data", "texts.jsonl"), ("--out", "run")]),
        ("eval", &[("--data", "texts.jsonl"), ("--out", "eval")]),
    ];
    for (command, flags) in commands {
        let mut words: Vec<OsString> =
            ["boomerang", command, "--device", "cpu"].map(OsString::from).into();
        for (flag, name) in [("--teacher", "teacher"), ("--student", "student")].iter().chain(flags)
        {
            words.extend([OsString::from(flag), path(name)]);
        }
        if command == "distill" {
            words.extend(["--steps", "1"].map(OsString::from));
        }
        run(Cli::try_parse_from(words).unwrap())
            .unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let record: PathBuf = strange.join("analysis/analysis.json");
    assert!(String::from_utf8(read(record)).unwrap().contains("d\u{fffd}/texts.jsonl"));
}

#[test]
fn the_address_of_a_model_and_a_name_without_its_owner_are_answered_with_the_id() {
    for (text, id) in [
        ("https://hub.example/a/b/tree/v1", "did you mean the Hub id a/b@v1?"),
        ("no-such-model", "did you mean the Hub id hf:no-such-model?"),
    ] {
        let (sentence, code) = failure(&format!("inspect {text}"), &[]);
        assert!(sentence.contains(id), "{sentence}");
        assert_eq!(code, 3, "{sentence}");
    }
}
