use std::fs;
use std::path::{Path, PathBuf};

use boomerang_core::evaluate::{Examination, MaskedText, PrefixTree, Stack};
use boomerang_core::model::{AttentionMask, LanguageModel};
use boomerang_core::plan::{LayerPlan, PatchOrder};
use boomerang_core::prune::{Family, Student, StudentConfig, Teacher};
use boomerang_core::tokenizer::Tokenizer;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{
    block_on, fixture_tensor, fixtures, ids, read, read_json, relative_difference, values,
};
use burn::tensor::{Int, Tensor};

const TOLERANCE: f32 = 1e-4;

fn bert() -> PathBuf {
    fixtures().join("architectures/bert")
}

fn distilbert() -> PathBuf {
    fixtures().join("architectures/distilbert")
}

fn plan() -> LayerPlan {
    let kept = read_json(fixtures().join("masked/expected.json"))["kept"].clone();
    LayerPlan::keep(&serde_json::from_value::<Vec<usize>>(kept).unwrap(), 6).unwrap()
}

/// DistilBERT as a student of BERT.
fn family() -> Family {
    let teacher = Teacher::new(ModelFolder::open(&bert()).unwrap().model(&cpu()).unwrap());
    let student = ModelFolder::open(&distilbert()).unwrap().model(&cpu()).unwrap();
    Family::new(teacher, Student::new(student, plan()).unwrap()).unwrap()
}

/// Copies of both fixtures as a user has them, the student with a plan and both with a tokenizer.
fn folders(dir: &Path) {
    for (from, name) in [(bert(), "teacher"), (distilbert(), "student")] {
        let folder = dir.join(name);
        fs::create_dir(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(from.join(file), folder.join(file)).unwrap();
        }
        fs::copy(fixtures().join("masked/tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    }
    let config = StudentConfig::of(&plan()).to_json();
    fs::write(dir.join("student/student_config.json"), config).unwrap();
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let file = read(fixtures().join("masked/logits.safetensors"));
    let (_, tokens) = fixture_tensor(&file, "input_ids");
    let tokens: Vec<u32> = tokens.into_iter().map(|token| token as u32).collect();
    let valid = Tensor::<2, Int>::ones([1, tokens.len()], &cpu());
    values(model.trace(ids(&tokens, &cpu()), &AttentionMask::both_ways(valid)).logits)
}

fn expected_logits(n_layers: usize) -> Vec<f32> {
    let file = read(fixtures().join("masked/logits.safetensors"));
    fixture_tensor(&file, &format!("logits.{n_layers}")).1
}

#[test]
fn distilbert_patched_with_layers_of_bert_agrees_with_transformers() {
    let family = family();
    let path = PatchOrder::Last.path(family.plan()).unwrap();
    for (patch, n_layers) in path.iter().zip([3, 5, 6]) {
        let member = family.member(patch);
        assert_eq!(member.n_layers(), n_layers);
        let difference = relative_difference(&logits(&member), &expected_logits(n_layers));
        assert!(difference <= TOLERANCE, "{n_layers} layers: {difference}");
    }
}

#[test]
fn a_written_size_between_distilbert_and_bert_is_a_distilbert_with_the_same_logits() {
    let dir = tempfile::tempdir().unwrap();
    folders(dir.path());
    boomerang(
        "patch --teacher {dir}/teacher --student {dir}/student --layers 5 --out {dir}/out",
        &[("dir", dir.path())],
    )
    .unwrap();
    let written = ModelFolder::open(&dir.path().join("out")).unwrap();
    assert_eq!(written.config().traits().model_type, "distilbert");
    assert!(!written.config().tied, "the head is the teacher's, the embedding the student's");
    let difference =
        relative_difference(&logits(&written.model(&cpu()).unwrap()), &expected_logits(5));
    assert!(difference <= TOLERANCE, "{difference}");
    boomerang("verify {dir}/out", &[("dir", dir.path())]).unwrap();
}

#[test]
fn every_size_has_the_pseudo_perplexity_of_transformers() {
    let tokenizer = Tokenizer::from_json(&read(fixtures().join("masked/tokenizer.json"))).unwrap();
    let file = String::from_utf8(read(fixtures().join("masked/texts.txt"))).unwrap();
    let texts: Vec<MaskedText> = file
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (tokens, is_special) = tokenizer.encode_marked(line).unwrap();
            MaskedText { tokens, is_special, n_bytes: line.len() }
        })
        .collect();
    let examination = Examination::masked(&texts, tokenizer.id("[MASK]").unwrap(), 64);

    let family = family();
    let path = PatchOrder::Last.path(family.plan()).unwrap();
    let stacks: Vec<Stack> =
        path.iter().map(|patch| Stack::new(&family.plan().recipe(patch), 0, 1)).collect();
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(&stacks);
    // Batches of one text and of all give the same, because nobody sees padding.
    for tokens_per_batch in [1, 4096] {
        let scores =
            block_on(examination.score(&models, &tree, tokens_per_batch, &mut |_| {})).unwrap();
        let expected = read_json(fixtures().join("masked/expected.json"));
        for (score, expected) in scores.iter().zip(expected["members"].as_array().unwrap()) {
            let found = score.perplexity.unwrap();
            assert_eq!(found.n_tokens as u64, expected["n_tokens"].as_u64().unwrap());
            let difference =
                (found.nats_per_token - expected["nats_per_token"].as_f64().unwrap()).abs();
            assert!(difference <= 1e-5, "{expected}: {difference}");
        }
    }
}

#[test]
fn a_masked_family_is_measured_by_the_command() {
    let dir = tempfile::tempdir().unwrap();
    folders(dir.path());
    let texts = fixtures().join("masked/texts.txt");
    boomerang(
        "eval --teacher {dir}/teacher --student {dir}/student --data {texts} --out {dir}/eval \
         --device cpu",
        &[("dir", dir.path()), ("texts", &texts)],
    )
    .unwrap();
    let csv = String::from_utf8(read(dir.path().join("eval/curve.csv"))).unwrap();
    assert!(csv.contains("boomerang") && csv.contains("5.45"), "{csv}");
}

#[test]
fn a_masked_model_is_not_asked_to_continue_a_text() {
    let dir = tempfile::tempdir().unwrap();
    folders(dir.path());
    let line = "generate --model {dir}/teacher --prompt w5 --device cpu";
    let (message, _) = failure(line, &[("dir", dir.path())]);
    assert!(message.contains("cannot generate text"), "{message}");
}
