//! Models whose matrices are packed, against the same models in f32.

#![cfg(test)]

use boomerang_kernels::{PackedFormat, PackedMatrix};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Int, Tensor};
use futures_lite::future::block_on;

use super::{Checkpoint, Precision, StoredAs, model_to_bytes};
use crate::config::ModelConfig;
use crate::distill::Initialization;
use crate::generate::{Generation, Sampling};
use crate::model::ids::with_own_ids;
use crate::model::{AttentionMask, KvCache, LanguageModel, WeightFormat};
use crate::plan::{KeepRule, LayerPlan, PatchOrder};
use crate::prune::{Family, Teacher};

const FORMATS: [WeightFormat; 3] = [WeightFormat::F16, WeightFormat::Bf16, WeightFormat::Q8_0];

/// The trained model that the command line starts from.
const CONFIG: &str = include_str!("../../../assets/teacher/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../../assets/teacher/model.safetensors");

fn config(text: &str) -> ModelConfig {
    ModelConfig::from_json(text).unwrap()
}

fn read_as(format: WeightFormat, config: &ModelConfig, bytes: &[u8]) -> LanguageModel {
    let checkpoint = Checkpoint::parse([("file".to_owned(), bytes)]).unwrap();
    checkpoint.read_model_as(format, config, &Device::flex(), |_| {}).unwrap()
}

fn teacher(format: WeightFormat) -> LanguageModel {
    read_as(format, &config(CONFIG), WEIGHTS)
}

const TEXT: [u32; 24] =
    [1, 20, 45, 7, 300, 12, 87, 5, 61, 33, 210, 9, 14, 72, 18, 404, 6, 51, 30, 8, 99, 27, 11, 64];

/// Logits at all positions, from one pass.
fn traced(model: &LanguageModel, text: &[u32]) -> Vec<f32> {
    let tokens: Vec<i64> = text.iter().map(|&token| i64::from(token)).collect();
    let tokens = Tensor::<1, Int>::from_data(tokens.as_slice(), &Device::flex()).unsqueeze();
    let mask = AttentionMask::causal(text.len(), 0, &Device::flex());
    model.trace(tokens, &mask).logits.into_data().iter::<f32>().collect()
}

/// Logits at all positions, token by token.
fn decoded(model: &LanguageModel, text: &[u32]) -> Vec<f32> {
    let mut cache = KvCache::new(model, text.len());
    let logits = text.iter().map(|&token| model.next_logits(&[token], &mut cache));
    logits.flat_map(|logits| logits.into_data().iter::<f32>().collect::<Vec<_>>()).collect()
}

/// Mean KL divergence of the second from the first, in nats/token.
fn divergence(expected: &[f32], found: &[f32], vocab: usize) -> f64 {
    let log_probs = |row: &[f32]| {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|x| f64::from(x - largest).exp()).sum();
        row.iter().map(|x| f64::from(x - largest) - sum.ln()).collect::<Vec<f64>>()
    };
    let rows = expected.chunks(vocab).zip(found.chunks(vocab)).map(|(expected, found)| {
        let (p, q) = (log_probs(expected), log_probs(found));
        p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>()
    });
    let rows: Vec<f64> = rows.collect();
    rows.iter().sum::<f64>() / rows.len() as f64
}

/// Whether no parameter with a packed form has been asked for its values.
fn n_lazy(model: &LanguageModel) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(!param.is_initialized());
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

#[test]
fn a_packed_model_predicts_what_the_same_weights_do_in_f32() {
    let gpt2 = include_str!("../../../tests/fixtures/architectures/gpt2/config.json");
    let phi3 = include_str!("../../../tests/fixtures/architectures/phi3/config.json");
    let random = |text: &str| {
        let config = config(text);
        let model = LanguageModel::random(&config, Initialization::HuggingFace, 1, &Device::flex());
        (config, model_to_bytes(&model, Precision::F32).unwrap())
    };
    // Of gpt2, outputs are columns in the file; of phi3, several matrices are one tensor.
    for (config, bytes) in [random(gpt2), random(phi3), (config(CONFIG), WEIGHTS.to_vec())] {
        let text: Vec<u32> = TEXT.iter().map(|&token| token % config.vocab as u32).collect();
        for format in FORMATS {
            let packed = read_as(format, &config, &bytes);
            let n_packed = n_lazy(&packed);
            assert!(n_packed > 4 * config.n_layers(), "{n_packed}");
            let found = [traced(&packed, &text), decoded(&packed, &text)];
            assert_eq!(n_lazy(&packed), n_packed, "no product widens a matrix");
            let wide = model_to_bytes(&packed, Precision::F32).unwrap();
            let expected = traced(&read_as(WeightFormat::F32, &config, &wide), &text);
            let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            for found in found {
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 2e-4 * largest,
                        "{format}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn narrower_formats_predict_nearly_the_same() {
    let model = teacher(WeightFormat::F32);
    let (expected, vocab) = (traced(&model, &TEXT), model.config().vocab);
    // The file is in f16.
    for (format, bound) in FORMATS.into_iter().zip([1e-9, 1e-3, 3e-3]) {
        let found = decoded(&teacher(format), &TEXT);
        let kl = divergence(&expected, &found, vocab);
        assert!((-1e-9..bound).contains(&kl), "{format}: {kl}");
    }
}

#[test]
fn matrices_stay_as_they_are_stored() {
    let wide = teacher(WeightFormat::F32);
    let cases: [(StoredAs, WeightFormat); 3] = [
        (Precision::F16.into(), WeightFormat::F16),
        (Precision::Bf16.into(), WeightFormat::Bf16),
        (StoredAs::Q8_0, WeightFormat::Q8_0),
    ];
    for (stored_as, format) in cases {
        let bytes = model_to_bytes(&wide, stored_as).unwrap();
        let stored = read_as(WeightFormat::Stored, wide.config(), &bytes);
        assert!(n_lazy(&stored) > 0);
        let packed = read_as(format, wide.config(), &bytes);
        assert!(decoded(&stored, &TEXT) == decoded(&packed, &TEXT), "{format}");
    }
    let bytes = model_to_bytes(&wide, Precision::F32).unwrap();
    assert_eq!(n_lazy(&read_as(WeightFormat::Stored, wide.config(), &bytes)), 0);
}

#[test]
fn members_share_packed_matrices_and_count_their_parameters() {
    let wide = teacher(WeightFormat::F32);
    let teacher = Teacher::new(teacher(WeightFormat::Q8_0));
    assert_eq!(teacher.model().n_params(), wide.n_params());
    let plan = LayerPlan::by_rule(KeepRule::default(), wide.n_layers()).unwrap();
    let family = Family::new(teacher.clone(), teacher.prune(&plan).unwrap()).unwrap();
    let wide = Teacher::new(wide);
    let wide = Family::new(wide.clone(), wide.prune(&plan).unwrap()).unwrap();
    for patch in PatchOrder::First.path(&plan).unwrap() {
        let (member, expected) = (family.member(&patch), wide.member(&patch));
        assert_eq!(member.n_params(), expected.n_params());
        decoded(&member, &TEXT[..3]);
    }
    // Of the teacher, which has every matrix: 7 in each layer, embedding and head.
    assert_eq!(n_lazy(family.teacher().model()), 7 * 12 + 2);
}

#[test]
fn a_tied_head_is_the_packed_embedding() {
    let text = r#"{"model_type": "llama", "vocab_size": 40, "hidden_size": 64,
        "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "tie_word_embeddings": true}"#;
    let model = LanguageModel::random(&config(text), Initialization::Scaled, 1, &Device::flex());
    let bytes = model_to_bytes(&model, Precision::F32).unwrap();
    let packed = read_as(WeightFormat::Q8_0, model.config(), &bytes);
    assert_eq!((n_lazy(&packed), packed.n_params()), (2 * 7 + 1, model.n_params()));
    let mut generation = Generation::new(&packed, &[3, 5], 4, Sampling::Greedy).unwrap();
    while block_on(generation.next()).unwrap().is_some() {}
    assert_eq!(n_lazy(&packed), 2 * 7 + 1);
}

#[test]
fn who_asks_for_values_gets_those_of_the_packed_matrices() {
    let packed = teacher(WeightFormat::Q8_0);
    let before = decoded(&packed, &TEXT);
    // As training begins.
    let wide = with_own_ids(packed);
    assert_eq!(n_lazy(&wide), 0);
    for (before, after) in before.iter().zip(decoded(&wide, &TEXT)) {
        assert!((before - after).abs() < 1e-3, "{before} {after}");
    }
}

#[test]
fn a_packed_matrix_is_as_large_as_its_file() {
    let n_bytes = |format| PackedMatrix::zeros(format, 48, 64).n_bytes();
    assert_eq!(n_bytes(PackedFormat::Q8_0), 48 * 64 / 32 * 34);
}

#[test]
fn bytes_in_memory_are_those_of_the_format() {
    let wide = teacher(WeightFormat::F32).part_bytes();
    let total = wide.embedding + wide.layers.iter().sum::<u64>() + wide.norm + wide.head;
    assert_eq!(total, 4 * config(CONFIG).n_params());
    let narrow = teacher(WeightFormat::Bf16).part_bytes();
    // 2 bytes for 4, and rows of 48 numbers end where the processor's vectors do.
    assert_eq!(narrow.embedding * 2 * 48, wide.embedding * 64);
    // Norms stay in f32.
    assert_eq!(narrow.norm, wide.norm);
    assert!(wide.layers[0] <= 2 * narrow.layers[0] && narrow.layers[0] < wide.layers[0]);
}
