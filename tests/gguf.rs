use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Announced, Conversion, Encoding, Gguf, GgufType, GgufValue, header};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_core::prune::{StudentConfig, Teacher};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_model};
use boomerang_tests::{fixtures, read, read_json, tiny_model};
use expect_test::expect;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The config of a fixture model, with some of its keys changed; null takes a key away.
fn config(folder: &Path, changes: &Value) -> ModelConfig {
    let mut json = read_json(folder.join("config.json"));
    let object = json.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(key);
        } else {
            object.insert(key.clone(), value.clone());
        }
    }
    ModelConfig::from_json(&json.to_string()).unwrap()
}

/// The weight files of a fixture model.
fn weights(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        (name.starts_with("model") && name.ends_with(".safetensors"))
            .then(|| (name.clone(), read(folder.join(name))))
    });
    names.collect()
}

fn checkpoint(files: &[(String, Vec<u8>)]) -> Checkpoint<'_> {
    let files = files.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice()));
    Checkpoint::parse(files).unwrap()
}

#[test]
fn every_architecture_has_the_tensors_that_llama_cpps_conventions_ask_for() {
    let expected = read_json(fixtures().join("gguf/tensors.json"));
    let models = expected.as_object().unwrap();
    assert!(models.len() >= 17, "the fixtures are there");
    for (name, model) in models {
        let folder = fixtures().join(name);
        let files = weights(&folder);
        let checkpoint = checkpoint(&files);
        let config = config(&folder, &model["config"]);
        let conversion = Conversion::new(&checkpoint, &config, Some(Encoding::F32)).unwrap();
        let architecture = conversion.metadata.text("general.architecture").unwrap();
        assert_eq!(architecture, model["architecture"], "{name}");

        let mut left: BTreeMap<&str, &Value> = model["tensors"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, hash)| (&**key, hash))
            .collect();
        for tensor in &conversion.tensors {
            let bytes = tensor.to_bytes().unwrap();
            if let Some(factors) = model["factors"].get(&tensor.name) {
                let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                for (found, expected) in values.zip(factors.as_array().unwrap()) {
                    let expected = expected.as_f64().unwrap();
                    assert!((f64::from(found) / expected - 1.0).abs() < 1e-6, "{name}: {found}");
                }
                continue;
            }
            let hash = &hex(&Sha256::digest(&bytes))[..16];
            match left.remove(tensor.name.as_str()) {
                Some(expected) => assert_eq!(hash, expected, "{} of {name}", tensor.name),
                // A head that is always stored is the embedding of a model that ties them.
                None => assert!(tensor.name == "output.weight" && config.tied, "{}", tensor.name),
            }
        }
        assert!(left.is_empty(), "{name} lacks {left:?}");
    }
}

/// A family whose rows are whole blocks: 6 layers and another model of 4 in the student's place.
fn family_on_disk(tied: bool) -> (tempfile::TempDir, LayerPlan) {
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
fn tensors_are_copied_as_they_are_whatever_they_are_quantised_to() {
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
    let expected =
        "teacher and student do not fit together: qwen3.rope.freq_base is 10000 and 500000";
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
fn a_layer_that_llama_cpp_would_take_for_another_kind_is_refused() {
    let folder = fixtures().join("architectures/gemma2");
    let files = weights(&folder);
    let checkpoint = checkpoint(&files);
    // Layers 0 and 2 have a window, 1 and 3 none; side by side GGUF cannot say so.
    let changes = json!({
        "query_pre_attn_scalar": 10, "num_hidden_layers": 2,
        "layer_types": ["sliding_attention", "sliding_attention"],
    });
    let error = Conversion::new(&checkpoint, &config(&folder, &changes), None).unwrap_err();
    expect![[r#"layer 1 has a window and rotary positions, but llama.cpp goes by its number, by which it has no window and rotary positions; a GGUF file of the architecture gemma2 cannot say otherwise"#]]
        .assert_eq(&error.to_string());
}

#[test]
fn what_gguf_cannot_say_is_refused_by_key_and_value() {
    let refusal = |name: &str, changes: Value| {
        let folder = fixtures().join("architectures").join(name);
        let files = weights(&folder);
        let config = config(&folder, &changes);
        Conversion::new(&checkpoint(&files), &config, None).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("gpt-neox-sequential", json!({})),
        "attention_bias = false cannot be said in a GGUF file of the architecture gptneox; expected \
         true"
    );
    assert_eq!(
        refusal("gemma2", json!({})),
        "query_pre_attn_scalar = 20 cannot be said in a GGUF file of the architecture gemma2; \
         expected 10 for 4 layers"
    );
    assert!(
        refusal("gemma2", json!({"query_pre_attn_scalar": 10, "tie_word_embeddings": false}))
            .contains("use the head policy teacher or student")
    );
    assert!(refusal("llama3-rope", json!({"hidden_act": "relu"})).starts_with("hidden_act = Relu"));
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
    assert_eq!(sentence, "--dtype q8_0 is for GGUF files; add --format gguf");
    assert_eq!(code, 2);
}

#[test]
fn what_is_asked_of_files_must_be_possible_without_converting_them() {
    let dir = files_on_disk();
    let paths = [("dir", dir.path())];
    for option in ["--dtype f16", "--format hf", "--shard-size 1MB"] {
        let line = format!("patch {FILES} --k 1 {option} --out {{dir}}/m.gguf");
        let (sentence, code) = failure(&line, &paths);
        assert!(sentence.contains("with every tensor copied as it is"), "{sentence}");
        assert_eq!(code, 2);
    }
    let line = "patch --teacher {dir}/t.gguf --student {dir}/student --k 1 --out {dir}/m.gguf";
    let (sentence, code) = failure(line, &paths);
    assert!(sentence.contains("boomerang export"), "{sentence}");
    assert_eq!(code, 2);
    let line = format!("patch {FILES} --k 1 --force --out {{dir}}/t.gguf");
    assert!(failure(&line, &paths).0.contains("is an input"));
}

#[test]
fn a_mergekit_recipe_names_the_slices() {
    let (dir, _) = family_on_disk(true);
    let paths = [("dir", dir.path())];
    let line = format!("patch {PARENTS} --k 1 --format mergekit --out {{dir}}/m.yaml");
    boomerang(&line, &paths).unwrap();
    let yaml = String::from_utf8(read(dir.path().join("m.yaml"))).unwrap();
    expect![[r#"
        # 5 layers between DIR/student and DIR/teacher, by boomerang 0.1.0.
        # Warning: the family ties embedding and head: mergekit will use the embedding of the first slice for both, which is not this member where the two ends have different owners.
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
    assert!(sentence.starts_with("--head is not for mergekit"), "{sentence}");
    assert_eq!(code, 2);
}

#[test]
fn a_matrix_keeps_its_format_and_a_vector_is_widened() {
    let folder = fixtures().join("models/llama-untied");
    let files = weights(&folder);
    let checkpoint = checkpoint(&files);
    let conversion = Conversion::new(&checkpoint, &config(&folder, &json!({})), None).unwrap();
    for tensor in &conversion.tensors {
        let expected = if tensor.dims.len() == 1 { Encoding::F32 } else { Encoding::Bf16 };
        assert_eq!(tensor.encoding, expected, "{}", tensor.name);
    }
    let norm = conversion.tensors.iter().find(|tensor| tensor.name == "output_norm.weight");
    let values: Vec<f32> = norm
        .unwrap()
        .to_bytes()
        .unwrap()
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let view = checkpoint.tensor("model.norm.weight").unwrap();
    let stored: Vec<f32> = view
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|&[low, high]| f32::from_bits(u32::from_le_bytes([0, 0, low, high])))
        .collect();
    assert_eq!(values, stored);
}
