//! Tiny models, fixtures, and comparisons for the tests of the whole.

pub mod browser;
pub mod commands;
pub mod file_server;
pub mod hub;
mod listener;
pub mod passage;
pub mod reference;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::distill::{Batch, Initialization, Layout, Row};
use boomerang_core::evaluate::Stack;
use boomerang_core::model::{AttentionMask, LanguageModel, parameters};
use boomerang_core::plan::{KeepRule, LayerPlan, Patch, PatchOrder};
use boomerang_core::prune::{Family, Student, Teacher};
use burn::tensor::{Device, Tensor, TensorData};

pub use futures_lite::future::block_on;

/// `tests/fixtures`.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file that a test cannot do without.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn read_json(path: impl AsRef<Path>) -> serde_json::Value {
    serde_json::from_slice(&read(path)).expect("a fixture is JSON")
}

/// A random Qwen3 of 6 layers, with two query heads to a key head.
pub fn tiny_config() -> ModelConfig {
    let config = serde_json::json!({
        "model_type": "qwen3", "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
        "eos_token_id": 2,
    });
    ModelConfig::from_json(&config.to_string()).expect("the tiny config is right")
}

/// A model whose layers all matter: weights are large enough that every one changes the logits.
pub fn tiny_model(config: &ModelConfig, seed: u64, device: &Device) -> LanguageModel {
    let model = LanguageModel::random(config, Initialization::Scaled, seed, device);
    assert!(model.is_tied() == config.tied);
    model
}

/// The tiny model with a layer that adds nothing to the residual stream.
pub fn tiny_model_with_idle_layer(layer: usize, device: &Device) -> LanguageModel {
    let config = tiny_config();
    let mut found = BTreeMap::new();
    parameters::for_each(&tiny_model(&config, 1, device), |parameter, tensor| {
        found.insert(parameter.path.clone(), tensor.to_data());
    });
    let idle = ["attention.output.weight", "mlp.down.weight"];
    let idle = idle.map(|path| format!("layers.{layer}.{path}"));
    let source = |parameter: &parameters::Parameter| {
        Ok::<_, Infallible>(if idle.contains(&parameter.path) {
            TensorData::zeros::<f32, _>(parameter.shape.clone())
        } else {
            found[&parameter.path].clone()
        })
    };
    match LanguageModel::build(&config, device, source) {
        Ok(model) => model,
        Err(never) => match never {},
    }
}

/// A teacher of 6 layers and another model of 4 in the student's place: distilled, as it were.
pub fn tiny_family(device: &Device) -> Family {
    let config = tiny_config();
    let plan = LayerPlan::by_rule(KeepRule::default(), config.n_layers()).expect("a rule for 6");
    let teacher = Teacher::new(tiny_model(&config, 1, device));
    let other = config.keeping(&plan.kept());
    let student = Student::new(tiny_model(&other, 2, device), plan).expect("4 layers");
    Family::new(teacher, student).expect("same shape")
}

/// Every size of the family in first and in last order.
pub fn patches_of_both_orders(family: &Family) -> Vec<Patch> {
    let path = |order: PatchOrder| order.path(family.plan()).expect("an order that always fits");
    [path(PatchOrder::First), path(PatchOrder::Last)].concat()
}

/// Members of the family as stacks; the teacher is model 0, the student 1.
pub fn stacks(family: &Family, patches: &[Patch]) -> Vec<Stack> {
    patches.iter().map(|patch| Stack::new(&family.plan().recipe(patch), 0, 1)).collect()
}

/// Rows of made-up tokens.
pub fn tiny_batch(n_rows: usize, seq: usize) -> Batch {
    let token =
        |row: usize, position: usize| ((row * 7 + position * 5 + row * position) % 31) as u32;
    let row = |row| (0..seq).map(|position| token(row, position)).collect();
    let rows = (0..n_rows).map(|number| Row::new(row(number), vec![1; seq]));
    Batch::new(rows.collect(), Layout::Padded)
}

/// All values of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// A tensor of a safetensors fixture, widened to f32 values with its shape.
pub fn fixture_tensor(bytes: &[u8], name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = Checkpoint::parse([(name.to_owned(), bytes)]).expect("a fixture is safetensors");
    let view = file.tensor(name).expect("the fixture has this tensor");
    let data = view.data();
    let values = match view.dtype() {
        safetensors::Dtype::F32 => {
            data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
        }
        safetensors::Dtype::I64 => {
            data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f32).collect()
        }
        other => panic!("{name} has dtype {other:?}"),
    };
    (view.shape().to_vec(), values)
}

/// The largest difference, relative to the largest expected value.
pub fn relative_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "as many values");
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference =
        found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(
            0.0_f32,
            |worst, difference| {
                if difference > worst || difference.is_nan() { difference } else { worst }
            },
        );
    difference / largest.max(f32::MIN_POSITIVE)
}

/// Token ids as a tensor `[1, seq]`.
pub fn ids(tokens: &[u32], device: &Device) -> Tensor<2, burn::tensor::Int> {
    let values: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    Tensor::from_data(TensorData::new(values, [1, tokens.len()]), device)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit) - sum.ln()).collect()
}

/// KL from the teacher and the negative log-likelihood, per token, of one model by plain passes.
pub fn plain_divergence(
    teacher: &LanguageModel,
    member: &LanguageModel,
    batch: &Batch,
) -> (f64, f64) {
    let (vocab, device) = (teacher.config().vocab, teacher.device());
    let (mut kl, mut nats, mut n_tokens) = (0.0, 0.0, 0.0);
    for row in batch.rows() {
        let mask = AttentionMask::causal(row.tokens.len(), 0, &device);
        let logits =
            |model: &LanguageModel| values(model.trace(ids(&row.tokens, &device), &mask).logits);
        let (teacher, member) = (logits(teacher), logits(member));
        for position in (0..row.tokens.len()).filter(|&position| row.has_target(position)) {
            let place = position * vocab..(position + 1) * vocab;
            let (teacher, member) =
                (log_softmax(&teacher[place.clone()]), log_softmax(&member[place]));
            kl += teacher.iter().zip(&member).map(|(t, m)| t.exp() * (t - m)).sum::<f64>();
            nats -= member[row.tokens[position + 1] as usize];
            n_tokens += 1.0;
        }
    }
    (kl / n_tokens, nats / n_tokens)
}
