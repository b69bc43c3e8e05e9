use std::collections::BTreeMap;

use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::model::{AttentionMask, LanguageModel};
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::Teacher;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::reference::{Reference, Tensors};
use boomerang_tests::{ids, values};
use proptest::prelude::*;
use proptest::sample::select;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

const VOCAB: usize = 11;
const N_LAYERS: usize = 4;
const TEXT: [u32; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 10];

/// What is odd about a checkpoint, and whether it may be read all the same.
#[derive(Clone, Debug)]
enum Oddity {
    /// A key that transformers reads in this or in another family; reading it wrongly gives other
    /// logits.
    Key(&'static str, Value),
    /// Has to be refused.
    Tensor(Damage),
}

#[derive(Clone, Debug)]
enum Damage {
    /// No part of the model has this name.
    Unused(&'static str),
    Missing(usize),
    NotFinite(usize, f32),
    Integers(usize),
    Shape(usize),
}

fn config() -> impl Strategy<Value = Map<String, Value>> {
    let family = select(vec!["llama", "qwen2", "qwen3"]);
    let heads = select(vec![(2, 1, 4), (4, 2, 4), (3, 3, 6), (4, 1, 2)]);
    (family, heads, any::<bool>(), select(vec![1e4, 5e5, 100.0])).prop_map(
        |(family, (n_heads, n_kv_heads, d_head), is_tied, theta)| {
            let config = json!({
                "model_type": family, "vocab_size": VOCAB, "hidden_size": 12,
                "intermediate_size": 10, "num_hidden_layers": N_LAYERS,
                "num_attention_heads": n_heads, "num_key_value_heads": n_kv_heads,
                "head_dim": d_head, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
                "tie_word_embeddings": is_tied, "rope_theta": theta, "hidden_act": "silu",
            });
            config.as_object().cloned().unwrap()
        },
    )
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let types =
        json!(["full_attention", "sliding_attention", "full_attention", "sliding_attention"]);
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    });
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8});
    let keys = vec![
        ("layer_types", types),
        ("use_sliding_window", json!(true)),
        ("sliding_window", json!(3)),
        ("sliding_window", Value::Null),
        ("max_window_layers", json!(2)),
        ("partial_rotary_factor", json!(0.5)),
        ("rotary_pct", json!(0.5)),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("attention_bias", json!(false)),
        ("rope_scaling", json!({"rope_type": "linear", "factor": 2.0})),
        ("rope_scaling", json!({"type": "linear", "factor": 2.0})),
        ("rope_scaling", llama3.clone()),
        ("rope_scaling", yarn.clone()),
        ("rope_parameters", json!({"rope_type": "default", "rope_theta": 100.0})),
        ("rope_parameters", llama3),
        ("rope_parameters", yarn),
        ("query_pre_attn_scalar", json!(7)),
        ("attn_logit_softcapping", json!(1.0)),
        ("no_rope_layers", json!([1, 0, 1, 0])),
        ("n_head", json!(1)),
        ("attention_dropout", json!(0.1)),
        ("use_cache", json!(false)),
    ];
    let keys = select(keys).prop_map(|(key, value)| Oddity::Key(key, value));
    let names = vec![
        "model.layers.0.self_attn.q_proj.weight_scale",
        "model.layers.7.input_layernorm.weight",
        "model.layers.1.self_attn.sinks",
        "model.layers.1.pre_feedforward_layernorm.weight",
        "score.weight",
        "model.embed_positions.weight",
    ];
    let damage = prop_oneof![
        select(names).prop_map(Damage::Unused),
        any::<usize>().prop_map(Damage::Missing),
        (any::<usize>(), select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]))
            .prop_map(|(at, value)| Damage::NotFinite(at, value)),
        any::<usize>().prop_map(Damage::Integers),
        any::<usize>().prop_map(Damage::Shape),
    ];
    prop_oneof![4 => keys, 1 => damage.prop_map(Oddity::Tensor)]
}

/// Small numbers that differ from tensor to tensor.
fn tensors(config: &Map<String, Value>) -> Tensors {
    let size = |key: &str| config[key].as_u64().unwrap() as usize;
    let (d_model, d_ff, d_head) =
        (size("hidden_size"), size("intermediate_size"), size("head_dim"));
    let d_query = size("num_attention_heads") * d_head;
    let d_key = size("num_key_value_heads") * d_head;
    let family = config["model_type"].as_str().unwrap();
    let is_on = |key: &str| config.get(key) == Some(&Value::Bool(true));
    let attention_bias = family != "qwen2" && is_on("attention_bias");
    let mlp_bias = family == "llama" && is_on("mlp_bias");

    let mut found = Tensors::new();
    let mut add = |name: String, shape: Vec<usize>| {
        let n_values: usize = shape.iter().product();
        let seed = name.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
        let is_norm = name.contains("norm");
        let value = |number: usize| {
            let mixed = (seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .wrapping_mul(0xd134_2543_de82_ef95);
            let unit = (mixed >> 40) as f32 / (1 << 24) as f32 - 0.5;
            if is_norm { 1.0 + 0.4 * unit } else { 0.9 * unit }
        };
        found.insert(name, (shape, (0..n_values).map(value).collect()));
    };
    add("model.embed_tokens.weight".to_owned(), vec![VOCAB, d_model]);
    add("model.norm.weight".to_owned(), vec![d_model]);
    if config["tie_word_embeddings"] == false {
        add("lm_head.weight".to_owned(), vec![VOCAB, d_model]);
    }
    for layer in 0..N_LAYERS {
        let mut add =
            |part: &str, shape: Vec<usize>| add(format!("model.layers.{layer}.{part}"), shape);
        add("input_layernorm.weight", vec![d_model]);
        add("post_attention_layernorm.weight", vec![d_model]);
        for (part, outputs, inputs, has_bias) in [
            ("self_attn.q_proj", d_query, d_model, attention_bias || family == "qwen2"),
            ("self_attn.k_proj", d_key, d_model, attention_bias || family == "qwen2"),
            ("self_attn.v_proj", d_key, d_model, attention_bias || family == "qwen2"),
            ("self_attn.o_proj", d_model, d_query, attention_bias),
            ("mlp.gate_proj", d_ff, d_model, mlp_bias),
            ("mlp.up_proj", d_ff, d_model, mlp_bias),
            ("mlp.down_proj", d_model, d_ff, mlp_bias),
        ] {
            add(&format!("{part}.weight"), vec![outputs, inputs]);
            if has_bias {
                add(&format!("{part}.bias"), vec![outputs]);
            }
        }
        if family == "qwen3" {
            add("self_attn.q_norm.weight", vec![d_head]);
            add("self_attn.k_norm.weight", vec![d_head]);
        }
    }
    found
}

/// The safetensors file of these tensors, with the damage done to it.
fn file(tensors: &Tensors, damages: &[Damage]) -> Vec<u8> {
    let mut stored: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.clone(), (Dtype::F32, shape.clone(), bytes))
        })
        .collect();
    for damage in damages {
        let names: Vec<String> = stored.keys().cloned().collect();
        let name = |at: &usize| names[at % names.len()].clone();
        match damage {
            Damage::Unused(name) => {
                stored.insert((*name).to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
            }
            Damage::Missing(at) => {
                stored.remove(&name(at));
            }
            Damage::NotFinite(at, value) => {
                let (dtype, _, bytes) = stored.get_mut(&name(at)).unwrap();
                if *dtype == Dtype::F32 && bytes.len() >= 4 {
                    let place = at / 4 % (bytes.len() / 4) * 4;
                    bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
                }
            }
            Damage::Integers(at) => stored.get_mut(&name(at)).unwrap().0 = Dtype::I32,
            Damage::Shape(at) => {
                let (dtype, shape, bytes) = stored.get_mut(&name(at)).unwrap();
                *dtype = Dtype::F32;
                shape[0] += 1;
                bytes.resize(4 * shape.iter().product::<usize>(), 0);
            }
        }
    }
    let views = stored.iter().map(|(name, (dtype, shape, bytes))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The model, or that it was refused.
fn read(config: &Map<String, Value>, bytes: &[u8]) -> Option<LanguageModel> {
    let config = ModelConfig::from_json(&Value::Object(config.clone()).to_string()).ok()?;
    let checkpoint = Checkpoint::parse([("model.safetensors".to_owned(), bytes)]).ok()?;
    let outcome = checkpoint.check(&config);
    outcome.ok()?;
    checkpoint.read_model(&config, &cpu()).ok()
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let mask = AttentionMask::causal(TEXT.len(), 0, &cpu());
    values(model.trace(ids(&TEXT, &cpu()), &mask).logits)
}

fn largest_difference(found: &[f32], expected: &[Vec<f64>]) -> f64 {
    let expected: Vec<f64> = expected.iter().flatten().copied().collect();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

/// A file as the tensors of the reference.
fn parsed(bytes: &[u8]) -> Tensors {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let values =
        |data: &[u8]| data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), values(view.data()))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_odd_checkpoint_is_refused_or_computed_and_written_as_the_reference_has_it(
        mut config in config(),
        oddities in prop::collection::vec(oddity(), 0..4),
        kept in prop::collection::btree_set(1..N_LAYERS, 0..N_LAYERS),
    ) {
        let mut damages = Vec::new();
        for oddity in &oddities {
            match oddity {
                Oddity::Key(key, value) => {
                    config.insert((*key).to_owned(), value.clone());
                }
                Oddity::Tensor(damage) => damages.push(damage.clone()),
            }
        }
        let tensors = tensors(&config);
        let model = read(&config, &file(&tensors, &damages));
        if oddities.is_empty() {
            prop_assert!(model.is_some(), "an ordinary checkpoint was refused");
        }
        let Some(model) = model else { return Ok(()) };
        prop_assert!(damages.is_empty(), "a damaged checkpoint was read: {damages:?}");

        let all: Vec<usize> = (0..N_LAYERS).collect();
        let expected = Reference::new(&config, &tensors).logits(&TEXT, &all);
        let difference = largest_difference(&logits(&model), &expected);
        prop_assert!(difference < 1e-4, "logits are {difference} off: {oddities:?}");

        // Pruned, written and read by the reference: the same layers of the same model.
        let kept: Vec<usize> = [0].into_iter().chain(kept).collect();
        let expected = Reference::new(&config, &tensors).logits(&TEXT, &kept);
        let plan = LayerPlan::keep(&kept, N_LAYERS).unwrap();
        let student = Teacher::new(model).prune(&plan).unwrap();
        let written: Value = serde_json::from_str(&student.model().config().to_json()).unwrap();
        let bytes = model_to_bytes(student.model(), Precision::F32).unwrap();
        let written_tensors = parsed(&bytes);
        let layers: Vec<usize> = (0..kept.len()).collect();
        let of_files = Reference::new(written.as_object().unwrap(), &written_tensors).logits(&TEXT, &layers);
        let read_back: Vec<f32> = of_files.iter().flatten().map(|&value| value as f32).collect();
        let difference = largest_difference(&read_back, &expected);
        prop_assert!(difference < 1e-4, "the written student is {difference} off: {oddities:?}");
    }
}
