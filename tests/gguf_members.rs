use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Announced, Gguf, GgufType, GgufValue, header};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_core::prune::{StudentConfig, Teacher};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_model};
use boomerang_tests::{read, read_json, tiny_model};
use expect_test::expect;
use serde_json::json;

/// A family whose rows are whole blocks: 6 layers and another model of 4 in the student's place.
pub(crate) fn family_on_disk(tied: bool) -> (tempfile::TempDir, LayerPlan) {
    let config = json!({
        "model_type": "qwen3", "vocab_size": 31, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "tie_word_embeddings": tied,
        "eos_token_id": 2,
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    let plan = LayerPlan::by_rule(KeepRule::default(), 6).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let teacher = Teacher::new(tiny_model(&config, 1, &cpu()));
    write_model(teacher.model(), &dir.path().join("teacher"));
    let student = tiny_model(&config.keeping(&plan.kept()), 2, &cpu());
    write_model(&student, &dir.path().join("student"));
    let json = StudentConfig::of(&plan).to_json();
    fs::write(dir.path().join("student/student_config.json"), json).unwrap();
    (dir, plan)
}

/// Tensors of a file by name: dimensions, type, bytes.
type Tensors = BTreeMap<String, (Vec<usize>, GgufType, Vec<u8>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = read(path);
    let file = Gguf::parse(&bytes).unwrap();
    let tensors = file.tensors().iter().map(|tensor| {
        let value = (tensor.dims.clone(), tensor.kind, tensor.data.to_vec());
        (tensor.name.clone().into_owned(), value)
    });
    tensors.collect()
}

const PARENTS: &str = "--teacher {dir}/teacher --student {dir}/student --order last";
const FILES: &str = "--teacher {dir}/t.gguf --student {dir}/s.gguf --order last";

#[test]
fn members_of_two_files_are_the_members_of_their_folders() {
    for (tied, dtype) in [(true, "f32"), (false, "q8_0"), (true, "q4_0"), (true, "bf16")] {
        let (dir, _) = family_on_disk(tied);
        let paths = [("dir", dir.path())];
        for (model, file) in [("teacher", "t"), ("student", "s")] {
            let line = format!("export {{dir}}/{model} --dtype {dtype} --out {{dir}}/{file}.gguf");
            boomerang(&line, &paths).unwrap();
        }
        let line = format!("patch {PARENTS} --all --format gguf --dtype {dtype} --out {{dir}}/a");
        boomerang(&line, &paths).unwrap();
        boomerang(&format!("patch {FILES} --all --out {{dir}}/b"), &paths).unwrap();
        for n_layers in 4..=6 {
            let path = |folder: &str| dir.path().join(format!("{folder}/layers-0{n_layers}.gguf"));
            assert!(tensors(&path("a")) == tensors(&path("b")), "{n_layers} layers, {dtype}");
            let bytes = [read(path("a")), read(path("b"))];
            let [ours, theirs] = [0, 1].map(|place| Gguf::parse(&bytes[place]).unwrap());
            for (key, value) in ours.metadata.iter().filter(|entry| entry.0 != "general.name") {
                assert_eq!(theirs.metadata.get(key), Some(value), "{key}");
            }
            // Both ends of the member between belong to different parents.
            assert_eq!(ours.tensor("output.weight").is_some(), !tied || n_layers == 5);
        }
    }
}

#[test]
fn tensors_are_copied_as_they_are_whatever_they_are_quantized_to() {
    let (dir, _) = family_on_disk(true);
    let paths = [("dir", dir.path())];
    boomerang("export {dir}/teacher --dtype q4_0 --out {dir}/t.gguf", &paths).unwrap();
    boomerang("export {dir}/student --dtype q8_0 --out {dir}/s.gguf", &paths).unwrap();
    boomerang(&format!("patch {FILES} --patched 3 --out {{dir}}/m.gguf"), &paths).unwrap();
    let [teacher, student, member] =
        ["t", "s", "m"].map(|name| tensors(&dir.path().join(format!("{name}.gguf"))));
    assert!(member["blk.0.ffn_up.weight"] == student["blk.0.ffn_up.weight"]);
    assert!(member["blk.3.ffn_up.weight"] == teacher["blk.5.ffn_up.weight"]);
    assert_eq!(member["blk.0.ffn_up.weight"].1, GgufType::Q8_0);
    assert_eq!(member["blk.3.ffn_up.weight"].1, GgufType::Q4_0);
    // Embedding by the student, which has the first layer; head by the teacher, which has the last.
    assert!(member["token_embd.weight"] == student["token_embd.weight"]);
    assert!(member["output.weight"] == teacher["token_embd.weight"]);
    assert!(member["output_norm.weight"] == teacher["output_norm.weight"]);
}

/// The file with another value under a key, or without it.
fn change(path: &Path, key: &str, value: Option<GgufValue<'static>>) {
    let bytes = read(path);
    let file = Gguf::parse(&bytes).unwrap();
    let mut metadata = file.metadata.clone();
    match value {
        Some(value) => metadata.set(key, value),
        None => metadata.retain(|other| other != key),
    }
    let announced = file.tensors().iter().map(|tensor| Announced {
        name: &tensor.name,
        dims: &tensor.dims,
        kind: tensor.kind,
        n_bytes: tensor.data.len(),
    });
    let mut changed = header(&metadata, announced);
    for tensor in file.tensors() {
        changed.extend(tensor.data);
        changed.resize(changed.len().next_multiple_of(32), 0);
    }
    fs::write(path, changed).unwrap();
}

/// Teacher and student of a family as `t.gguf` and `s.gguf`.
fn files_on_disk() -> tempfile::TempDir {
    let (dir, _) = family_on_disk(true);
    for (model, file) in [("teacher", "t"), ("student", "s")] {
        let line = format!("export {{dir}}/{model} --out {{dir}}/{file}.gguf");
        boomerang(&line, &[("dir", dir.path())]).unwrap();
    }
    dir
}

#[test]
fn files_that_compute_differently_are_refused_with_the_key_and_both_values() {
    let dir = files_on_disk();
    let file = dir.path().join("s.gguf");
    change(&file, "qwen3.rope.freq_base", Some(GgufValue::F32(5e5)));
    let line = format!("patch {FILES} --k 1 --out {{dir}}/m.gguf");
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    let expected = "teacher and student are incompatible: qwen3.rope.freq_base is 10000 and 500000";
    assert!(sentence.ends_with(expected), "{sentence}");
    assert_eq!(code, 3);
}

#[test]
fn a_default_that_is_left_out_is_no_difference() {
    let dir = files_on_disk();
    for key in ["qwen3.rope.freq_base", "qwen3.attention.key_length", "qwen3.vocab_size"] {
        change(&dir.path().join("t.gguf"), key, None);
    }
    let line = format!("patch {FILES} --k 1 --out {{dir}}/m.gguf");
    boomerang(&line, &[("dir", dir.path())]).unwrap();
}

#[test]
fn kept_layers_stand_in_for_a_plan() {
    let dir = files_on_disk();
    let paths = [("dir", dir.path())];
    for key in ["copied", "pruned"] {
        change(&dir.path().join("s.gguf"), &format!("boomerang.{key}_teacher_layers"), None);
    }
    fs::remove_file(dir.path().join("student/student_config.json")).unwrap();
    let (sentence, code) = failure(&format!("patch {FILES} --k 1 --out {{dir}}/m.gguf"), &paths);
    assert!(sentence.ends_with("name them with --kept"), "{sentence}");
    assert_eq!(code, 3);
    let kept = "--kept 0,2,4,5 --k 1";
    boomerang(&format!("patch {FILES} {kept} --out {{dir}}/m.gguf"), &paths).unwrap();
    boomerang(&format!("patch {PARENTS} {kept} --out {{dir}}/m"), &paths).unwrap();
    assert_eq!(read_json(dir.path().join("m/config.json"))["num_hidden_layers"], 5);
    assert!(tensors(&dir.path().join("m.gguf")).contains_key("blk.4.attn_q.weight"));
}

#[test]
fn layers_with_values_of_their_own_keep_them() {
    let dir = files_on_disk();
    let lengths = |values: &[u32]| {
        let array = boomerang_core::gguf::GgufArray::of_u32(values.iter().copied());
        Some(GgufValue::Array(array))
    };
    let key = "qwen3.feed_forward_length";
    change(&dir.path().join("t.gguf"), key, lengths(&[64, 65, 66, 67, 68, 69]));
    change(&dir.path().join("s.gguf"), key, lengths(&[10, 11, 12, 13]));
    let line = format!("patch {FILES} --patched 2,3 --out {{dir}}/m.gguf");
    boomerang(&line, &[("dir", dir.path())]).unwrap();
    let bytes = read(dir.path().join("m.gguf"));
    let member = Gguf::parse(&bytes).unwrap();
    let found = member.metadata.get(key).unwrap().as_array().unwrap().sizes().unwrap();
    assert_eq!(found, [10, 11, 68, 69]);
    assert_eq!(member.metadata.size("qwen3.block_count"), Some(4));
}

#[test]
fn a_student_in_a_file_tells_its_plan_and_a_member_its_recipe() {
    let dir = files_on_disk();
    let paths = [("dir", dir.path())];
    boomerang(&format!("patch {FILES} --k 1 --out {{dir}}/m.gguf"), &paths).unwrap();
    let bytes = read(dir.path().join("s.gguf"));
    let student = Gguf::parse(&bytes).unwrap();
    let layers = |key: &str| {
        let key = format!("boomerang.{key}_teacher_layers");
        student.metadata.get(&key).unwrap().as_array().unwrap().sizes().unwrap()
    };
    assert_eq!((layers("copied"), layers("pruned")), (vec![0, 2, 4, 5], vec![1, 3]));
    let bytes = read(dir.path().join("m.gguf"));
    let member = Gguf::parse(&bytes).unwrap();
    expect![[r#"{"embedding":"student","layers":[{"student":0},{"teacher":2},{"teacher":3},{"teacher":4},{"teacher":5}],"head":"teacher"}"#]]
        .assert_eq(member.metadata.text("boomerang.recipe").unwrap());
    assert!(member.metadata.get("boomerang.copied_teacher_layers").is_none());
    boomerang("inspect {dir}/m.gguf", &paths).unwrap();
    boomerang("inspect {dir}/s.gguf --json", &paths).unwrap();
}

#[test]
fn a_gguf_member_verifies_until_a_byte_of_it_changes() {
    let dir = files_on_disk();
    let paths = [("dir", dir.path())];
    for (parents, options) in [(PARENTS, "--format gguf --dtype q8_0"), (FILES, "")] {
        let file = dir.path().join("m.gguf");
        let line = format!("patch {parents} --k 1 {options} --force --out {{dir}}/m.gguf");
        boomerang(&line, &paths).unwrap();
        let line = format!("verify {{dir}}/m.gguf {parents}").replace(" --order last", "");
        boomerang(&line, &paths).unwrap();
        let mut bytes = read(&file);
        let place = bytes.len() - 64;
        bytes[place] ^= 1;
        fs::write(&file, bytes).unwrap();
        let (sentence, code) = failure(&line, &paths);
        assert!(sentence.contains("differs from its parent's"), "{sentence}");
        assert_eq!(code, 8);
    }
}

#[test]
fn formats_without_an_exact_encoder_are_refused_with_what_to_do() {
    let (dir, _) = family_on_disk(true);
    let paths = [("dir", dir.path())];
    let line = "export {dir}/teacher --dtype q4_k_m --out {dir}/m.gguf";
    let (sentence, _) = failure(line, &paths);
    assert!(sentence.contains("run llama.cpp's llama-quantize on the file"), "{sentence}");
    let (sentence, code) =
        failure(&format!("patch {PARENTS} --k 1 --dtype q8_0 --out {{dir}}/m"), &paths);
    assert_eq!(sentence, "--dtype q8_0 is only available in GGUF files; add --format gguf");
    assert_eq!(code, 2);
}

#[test]
fn what_is_asked_of_files_must_be_possible_without_converting_them() {
    let dir = files_on_disk();
    let paths = [("dir", dir.path())];
    for option in ["--dtype f16", "--shard-size 1MB"] {
        let line = format!("patch {FILES} --k 1 {option} --out {{dir}}/m.gguf");
        let (sentence, code) = failure(&line, &paths);
        assert!(sentence.contains("with every tensor copied unchanged"), "{sentence}");
        assert_eq!(code, 2);
    }
    // A folder, and a file beside a folder, are made of numbers.
    let folders = [
        ("patch --teacher {dir}/t.gguf --student {dir}/s.gguf --format hf", "a"),
        ("patch --teacher {dir}/t.gguf --student {dir}/student", "b"),
        ("patch --teacher {dir}/teacher --student {dir}/student --dtype f32", "c"),
    ];
    for (line, out) in folders {
        boomerang(&format!("{line} --order last --k 1 --out {{dir}}/{out}"), &paths).unwrap();
    }
    let [a, b, c] =
        ["a", "b", "c"].map(|name| read(dir.path().join(name).join("model.safetensors")));
    assert!(a == b && a == c);
    let line = format!("patch {FILES} --k 1 --force --out {{dir}}/t.gguf");
    assert!(failure(&line, &paths).0.contains("is the input"));
}

#[test]
fn a_mergekit_recipe_names_the_slices() {
    let (dir, _) = family_on_disk(true);
    let paths = [("dir", dir.path())];
    let line = format!("patch {PARENTS} --k 1 --format mergekit --out {{dir}}/m.yaml");
    boomerang(&line, &paths).unwrap();
    let yaml = String::from_utf8(read(dir.path().join("m.yaml"))).unwrap();
    expect![[r#"
        # Written by Boomerang 0.1.0: 5 layers between DIR/student and DIR/teacher.
        # Warning: the family ties embedding and head: mergekit will use the embedding of the first slice for both, which is another model where embedding and head come from different models.
        merge_method: passthrough
        dtype: float32
        slices:
          - sources:
              - model: "DIR/student"
                layer_range: [0, 1]
          - sources:
              - model: "DIR/teacher"
                layer_range: [2, 6]
    "#]]
    .assert_eq(&yaml.replace(&*dir.path().to_string_lossy(), "DIR"));
}

#[test]
fn a_mergekit_recipe_of_a_family_without_a_tie_has_no_warning() {
    let (dir, _) = family_on_disk(false);
    let paths = [("dir", dir.path())];
    boomerang(&format!("patch {PARENTS} --all --format mergekit --out {{dir}}/m"), &paths).unwrap();
    let yaml = String::from_utf8(read(dir.path().join("m/layers-04.yaml"))).unwrap();
    assert!(!yaml.contains("Warning"), "{yaml}");
    let line =
        format!("patch {PARENTS} --k 1 --format mergekit --head teacher --out {{dir}}/m.yaml");
    let (sentence, code) = failure(&line, &paths);
    assert!(sentence.starts_with("--head is not supported for mergekit"), "{sentence}");
    assert_eq!(code, 2);
}
