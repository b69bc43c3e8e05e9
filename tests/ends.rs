use std::fs;
use std::path::Path;

use boomerang_core::evaluate::{Encoder, Open};
use boomerang_core::generate::{Generation, Sampling, answer_open};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_native_trainer::files::markers;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{block_on, fixtures, read, read_json};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of one of lm_eval/models with other end tokens; a generation_config of null is none.
fn model(name: &str, eos: &Value, generation_config: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join("lm_eval/models").join(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let mut config = read_json(dir.path().join("config.json"));
    let keys = config.as_object_mut().unwrap();
    keys.remove("eos_token_id");
    if eos != "absent" {
        keys.insert("eos_token_id".to_owned(), eos.clone());
    }
    write(dir.path(), "config.json", &config);
    if !generation_config.is_null() {
        write(dir.path(), "generation_config.json", generation_config);
    }
    dir
}

fn write(dir: &Path, name: &str, json: &Value) {
    fs::write(dir.join(name), json.to_string()).unwrap();
}

/// Greedy tokens up to the model's end token, that one included.
fn generated(folder: &ModelFolder, prompt: &[u32], n_tokens: usize) -> Vec<u32> {
    let model = folder.model(&cpu()).unwrap();
    let mut generation = Generation::new(&model, prompt, n_tokens, Sampling::Greedy).unwrap();
    let mut tokens = Vec::new();
    while let Some(token) = block_on(generation.next()).unwrap() {
        tokens.push(token);
        if model.config().end_tokens().contains(&token) {
            break;
        }
    }
    tokens
}

#[test]
fn texts_end_where_transformers_and_lm_evaluation_harness_end_them() {
    let fixture = read_json(fixtures().join("ends.json"));
    let n_tokens = fixture["n_tokens"].as_u64().unwrap() as usize;
    for case in fixture["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let dir = model(text("model"), &case["eos_token_id"], &case["generation_config"]);
        let folder = ModelFolder::open(dir.path()).unwrap();
        let tokenizer = folder.tokenizer().unwrap().unwrap();
        let prompt = tokenizer.encode(text("prompt"), true).unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(generated(&folder, &prompt, n_tokens), ids, "{case}");

        let open = Open {
            context: text("prompt").to_owned(),
            until: serde_json::from_value(case["until"].clone()).unwrap(),
            max_tokens: n_tokens,
        };
        let model = folder.model(&cpu()).unwrap();
        let markers = markers(&folder, &tokenizer).unwrap();
        let encoder = Encoder::new(&tokenizer, markers, model.config().max_seq);
        let (context, stops) = (encoder.open(&open).unwrap(), encoder.stops(&open));
        let answer = block_on(answer_open(&model, &tokenizer, &context, &stops, n_tokens));
        assert_eq!(answer.unwrap(), text("answer"), "{case}");
    }
}

#[test]
fn generate_prints_whole_characters_and_ends_as_generation_config_says() {
    let fixture = read_json(fixtures().join("ends.json"));
    for case in fixture["cases"].as_array().unwrap().iter().take(8) {
        let dir = model(
            case["model"].as_str().unwrap(),
            &case["eos_token_id"],
            &case["generation_config"],
        );
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let tokenizer = ModelFolder::open(dir.path()).unwrap().tokenizer().unwrap().unwrap();
        let expected = tokenizer.decode(&ids).unwrap();
        let printed = printed(dir.path(), case["prompt"].as_str().unwrap());
        assert_eq!(printed, expected + "\n", "{case}");
    }
}

/// What `generate` prints behind a prompt.
fn printed(dir: &Path, prompt: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_boomerang-under-test");
    let output = std::process::Command::new(binary)
        .args(["generate", "--tokens", "24", "--device", "cpu", "--model"])
        .arg(dir)
        .args(["--prompt", prompt])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_end_token_outside_the_vocabulary_is_named_where_it_would_be_read() {
    let dir = model("plain", &1_000_000_000.into(), &Value::Null);
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("a.txt"), "The river is long.").unwrap();
    let paths = [("dir", dir.path()), ("out", out.path())];
    boomerang("prune --teacher {dir} --keep 0 --out {out}/student", &paths).unwrap();
    for line in [
        "eval --teacher {dir} --student {out}/student --data {out}/a.txt --out {out}/eval",
        "distill --teacher {dir} --keep 0 --data {out}/a.txt --out {out}/run",
    ] {
        let (sentence, code) = failure(&format!("{line} --device cpu"), &paths);
        assert!(sentence.contains("config.json"), "{sentence}");
        assert!(sentence.contains("\"eos_token_id\" is 1000000000"), "{sentence}");
        assert_eq!(code, 3, "{sentence}");
    }
}

#[test]
fn a_bundle_carries_the_end_tokens_of_generation_config() {
    let dir = model("plain", &0.into(), &serde_json::json!({"eos_token_id": [0, 44]}));
    let out = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path()), ("out", out.path())];
    boomerang("prune --teacher {dir} --keep 0 --out {out}/student", &paths).unwrap();
    let line = "bundle --teacher {dir} --student {out}/student --out {out}/bundle --record 24";
    boomerang(&format!("{line} --prompt a"), &paths).unwrap();
    let manifest = String::from_utf8(read(out.path().join("bundle/manifest.json"))).unwrap();
    let manifest = boomerang_core::bundle::Manifest::from_json(&manifest).unwrap();
    assert_eq!(manifest.end_tokens.as_deref(), Some(&[0, 44][..]));
    assert_eq!(manifest.config().unwrap().end_tokens(), [0, 44]);
    // One written before has the tokens of its config.
    let older = boomerang_core::bundle::Manifest { end_tokens: None, ..manifest.clone() };
    let json = serde_json::to_string(&older).unwrap();
    assert!(!json.contains("end_tokens"));
    let older = boomerang_core::bundle::Manifest::from_json(&json).unwrap();
    assert_eq!(older.config().unwrap().end_tokens(), [0]);
    assert_ne!(older.fingerprint(), manifest.fingerprint());
}

#[test]
fn a_tokenizer_with_more_tokens_than_its_model_is_refused() {
    let dir = model("plain", &0.into(), &Value::Null);
    let path = dir.path().join("tokenizer_config.json");
    let mut tokenizer = read_json(dir.path().join("tokenizer.json"));
    let special = serde_json::json!({"id": 400, "content": "<bos>", "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(special);
    write(dir.path(), "tokenizer.json", &tokenizer);
    let mut config = read_json(&path);
    config["bos_token"] = "<bos>".into();
    write(dir.path(), "tokenizer_config.json", &config);
    let tasks = fixtures().join("lm_eval/tasks");
    let out = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path()), ("out", out.path()), ("tasks", &*tasks)];
    boomerang("prune --teacher {dir} --keep 0 --out {out}/student", &paths).unwrap();
    let line = "eval --teacher {dir} --student {out}/student --tasks awkward --include-path {tasks} \
        --out {out}/eval --device cpu";
    let (sentence, code) = failure(line, &paths);
    assert!(
        sentence.contains("of the texts or questions is outside the model's vocabulary"),
        "{sentence}"
    );
    assert!(sentence.contains("which ends at 351"), "{sentence}");
    assert_eq!(code, 3);
}
