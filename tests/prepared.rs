//! Data that are tokenized once: the same steps as from texts, found by their number, and bound to their
//! tokenizer.

use std::fs;
use std::path::Path;

use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{read, read_json, root};
use serde_json::{Value, json};

const SETTINGS: &str = "distill --teacher {teacher} --seq-len 16 --batch-size 2 --lr 1e-3 --steps 6 \
                        --save-every 3 --device cpu";

/// Texts of different lengths, as lines.
fn write_texts(dir: &Path, name: &str, n: usize) {
    let line = |number: usize| {
        let words: Vec<&str> = ["ka", "lo", "mi", "say", "is"]
            .iter()
            .copied()
            .cycle()
            .skip(number)
            .take(3 + 7 * number % 23)
            .collect();
        json!({"text": words.join(" ")}).to_string() + "\n"
    };
    fs::write(dir.join(name), (0..n).map(line).collect::<String>()).unwrap();
}

fn run(line: &str, dir: &Path) -> anyhow::Result<()> {
    let teacher = root().join("assets/teacher");
    boomerang(line, &[("dir", dir), ("teacher", &teacher)])
}

fn refused(line: &str, dir: &Path) -> (String, u8) {
    let teacher = root().join("assets/teacher");
    failure(line, &[("dir", dir), ("teacher", &teacher)])
}

/// The lines of a run's metrics without its speed.
fn metrics(dir: &Path, run: &str) -> Vec<Value> {
    let text = String::from_utf8(read(dir.join(run).join("metrics.jsonl"))).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("tokens_per_second");
        line
    });
    lines.collect()
}

#[test]
fn prepared_data_give_the_steps_of_their_texts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_texts(dir, "a.jsonl", 30);
    write_texts(dir, "b.jsonl", 9);
    run(
        "data prepare {dir}/a.jsonl {dir}/b.jsonl --model {teacher} --threads 3 --out {dir}/tokens",
        dir,
    )
    .unwrap();
    run("data verify {dir}/tokens", dir).unwrap();
    for (name, layout) in [("packed", ""), ("padded", "--packing padded")] {
        let texts = format!("{SETTINGS} {layout} --data {{dir}}/a.jsonl --data {{dir}}/b.jsonl");
        run(&format!("{texts} --out {{dir}}/{name}-texts"), dir).unwrap();
        let tokens = format!("{SETTINGS} {layout} --data {{dir}}/tokens");
        run(&format!("{tokens} --out {{dir}}/{name}-tokens"), dir).unwrap();
        let [texts, tokens] = ["texts", "tokens"].map(|of| metrics(dir, &format!("{name}-{of}")));
        assert_eq!(texts.len(), 6);
        assert_eq!(texts, tokens, "{name}");
    }
}

#[test]
fn a_mixture_in_random_order_is_resumed_to_the_bit_across_shards_and_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_texts(dir, "a.jsonl", 6);
    write_texts(dir, "b.jsonl", 40);
    run("data prepare {dir}/b.jsonl --model {teacher} --shard-tokens 50 --out {dir}/b", dir)
        .unwrap();
    let manifest = read_json(dir.join("b/manifest.json"));
    assert!(manifest["shards"].as_array().unwrap().len() > 3);
    let line = format!(
        "{SETTINGS} --data {{dir}}/a.jsonl --data {{dir}}/b --data-weights 3,1 --shuffle-seed 5 \
         --held-out 4 --eval-every 2"
    );
    run(&format!("{line} --out {{dir}}/whole"), dir).unwrap();
    run(&format!("{line} --out {{dir}}/halves --stop-after 3"), dir).unwrap();
    run(&format!("{line} --out {{dir}}/halves --resume"), dir).unwrap();
    let whole = metrics(dir, "whole");
    assert_eq!(whole, metrics(dir, "halves"));
    let student = |run: &str| read(dir.join(run).join("student/model.safetensors"));
    assert!(student("whole") == student("halves"));
    let held_out: Vec<bool> = whole.iter().map(|line| line["held_out"]["loss"].is_f64()).collect();
    assert_eq!(held_out, [false, true, false, true, false, true]);
    // The file of six texts has started over.
    run(
        &format!("{line} --shuffle-seed 6 --out {{dir}}/other").replacen(
            "--shuffle-seed 5 ",
            "",
            1,
        ),
        dir,
    )
    .unwrap();
    assert_ne!(whole, metrics(dir, "other"));
}

#[test]
fn bad_lines_are_counted_and_named_up_to_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let lines = "{\"text\": \"ka lo\"}\n{\"txt\": 1}\nnot json\n{\"text\": \"mi\"}\n";
    fs::write(dir.join("a.jsonl"), lines).unwrap();
    let line = "data prepare {dir}/a.jsonl --model {teacher} --out {dir}/tokens";
    let (sentence, code) = refused(&format!("{line} --max-bad-lines 1"), dir);
    assert!(sentence.contains("more than 1 lines cannot be used"), "{sentence}");
    assert!(sentence.contains("a.jsonl, line 3, column 1: not JSON"), "{sentence}");
    assert_eq!(code, 3);
    assert!(!dir.join("tokens").exists());
    run(line, dir).unwrap();
    let manifest = read_json(dir.join("tokens/manifest.json"));
    assert_eq!((&manifest["n_bad"], &manifest["n_documents"]), (&json!(2), &json!(2)));
}

#[test]
fn only_responses_of_prepared_conversations_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let teacher = dir.join("teacher");
    fs::create_dir(&teacher).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(root().join("assets/teacher").join(name), teacher.join(name)).unwrap();
    }
    let line = r#"{"messages": [{"role": "user", "content": "say ka"}, {"role": "assistant", "content": "lo mi"}]}"#;
    fs::write(dir.join("chat.jsonl"), format!("{line}\n").repeat(8)).unwrap();
    let prepare =
        "data prepare {dir}/chat.jsonl --model {dir}/teacher --max-bad-lines 0 --out {dir}/tokens";
    let (sentence, _) = refused(prepare, dir);
    assert!(sentence.contains("line 1: a conversation requires a chat template"), "{sentence}");
    fs::write(
        teacher.join("chat_template.jinja"),
        "{% for m in messages %}{{ m.role[0] | replace('u', 'is') | replace('a', 'say') }} {{ m.content }} \
         {% endfor %}{% if add_generation_prompt %}say {% endif %}",
    )
    .unwrap();
    run(prepare, dir).unwrap();
    let manifest = read_json(dir.join("tokens/manifest.json"));
    assert!(manifest["shards"][0]["labels_sha256"].is_string(), "{manifest}");
    let settings = SETTINGS.replace("{teacher}", "{dir}/teacher");
    for (data, out) in [("tokens", "by-tokens"), ("chat.jsonl", "by-texts")] {
        run(&format!("{settings} --data {{dir}}/{data} --out {{dir}}/{out}"), dir).unwrap();
    }
    assert_eq!(metrics(dir, "by-tokens"), metrics(dir, "by-texts"));
    // With all tokens as labels the cross-entropy is another one.
    fs::write(dir.join("text.jsonl"), "{\"text\": \"is say ka say lo mi \"}\n".repeat(8)).unwrap();
    run(&format!("{settings} --data {{dir}}/text.jsonl --out {{dir}}/all"), dir).unwrap();
    let ce = |run: &str| metrics(dir, run)[0]["ce"].as_f64().unwrap();
    assert!((ce("all") - ce("by-texts")).abs() > 1e-3);
}

#[test]
fn data_of_another_tokenizer_and_damaged_shards_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_texts(dir, "a.jsonl", 20);
    run("data prepare {dir}/a.jsonl --model {teacher} --out {dir}/tokens", dir).unwrap();
    let manifest = dir.join("tokens/manifest.json");
    let text = String::from_utf8(read(&manifest)).unwrap();
    let found = read_json(&manifest)["tokenizer"].as_str().unwrap().to_owned();
    let line = format!("{SETTINGS} --data {{dir}}/tokens --out {{dir}}/run");
    fs::write(&manifest, text.replace(&found, "0123")).unwrap();
    let (sentence, code) = refused(&line, dir);
    assert!(
        sentence.contains("prepared with another tokenizer") && sentence.contains("0123"),
        "{sentence}"
    );
    assert_eq!(code, 3);
    fs::write(&manifest, text.replace("boomerang-tokens-1", "boomerang-tokens-9")).unwrap();
    assert!(refused(&line, dir).0.contains("\"boomerang-tokens-9\"; expected"));
    fs::write(&manifest, &text).unwrap();
    let shard = dir.join("tokens/shard-00000.tokens");
    let mut bytes = read(&shard);
    bytes[0] ^= 1;
    fs::write(&shard, &bytes).unwrap();
    let (sentence, code) = refused("data verify {dir}/tokens", dir);
    assert!(sentence.contains("shard-00000.tokens is damaged"), "{sentence}");
    assert_eq!(code, 8);
    bytes.pop();
    fs::write(&shard, &bytes).unwrap();
    assert!(refused(&line, dir).0.contains("bytes; expected"));
    // A token beyond the vocabulary is named when its row is read.
    bytes.push(255);
    fs::write(&shard, &bytes).unwrap();
    let longer = format!("{line} --steps 12").replacen("--steps 6 ", "", 1);
    let (sentence, _) = refused(&longer, dir);
    assert!(sentence.contains("outside of the vocabulary (0 to 858)"), "{sentence}");
}
