use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Announced, Conversion, Encoding, Gguf, header, import, padding};
use boomerang_core::model::{AttentionMask, LanguageModel};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{fixtures, read, read_json};
use burn::tensor::{Int, Tensor, TensorData};
use expect_test::expect;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The config of a fixture model, with some of its keys changed; null takes a key away.
pub(crate) fn config(folder: &Path, changes: &Value) -> ModelConfig {
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
pub(crate) fn weights(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        (name.starts_with("model") && name.ends_with(".safetensors"))
            .then(|| (name.clone(), read(folder.join(name))))
    });
    names.collect()
}

pub(crate) fn checkpoint(files: &[(String, Vec<u8>)]) -> Checkpoint<'_> {
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

/// The bytes of a whole file.
pub(crate) fn file_of(conversion: &Conversion<'_>) -> Vec<u8> {
    let announced = conversion.tensors.iter().map(|tensor| Announced {
        name: &tensor.name,
        dims: &tensor.dims,
        kind: tensor.encoding.kind(),
        n_bytes: tensor.n_bytes(),
    });
    let mut file = header(&conversion.metadata, announced);
    for tensor in &conversion.tensors {
        file.extend(tensor.to_bytes().unwrap());
        file.resize(file.len() + padding(tensor.n_bytes()), 0);
    }
    file
}

#[test]
fn every_architecture_is_read_back_as_the_model_that_was_written() {
    let expected = read_json(fixtures().join("gguf/tensors.json"));
    for (name, model) in expected.as_object().unwrap() {
        let folder = fixtures().join(name);
        let files = weights(&folder);
        let checkpoint = checkpoint(&files);
        let config = config(&folder, &model["config"]);
        let written = Conversion::new(&checkpoint, &config, Some(Encoding::F32)).unwrap();
        let bytes = file_of(&written);
        let file = Gguf::parse(&bytes).unwrap();
        let found = import(&file, &cpu()).unwrap_or_else(|error| panic!("{name}: {error}"));
        // What is read is written as it was.
        let again = model_to_bytes(&found, Precision::F32).unwrap();
        let again = [("model.safetensors".to_owned(), again)];
        let again = self::checkpoint(&again);
        let again = Conversion::new(&again, found.config(), Some(Encoding::F32)).unwrap();
        for (one, other) in written.tensors.iter().zip(&again.tensors) {
            assert!(
                one.name == other.name && one.to_bytes().unwrap() == other.to_bytes().unwrap(),
                "{name}: {}",
                one.name
            );
        }
        if model["config"]["bias"] == false {
            // The fixture has biases, which the changed config does not read.
            continue;
        }
        let expected = checkpoint.read_model(&config, &cpu()).unwrap();
        assert_eq!(found.config().n_layers(), config.n_layers(), "{name}");
        // Within the window of a Mistral, which is all that llama.cpp reads.
        let seq = found.config().max_seq.min(8);
        let tokens: Vec<i64> = (0..2 * seq as i64).map(|position| 1 + position * 7 % 60).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [2, seq]), &cpu());
        let mask = AttentionMask::causal(seq, 0, &cpu());
        let logits = |model: &LanguageModel| -> Vec<f32> {
            let logits = model.trace(tokens.clone(), &mask).logits;
            logits.into_data().iter::<f32>().collect()
        };
        let (found, expected) = (logits(&found), logits(&expected));
        let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Gemma's norms are stored with 1 added, in f32.
        assert!(largest < 2e-5, "{name}: logits differ by {largest}");
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
    expect![[r#"layer 1 has a window and rotary positions, but llama.cpp derives no window and rotary positions from the layer index; a GGUF file of the architecture gemma2 cannot express anything else"#]]
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
        "attention_bias = false cannot be expressed in a GGUF file of the architecture gptneox; \
         expected true"
    );
    assert_eq!(
        refusal("gemma2", json!({})),
        "query_pre_attn_scalar = 20 cannot be expressed in a GGUF file of the architecture gemma2; \
         expected 10 for 4 layers"
    );
    assert!(
        refusal("gemma2", json!({"query_pre_attn_scalar": 10, "tie_word_embeddings": false}))
            .contains("use the head policy teacher or student")
    );
    assert!(refusal("llama3-rope", json!({"hidden_act": "relu"})).starts_with("hidden_act = Relu"));
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
