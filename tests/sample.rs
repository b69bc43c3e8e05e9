//! Texts that a model writes are training data that it would read again.

use std::fs;

use boomerang_core::documents::records;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{read, read_json, root};

const PROMPTS: &str = "say ka lo mi\nlist pig goat pig :\n\nsay ka\n";

#[test]
fn texts_continue_their_prompts_in_order_whatever_the_batches_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("prompts.txt"), PROMPTS).unwrap();
    let teacher = root().join("assets/teacher");
    let paths = [("dir", dir.path()), ("teacher", &*teacher)];
    let line = "sample --model {teacher} --prompts {dir}/prompts.txt --per-prompt 2 --tokens 30 --seed 7 \
                --device cpu";
    boomerang(&format!("{line} --batch-size 1 --out {{dir}}/one"), &paths).unwrap();
    boomerang(&format!("{line} --batch-size 6 --out {{dir}}/six"), &paths).unwrap();
    let [one, six] = ["one", "six"].map(|name| read(dir.path().join(name).join("samples.jsonl")));
    assert_eq!(one, six);
    let texts = records("samples.jsonl", &one).unwrap();
    assert!(!texts.is_empty());
    let sampling = read_json(dir.path().join("one/sampling.json"));
    assert_eq!(sampling["n_texts"], texts.len());
    let text = String::from_utf8(one).unwrap();
    assert!(
        text.lines()
            .all(|line| line.starts_with("{\"text\":\"say ka") || line.contains("list pig goat"))
    );
    // What is written is what training reads.
    boomerang(
        "distill --teacher {teacher} --data {dir}/one/samples.jsonl --seq-len 16 --batch-size 1 --steps 1 \
         --device cpu --out {dir}/run",
        &paths,
    )
    .unwrap();
}

#[test]
fn what_cannot_be_sampled_is_said_before_the_model_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("prompts.txt"), PROMPTS).unwrap();
    fs::write(dir.path().join("empty.txt"), "\n \n").unwrap();
    let teacher = root().join("assets/teacher");
    let paths = [("dir", dir.path()), ("teacher", &*teacher)];
    let refused = |flags: &str| {
        failure(&format!("sample --model {{teacher}} --device cpu {flags}"), &paths).0
    };
    let no_template = refused("--prompts {dir}/prompts.txt --chat --out {dir}/out");
    assert!(no_template.contains("no chat template"), "{no_template}");
    let empty = refused("--prompts {dir}/empty.txt --out {dir}/out");
    assert!(empty.contains("has no prompts; expected one on every line"), "{empty}");
    let inside = refused("--prompts {dir}/prompts.txt --out {teacher}/samples");
    assert!(inside.contains("inside"), "{inside}");
    assert!(!dir.path().join("out").exists());
}
