use std::fs;
use std::path::Path;

use boomerang_native_trainer::exit::describe;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::{boomerang, failure, write_ids};
use boomerang_tests::{fixtures, read, read_json};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Name, dtype, shape and bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// A model of the fixtures, with its tensors and its config changed.
fn changed(
    name: &str,
    tensors: impl FnOnce(&mut Vec<Tensor>),
    config: impl FnOnce(&mut Value),
) -> TempDir {
    let from = fixtures().join("architectures").join(name);
    let bytes = read(from.join("model.safetensors"));
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<Tensor> = stored
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    tensors(&mut all);
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    fs::write(
        folder.path().join("model.safetensors"),
        safetensors::serialize(views, Some(metadata)).unwrap(),
    )
    .unwrap();
    let mut json = read_json(from.join("config.json"));
    config(&mut json);
    fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    folder
}

fn with_tensors(name: &str, added: &[(&str, Dtype, &[usize])]) -> TempDir {
    changed(
        name,
        |tensors| {
            for (name, dtype, shape) in added {
                let n_bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
                tensors.push(((*name).to_owned(), *dtype, shape.to_vec(), vec![0; n_bytes]));
            }
        },
        |_| {},
    )
}

fn refusal(folder: &Path) -> String {
    let Err(error) = ModelFolder::open(folder) else { panic!("{} opened", folder.display()) };
    assert_eq!(boomerang_native_trainer::exit::code_of(&error).code(), 3);
    describe(&error)
}

fn tensor_names(folder: &Path) -> Vec<String> {
    let bytes = read(folder.join("model.safetensors"));
    let mut names: Vec<String> =
        SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_tensor_that_the_model_does_not_use_is_refused_by_name() {
    let sinks = "model.layers.1.self_attn.sinks";
    let folder = with_tensors("mistral", &[(sinks, Dtype::F32, &[4])]);
    let sentence = refusal(folder.path());
    assert!(sentence.contains(sinks) && sentence.contains("1 tensors are not used"), "{sentence}");
    let paths: [(&str, &Path); 1] = [("dir", folder.path())];
    for line in [
        "prune --teacher {dir} --keep 0,1 --out {dir}/out",
        "patch --teacher {dir} --student {dir} --kept 0,1,2 --k 0 --out {dir}/out",
        "export {dir} --out {dir}/out.gguf",
        "inspect {dir}",
    ] {
        let (sentence, code) = failure(line, &paths);
        assert!(sentence.contains(sinks) && code == 3, "{line}: {sentence}");
    }
}

#[test]
fn biases_that_a_config_turns_off_are_not_ignored() {
    let folder = changed(
        "internlm3-biases",
        |_| {},
        |config| {
            let config = config.as_object_mut().unwrap();
            config.remove("attention_bias");
            config.remove("mlp_bias");
        },
    );
    let sentence = refusal(folder.path());
    assert!(sentence.contains("21 tensors are not used"), "{sentence}");
    assert!(sentence.contains("\"model.layers.0.mlp.down_proj.bias\""), "{sentence}");
}

#[test]
fn layers_beyond_those_of_the_config_are_refused_with_both_numbers() {
    let folder = changed("mistral", |_| {}, |config| config["num_hidden_layers"] = 2.into());
    let sentence = refusal(folder.path());
    assert!(
        sentence.contains("num_hidden_layers in config.json is 2, but the weights have 3 layers")
    );
}

#[test]
fn buffers_that_are_computed_anyway_are_neither_refused_nor_written() {
    for (name, buffers) in [
        (
            "gpt2",
            &[
                ("transformer.h.0.attn.bias", Dtype::F32, &[1_usize, 1, 8, 8][..]),
                ("transformer.h.0.attn.masked_bias", Dtype::F32, &[]),
            ][..],
        ),
        (
            "gpt-neox",
            &[
                ("gpt_neox.layers.0.attention.bias", Dtype::BOOL, &[1, 1, 8, 8]),
                ("gpt_neox.layers.0.attention.rotary_emb.inv_freq", Dtype::F32, &[1]),
            ],
        ),
        ("mistral", &[("model.layers.2.self_attn.rotary_emb.inv_freq", Dtype::F32, &[5])]),
        (
            "bert",
            &[
                ("bert.embeddings.position_ids", Dtype::I64, &[1, 64]),
                ("bert.pooler.dense.bias", Dtype::F32, &[32]),
            ],
        ),
    ] {
        let folder = with_tensors(name, buffers);
        let out = tempfile::tempdir().unwrap();
        let paths: [(&str, &Path); 2] = [("dir", folder.path()), ("out", out.path())];
        boomerang("prune --teacher {dir} --keep 0,1 --out {out}/student", &paths).unwrap();
        boomerang("patch --teacher {dir} --student {out}/student --all --out {out}/sizes", &paths)
            .unwrap();
        let last =
            fs::read_dir(out.path().join("sizes")).unwrap().map(|entry| entry.unwrap().path());
        let last = last.max().unwrap();
        let original = tensor_names(&fixtures().join("architectures").join(name));
        assert_eq!(tensor_names(&last), original, "{name}");
    }
    // Of another shape it is a bias, and no mask.
    let bias = with_tensors("gpt2", &[("transformer.h.0.attn.bias", Dtype::F32, &[32])]);
    assert!(refusal(bias.path()).contains("transformer.h.0.attn.bias"));
}

#[test]
fn a_parameter_that_is_stored_twice_has_one_value() {
    let folder = with_tensors("mistral", &[("norm.weight", Dtype::F16, &[32])]);
    let sentence = refusal(folder.path());
    assert!(sentence.contains("\"model.norm.weight\" and \"norm.weight\""), "{sentence}");
}

#[test]
fn quantized_weights_are_refused_by_what_stands_beside_them() {
    let up = "model.layers.0.mlp.up_proj";
    for (part, dtype) in [
        ("weight_scale_inv", Dtype::F32),
        ("weight_scale", Dtype::BF16),
        ("qweight", Dtype::I32),
        ("weight.absmax", Dtype::F32),
        ("SCB", Dtype::F32),
        ("scales", Dtype::F16),
    ] {
        let folder = with_tensors("mistral", &[(&format!("{up}.{part}"), dtype, &[1])]);
        let sentence = refusal(folder.path());
        assert!(sentence.contains("quantized with ") && sentence.contains(part), "{sentence}");
    }
}

#[test]
fn weights_in_whole_numbers_are_refused() {
    for dtype in [Dtype::I32, Dtype::U8, Dtype::I64] {
        let folder = changed(
            "mistral",
            |tensors| {
                let down = "model.layers.1.mlp.down_proj.weight";
                let tensor = tensors.iter_mut().find(|tensor| tensor.0 == down).unwrap();
                tensor.1 = dtype;
                tensor.3 = vec![0; tensor.2.iter().product::<usize>() * dtype.bitsize() / 8];
            },
            |_| {},
        );
        let sentence = refusal(folder.path());
        assert!(sentence.contains(&format!("quantized with {dtype:?} codes")), "{sentence}");
        assert!(sentence.contains("layers.1.mlp.down_proj"), "{sentence}");
    }
}

#[test]
fn floats_of_8_bits_without_scales_stay_plain_numbers() {
    let folder = changed(
        "mistral",
        |tensors| {
            for tensor in tensors {
                let n_values = tensor.2.iter().product();
                (tensor.1, tensor.3) = (Dtype::F8_E4M3, vec![0x38; n_values]);
            }
        },
        |_| {},
    );
    assert!(ModelFolder::open(folder.path()).is_ok());
}

#[test]
fn adapters_and_reward_models_say_what_they_are() {
    let lora = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    let folder = with_tensors("mistral", &[(lora, Dtype::F32, &[2, 32])]);
    assert!(refusal(folder.path()).contains("part of an adapter"));
    let folder = with_tensors("mistral", &[("score.weight", Dtype::F32, &[1, 32])]);
    assert!(refusal(folder.path()).contains("head of a classifier or reward model"));

    let folder = tempfile::tempdir().unwrap();
    let config = json!({"peft_type": "LORA", "base_model_name_or_path": "owner/base"});
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let (sentence, code) = failure("inspect {dir}", &[("dir", folder.path())]);
    assert!(sentence.contains("holds an adapter (LORA"), "{sentence}");
    assert!(sentence.contains("owner/base") && code == 3, "{sentence}");
}

#[test]
fn every_tensor_of_internlm3_with_biases_is_written_when_it_is_pruned() {
    let teacher = fixtures().join("architectures/internlm3-biases");
    let dir = tempfile::tempdir().unwrap();
    let paths: [(&str, &Path); 2] = [("teacher", &teacher), ("dir", dir.path())];
    boomerang("prune --teacher {teacher} --keep 0,1,2 --out {dir}/student", &paths).unwrap();
    let student = dir.path().join("student");
    assert_eq!(tensor_names(&student), tensor_names(&teacher));
    let config = read_json(student.join("config.json"));
    // As its own code calls them.
    assert_eq!((&config["qkv_bias"], &config["bias"]), (&json!(true), &json!(true)));
}

#[test]
fn windows_of_a_student_are_kept_under_a_teacher_without_them() {
    let window = |size: u64| {
        move |config: &mut Value| {
            config["use_sliding_window"] = true.into();
            config["sliding_window"] = size.into();
            config["max_window_layers"] = 0.into();
            config["layer_types"] = Value::Null;
        }
    };
    let plain = |config: &mut Value| {
        config["use_sliding_window"] = false.into();
        config["layer_types"] = Value::Null;
    };
    let teacher = changed("qwen2-windows", |_| {}, plain);
    let student = changed("qwen2-windows", |_| {}, window(3));
    let out = tempfile::tempdir().unwrap();
    let line =
        "patch --teacher {teacher} --student {student} --kept 0,1,2 --patched 1 --out {out}/new";
    let paths = [("teacher", teacher.path()), ("student", student.path()), ("out", out.path())];
    boomerang(line, &paths).unwrap();
    let written = read_json(out.path().join("new/config.json"));
    let types = ["sliding_attention", "full_attention", "sliding_attention"];
    assert_eq!(written["layer_types"], json!(types));
    assert_eq!(
        (&written["sliding_window"], &written["use_sliding_window"]),
        (&json!(3), &json!(true))
    );

    let other = changed("qwen2-windows", |_| {}, window(4));
    let line =
        "patch --teacher {teacher} --student {student} --kept 0,1,2 --k 1 --out {student}/other";
    let (sentence, code) = failure(line, &[("teacher", other.path()), ("student", student.path())]);
    assert!(sentence.contains("sliding_window 4 and 3") && code == 3, "{sentence}");
}

#[test]
fn the_written_dtype_is_that_of_the_written_tensors() {
    let folder = changed("mistral", |_| {}, |config| config["torch_dtype"] = "bfloat16".into());
    let out = tempfile::tempdir().unwrap();
    let paths: [(&str, &Path); 2] = [("dir", folder.path()), ("out", out.path())];
    write_ids(&out.path().join("rows.jsonl"), 4, 12);
    boomerang("prune --teacher {dir} --keep 0,2 --out {out}/student", &paths).unwrap();
    boomerang(
        "distill --teacher {dir} --student {out}/student --data {out}/rows.jsonl --steps 1 \
         --seq-len 12 --device cpu --out {out}/run",
        &paths,
    )
    .unwrap();
    boomerang(
        "patch --teacher {dir} --student {out}/run/student --patched 0 --out {out}/kept",
        &paths,
    )
    .unwrap();
    boomerang(
        "patch --teacher {dir} --student {out}/run/student --patched 0 --dtype bf16 --out {out}/bf16",
        &paths,
    )
    .unwrap();
    for (written, expected) in [
        ("student", "float16"),
        ("run/student", "float32"),
        // One layer in f32, the others in f16.
        ("kept", "float32"),
        ("bf16", "bfloat16"),
    ] {
        let config = read_json(out.path().join(written).join("config.json"));
        assert_eq!(config["torch_dtype"], expected, "{written}");
    }
}
