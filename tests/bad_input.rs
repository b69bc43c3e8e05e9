use std::fs;
use std::path::Path;

use boomerang_core::checkpoint::{Checkpoint, Precision, StoredAs, model_to_bytes};
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::StudentConfig;
use boomerang_native_trainer::Cli;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model};
use boomerang_tests::{read, tiny_config, tiny_model};
use clap::Parser as _;
use proptest::prelude::*;

/// A teacher and its student, pruned by the command.
fn prepare(dir: &Path) {
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.join("teacher"));
    boomerang("prune --teacher {dir}/teacher --out {dir}/student", &[("dir", dir)]).unwrap();
}

/// Runs `line` in a folder that `spoil` has spoilt; the message and the code.
fn answer(spoil: impl FnOnce(&Path), line: &str) -> (String, u8) {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    spoil(dir.path());
    failure(line, &[("dir", dir.path())])
}

const PATCH: &str = "patch --teacher {dir}/teacher --student {dir}/student --k 1 --out {dir}/out";

#[test]
fn a_missing_model_is_named() {
    let (message, code) = answer(|_| {}, "prune --teacher {dir}/nowhere --out {dir}/out");
    assert!(message.contains("nowhere"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn truncated_weights_are_named() {
    let spoil = |dir: &Path| {
        let path = dir.join("teacher/model.safetensors");
        let bytes = read(&path);
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("model.safetensors is not a safetensors file"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_header_that_promises_too_much_is_refused_at_once() {
    let spoil = |dir: &Path| {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        fs::write(dir.join("teacher/model.safetensors"), bytes).unwrap();
    };
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("model.safetensors"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_config_that_does_not_fit_the_weights_names_the_tensor_and_both_shapes() {
    let spoil = |dir: &Path| {
        let path = dir.join("teacher/config.json");
        let text = String::from_utf8(read(&path)).unwrap();
        fs::write(path, text.replace("\"intermediate_size\": 24", "\"intermediate_size\": 40"))
            .unwrap();
    };
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("[24, 16]") && message.contains("[40, 16]"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn rows_beyond_the_teachers_window_are_refused() {
    let distill = "distill --teacher {dir}/teacher --data {dir}/none.jsonl --seq-len 65 --out {dir}/run \
                   --device cpu";
    let (message, code) = answer(|_| {}, distill);
    assert_eq!(message, "--seq-len 65 exceeds the teacher's context length of 64 tokens");
    assert_eq!(code, 2);
}

#[test]
fn a_micro_batch_that_cannot_fit_is_refused_with_the_bytes_it_needs() {
    let spoil = |dir: &Path| write_ids(&dir.join("data.jsonl"), 3, 16);
    let distill = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 64 \
                   --rows 20000000000 --out {dir}/run --device cpu";
    let (message, code) = answer(spoil, distill);
    assert!(
        message.contains("a step needs about")
            && message.contains("--batch-size")
            && message.contains("--seq-len 64 ("),
        "{message}"
    );
    assert_eq!(code, 4);
}

#[test]
fn numbers_that_would_give_nan_or_do_nothing_are_wrong_usage() {
    let distill = "distill --teacher t --data d --out o";
    for flag in [
        "--lr nan",
        "--lr=-1",
        "--lr 0",
        "--lr inf",
        "--clip nan",
        "--clip=-1",
        "--temperature 0",
        "--temperature nan",
        "--ce-weight=-1",
        "--kl-weight nan",
        "--cosine-weight inf",
        "--weight-decay nan",
        "--weight-decay=-0.1",
        "--seq-len 1",
        "--rows 0",
        "--steps 0",
        "--micro-batches 0",
        "--save-every 0",
        "--stop-after 0",
        "--keep-every 0",
    ] {
        let line = format!("boomerang {distill} {flag}");
        let Err(error) = Cli::try_parse_from(line.split_whitespace()) else {
            panic!("{flag} was accepted")
        };
        assert_eq!(error.exit_code(), 2, "{flag}");
        assert!(error.to_string().contains("expected"), "{flag}: {error}");
    }
}

#[test]
fn a_student_of_another_teacher_of_the_same_shape_is_refused_with_both_fingerprints() {
    let spoil = |dir: &Path| {
        fs::remove_dir_all(dir.join("teacher")).unwrap();
        write_model(&tiny_model(&tiny_config(), 2, &cpu()), &dir.join("teacher"));
    };
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    spoil(dir.path());
    write_ids(&dir.path().join("data.jsonl"), 3, 16);
    let (family, data) = ("--teacher {dir}/teacher --student {dir}/student", "{dir}/data.jsonl");
    for line in [
        PATCH.to_owned(),
        format!("eval {family} --data {data} --out {{dir}}/out --device cpu"),
        format!("search {family} --calibration {data} --out {{dir}}/out --device cpu"),
        format!("analyze {family} --calibration {data} --out {{dir}}/out --device cpu"),
        format!("distill {family} --data {data} --out {{dir}}/out --device cpu --seq-len 8"),
    ] {
        let (message, code) = failure(&line, &[("dir", dir.path())]);
        assert!(message.contains("was made from another teacher"), "{line}: {message}");
        assert!(message.contains("--allow-mismatch"), "{message}");
        assert_eq!(code, 3);
    }
    boomerang(&format!("{PATCH} --allow-mismatch"), &[("dir", dir.path())]).unwrap();
}

#[test]
fn teacher_and_student_with_different_tokenizers_are_refused() {
    let spoil = |dir: &Path| {
        let tokenizer = |vocabulary: &str| format!("{{\"model\": {{\"vocab\": {vocabulary}}}}}");
        fs::write(dir.join("teacher/tokenizer.json"), tokenizer("{\"a\": 0}")).unwrap();
        fs::write(dir.join("student/tokenizer.json"), tokenizer("{\"a\": 1}")).unwrap();
    };
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("different tokenizers"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_recipe_whose_parent_has_other_weights_now_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let recipe = "patch --teacher {dir}/teacher --student {dir}/student --k 1 --format recipe --out \
                  {dir}/m.json";
    boomerang(recipe, &[("dir", dir.path())]).unwrap();
    write_model(&tiny_model(&tiny_config(), 2, &cpu()), &dir.path().join("teacher"));
    let (message, code) = failure("export {dir}/m.json --out {dir}/m.gguf", &[("dir", dir.path())]);
    assert!(message.contains("has changed since") && message.contains("weights"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_student_of_another_teacher_is_refused_with_the_number_that_differs() {
    let spoil = |dir: &Path| {
        let config = serde_json::to_value(tiny_config().to_json()).unwrap();
        let config = config.as_str().unwrap().replace("\"vocab_size\": 31", "\"vocab_size\": 37");
        let config = boomerang_core::config::ModelConfig::from_json(&config).unwrap();
        fs::remove_dir_all(dir.join("teacher")).unwrap();
        write_model(&tiny_model(&config, 1, &cpu()), &dir.join("teacher"));
    };
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("student") && message.contains("vocab_size 37 and 31"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_student_without_its_plan_is_answered_with_what_to_do() {
    let spoil = |dir: &Path| fs::remove_file(dir.join("student/student_config.json")).unwrap();
    let (message, code) = answer(spoil, PATCH);
    assert!(message.contains("student_config.json"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_result_is_not_overwritten_without_force() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    prepare(dir.path());
    boomerang(PATCH, &paths).unwrap();
    let before = read(dir.path().join("out/model.safetensors"));
    let other = PATCH.replace("--k 1", "--k 0");
    let (message, code) = failure(&other, &paths);
    assert!(message.contains("--force"), "{message}");
    assert_eq!(code, 2);
    assert!(read(dir.path().join("out/model.safetensors")) == before);
    boomerang(&format!("{other} --force"), &paths).unwrap();
    assert!(read(dir.path().join("out/model.safetensors")) != before);
}

#[test]
fn a_failing_command_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    fs::write(dir.path().join("student/model.safetensors"), b"broken").unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    failure(PATCH, &[("dir", dir.path())]);
    assert_eq!(names(), before);
}

#[test]
fn data_with_a_token_the_model_does_not_have_is_refused() {
    let spoil = |dir: &Path| {
        fs::write(dir.join("data.jsonl"), "{\"input_ids\": [1, 99]}\n").unwrap();
    };
    let line =
        "distill --teacher {dir}/teacher --data {dir}/data.jsonl --out {dir}/run --device cpu";
    let (message, code) = answer(spoil, line);
    assert!(message.contains("token 99") && message.contains("30"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_broken_line_of_data_is_named() {
    let spoil = |dir: &Path| {
        write_ids(&dir.join("data.jsonl"), 2, 4);
        let mut text = String::from_utf8(read(dir.join("data.jsonl"))).unwrap();
        text.push_str("{\"txet\": 1}\n");
        fs::write(dir.join("data.jsonl"), text).unwrap();
    };
    let line =
        "distill --teacher {dir}/teacher --data {dir}/data.jsonl --out {dir}/run --device cpu";
    let (message, code) = answer(spoil, line);
    assert!(message.contains("data.jsonl, line 3, column 1: expected \"text\""), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn a_rule_that_makes_no_student_is_a_matter_of_usage() {
    let line = "prune --teacher {dir}/teacher --keep 1,2 --out {dir}/out";
    let (message, code) = answer(|_| {}, line);
    assert!(message.contains("first kept layer is 1"), "{message}");
    assert_eq!(code, 2);
}

proptest! {
    #[test]
    fn no_bytes_make_the_checkpoint_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(checkpoint) = Checkpoint::parse([("x".to_owned(), bytes.as_slice())]) {
            prop_assert!(checkpoint.read_model(&tiny_config(), &cpu()).is_err());
        }
    }

    #[test]
    fn no_change_of_one_byte_makes_the_model_reader_panic(
        place in 0.0..1.0_f64,
        byte in any::<u8>(),
        stored_as in prop::sample::select(vec![StoredAs::Q8_0, Precision::F16.into()]),
    ) {
        let model = tiny_model(&tiny_config(), 1, &cpu());
        let mut bytes = model_to_bytes(&model, stored_as).unwrap();
        // The header is where a byte can do harm.
        let place = (place * 3000.0) as usize;
        bytes[place] = byte;
        if let Ok(checkpoint) = Checkpoint::parse([("x".to_owned(), bytes.as_slice())]) {
            let _ = checkpoint.read_model(&tiny_config(), &cpu());
        }
    }

    #[test]
    fn no_student_config_makes_the_parser_panic(
        pruned in prop::collection::vec(0..12_usize, 0..8),
        copied in prop::collection::vec(0..12_usize, 0..8),
    ) {
        let json = serde_json::json!({
            "pruned_teacher_layers": pruned,
            "copied_teacher_layers": copied,
        });
        if let Ok(plan) = StudentConfig::plan_from_json(&json.to_string()) {
            prop_assert_eq!(plan.kept(), copied);
        }
    }

    #[test]
    fn blocks_cover_the_teacher(kept in prop::collection::btree_set(1..48_usize, 0..20)) {
        let kept: Vec<usize> = [0].into_iter().chain(kept).collect();
        let plan = LayerPlan::keep(&kept, 48).unwrap();
        let covered: Vec<usize> = (0..kept.len()).flat_map(|layer| plan.block(layer)).collect();
        prop_assert_eq!(covered, (0..48).collect::<Vec<_>>());
    }
}
