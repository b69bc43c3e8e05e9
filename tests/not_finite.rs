use std::fs;
use std::path::Path;

use boomerang_core::bundle::BundleFile;
use boomerang_core::checkpoint::{
    Checkpoint, CheckpointError, Precision, StoredAs, model_to_bytes, n_not_finite,
    tensors_to_bytes,
};
use boomerang_core::gguf::{Encoding, Gguf};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_planned_family};
use boomerang_tests::{read, read_json, tiny_config, tiny_model};
use proptest::prelude::*;

use crate::gguf_members::family_on_disk;

const TENSOR: &str = "model.layers.1.mlp.up_proj.weight";

/// Writes values of a stored f32 tensor, from its start on.
fn overwrite(weights: &Path, tensor: &str, values: impl IntoIterator<Item = f32>) {
    let mut bytes = read(weights);
    let start = {
        let file = Checkpoint::parse([("weights".to_owned(), &*bytes)]).unwrap();
        file.tensor(tensor).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize
    };
    for (number, value) in values.into_iter().enumerate() {
        bytes[start + 4 * number..][..4].copy_from_slice(&value.to_le_bytes());
    }
    fs::write(weights, bytes).unwrap();
}

/// The tiny family, with these values at the start of a tensor of the student.
fn family_with(values: impl IntoIterator<Item = f32>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    write_ids(&dir.path().join("data.jsonl"), 4, 12);
    overwrite(&dir.path().join("student/model.safetensors"), TENSOR, values);
    dir
}

const FAMILY: &str = "--teacher {dir}/teacher --student {dir}/student --order last";

#[test]
fn a_student_with_one_nan_is_refused_by_every_command_that_reads_it() {
    let dir = family_with([0.5, f32::NAN]);
    for line in [
        &format!("search {FAMILY} --calibration {{dir}}/data.jsonl --out {{dir}}/out --device cpu"),
        &format!(
            "patch {FAMILY} --params 100000 --calibration {{dir}}/data.jsonl --out {{dir}}/out \
             --device cpu"
        ),
        &format!("patch {FAMILY} --k 0 --out {{dir}}/out"),
        &format!("patch {FAMILY} --k 0 --dtype bf16 --out {{dir}}/out"),
        &format!("patch {FAMILY} --k 0 --format gguf --out {{dir}}/out.gguf"),
        &format!("eval {FAMILY} --data {{dir}}/data.jsonl --out {{dir}}/out --device cpu"),
        &format!(
            "eval {FAMILY} --data {{dir}}/data.jsonl --memory stream --out {{dir}}/out --device cpu"
        ),
        "analyze --teacher {dir}/teacher --student {dir}/student --calibration {dir}/data.jsonl \
         --out {dir}/out --device cpu",
        "trace --model {dir}/student --ids 1,2 --out {dir}/out --device cpu",
        "export {dir}/student --out {dir}/out.gguf",
        "prune --teacher {dir}/student --keep 0,1 --out {dir}/out",
    ] {
        let (sentence, code) = failure(line, &[("dir", dir.path())]);
        assert!(sentence.contains(TENSOR), "{line}: {sentence}");
        assert!(sentence.contains("holds 1 value that is NaN or infinite"), "{line}: {sentence}");
        assert_eq!(code, 3, "{line}: {sentence}");
        assert!(
            !dir.path().join("out").exists() && !dir.path().join("out.gguf").exists(),
            "{line}"
        );
    }
}

#[test]
fn a_written_size_with_a_nan_is_not_verified() {
    let dir = family_with([]);
    let paths = [("dir", dir.path())];
    boomerang(&format!("patch {FAMILY} --k 0 --out {{dir}}/m"), &paths).unwrap();
    boomerang("verify {dir}/m", &paths).unwrap();
    let weights = dir.path().join("m/model.safetensors");
    overwrite(&weights, TENSOR, [f32::NAN]);
    // As if it had been written so.
    let recipe = dir.path().join("m/recipe.json");
    let mut json = read_json(&recipe);
    let hash = BundleFile::of(String::new(), &read(&weights)).sha256;
    json["files"]["model.safetensors"] = hash.into();
    fs::write(&recipe, json.to_string()).unwrap();
    let (sentence, code) = failure("verify {dir}/m", &paths);
    assert!(sentence.contains(TENSOR), "{sentence}");
    assert_eq!(code, 8);
}

#[test]
fn finite_weights_whose_states_overflow_name_the_member_and_rank_nowhere() {
    // Times 3e38 any state is infinite.
    let dir = family_with(vec![3e38; 24 * 16]);
    for line in [
        &format!("search {FAMILY} --calibration {{dir}}/data.jsonl --out {{dir}}/out --device cpu"),
        &format!(
            "patch {FAMILY} --params 100000 --calibration {{dir}}/data.jsonl --out {{dir}}/out \
             --device cpu"
        ),
        &format!("eval {FAMILY} --data {{dir}}/data.jsonl --out {{dir}}/out --device cpu"),
        "analyze --teacher {dir}/teacher --student {dir}/student --calibration {dir}/data.jsonl \
         --out {dir}/out --device cpu",
        "trace --model {dir}/student --ids 1,2 --out {dir}/out --device cpu",
    ] {
        let (sentence, code) = failure(line, &[("dir", dir.path())]);
        assert!(sentence.contains("not finite"), "{line}: {sentence}");
        assert_eq!(code, 3, "{line}: {sentence}");
        assert!(!dir.path().join("out").exists(), "{line}");
    }
    let line = format!("search {FAMILY} --calibration {{dir}}/data.jsonl --out {{dir}}/out");
    let (sentence, _) = failure(&format!("{line} --device cpu"), &[("dir", dir.path())]);
    assert!(sentence.contains("of the student are not finite"), "{sentence}");
    let line = format!("eval {FAMILY} --data {{dir}}/data.jsonl --out {{dir}}/out --device cpu");
    let (sentence, _) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("of the member boomerang-0"), "{sentence}");
}

#[test]
fn a_written_size_whose_logits_overflow_is_not_verified() {
    let dir = family_with(vec![3e38; 24 * 16]);
    let paths = [("dir", dir.path())];
    boomerang(&format!("patch {FAMILY} --k 0 --out {{dir}}/m"), &paths).unwrap();
    let (sentence, code) = failure("verify {dir}/m", &paths);
    assert!(sentence.contains("the logits of the model are not finite"), "{sentence}");
    assert_eq!(code, 8);
}

#[test]
fn a_value_too_large_for_the_format_asked_for_is_refused_by_its_tensor() {
    let dir = family_with([1e5, 1.0, -3e7]);
    for (line, n_too_large, format) in [
        (format!("patch {FAMILY} --k 0 --dtype f16 --out {{dir}}/out"), 2, "f16"),
        ("export {dir}/student --dtype f16 --out {dir}/out.gguf".to_owned(), 2, "f16"),
    ] {
        let (sentence, code) = failure(&line, &[("dir", dir.path())]);
        let expected = format!("{TENSOR:?} holds {n_too_large} values too large for {format}");
        assert!(sentence.contains(&expected), "{line}: {sentence}");
        assert!(sentence.contains("up to 3e7") && sentence.contains("use bf16"), "{sentence}");
        assert_eq!(code, 3);
        assert!(
            !dir.path().join("out").exists() && !dir.path().join("out.gguf").exists(),
            "{line}"
        );
    }
    boomerang(
        &format!("patch {FAMILY} --k 0 --dtype bf16 --out {{dir}}/m"),
        &[("dir", dir.path())],
    )
    .unwrap();
}

#[test]
fn a_block_of_a_gguf_parent_with_an_infinite_scale_is_not_copied() {
    let (dir, _) = family_on_disk(true);
    let paths = [("dir", dir.path())];
    boomerang("export {dir}/teacher --dtype q8_0 --out {dir}/t.gguf", &paths).unwrap();
    boomerang("export {dir}/student --dtype q8_0 --out {dir}/s.gguf", &paths).unwrap();
    let path = dir.path().join("s.gguf");
    let mut bytes = read(&path);
    let name = "blk.0.ffn_up.weight";
    let start = {
        let file = Gguf::parse(&bytes).unwrap();
        file.tensor(name).unwrap().data.as_ptr() as usize - bytes.as_ptr() as usize
    };
    // The scale of the second block.
    bytes[start + 34..start + 36].copy_from_slice(&0x7c00_u16.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let line = "patch --teacher {dir}/t.gguf --student {dir}/s.gguf --order last --patched 3 --out \
                {dir}/m.gguf";
    let (sentence, code) = failure(line, &paths);
    assert!(
        sentence.contains(name) && sentence.contains("holds 32 values that are NaN"),
        "{sentence}"
    );
    assert_eq!(code, 3);
    assert!(!dir.path().join("m.gguf").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_finite_or_refused(
        values in prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 64),
        scale in prop::sample::select(vec![1.0_f32, 1e-30, 1e30]),
    ) {
        let values: Vec<f32> = values.into_iter().map(|value| value * scale).collect();
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let tensor = ("t".to_owned(), vec![2, 32], values.clone());
            match tensors_to_bytes(vec![tensor], precision) {
                Ok(bytes) => {
                    let file = Checkpoint::parse([("t".to_owned(), &*bytes)]).unwrap();
                    let view = file.tensor("t").unwrap();
                    prop_assert_eq!(n_not_finite(view.dtype(), view.data()), 0);
                }
                Err(error) => prop_assert!(error.to_string().contains("\"t\" holds"), "{error}"),
            }
        }
        for encoding in Encoding::ALL {
            // Block formats begin with their scale.
            let is_finite = |bytes: &[u8]| match encoding {
                Encoding::Q8_0 | Encoding::Q4_0 => bytes
                    .chunks(bytes.len() / 2)
                    .all(|block| n_not_finite(safetensors::Dtype::F16, &block[..2]) == 0),
                Encoding::F32 => n_not_finite(safetensors::Dtype::F32, bytes) == 0,
                Encoding::F16 => n_not_finite(safetensors::Dtype::F16, bytes) == 0,
                Encoding::Bf16 => n_not_finite(safetensors::Dtype::BF16, bytes) == 0,
            };
            match encoding.encode("t", &values) {
                Ok(bytes) => prop_assert!(is_finite(&bytes), "{encoding:?}"),
                Err(error) => prop_assert!(error.to_string().contains("\"t\" holds"), "{error}"),
            }
        }
    }
}

#[test]
fn a_model_is_written_in_8_bits_or_refused_by_its_tensor() {
    let dir = family_with([-3e7, 1.0]);
    let path = dir.path().join("student/model.safetensors");
    let bytes = read(&path);
    let plan = LayerPlan::by_rule(KeepRule::default(), 6).unwrap();
    let config = tiny_config().keeping(&plan.kept());
    let file = Checkpoint::parse([("student".to_owned(), &*bytes)]).unwrap();
    let model = file.read_model(&config, &cpu()).unwrap();
    let error = model_to_bytes(&model, StoredAs::Q8_0).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::TooLarge { name, n_too_large: 1, .. } if name == TENSOR),
        "{error}"
    );
    assert!(model_to_bytes(&tiny_model(&config, 3, &cpu()), StoredAs::Q8_0).is_ok());
}
