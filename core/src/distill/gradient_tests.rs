//! Gradients of every architecture against burn's automatic differentiation, with each lever on and
//! off.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "a test may block")]

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use futures_lite::future::block_on;

use super::levers::{Levers, MixedPrecision};
use super::loss::{self, KlPositions, LossTerm, LossTerms, LossWeights};
use super::micro_batch::{Imitated, backward, forward};
use super::part::Part;
use super::patched::pairs as patched_pairs;
use super::teacher::TeacherSource;
use super::testing::qwen3;
use super::{Batch, BatchTensors, Initialization, Layout, Row, pending};
use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::model::backward::Gradients;
use crate::model::ids::{with_ids_below, with_own_ids};
use crate::model::numbers::testing::composed;
use crate::model::parameters::for_each;
use crate::plan::{LayerPlan, Patch};
use crate::prune::{Family, Student, Teacher};

macro_rules! configs {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!(
            "../../../tests/fixtures/architectures/", $name, "/config.json"
        )))),+]
    };
}

/// Every decoder among the fixtures, and one with norms of queries and keys.
const CONFIGS: [(&str, &str); 18] = configs!(
    "gemma2",
    "gemma3",
    "gpt-neox",
    "gpt-neox-sequential",
    "gpt2",
    "internlm2",
    "internlm3",
    "internlm3-biases",
    "llama-partial",
    "llama3-rope",
    "mistral",
    "mistral-listed",
    "olmo2",
    "olmo3",
    "phi3",
    "phi3-long",
    "qwen2-windows",
    "smollm3",
);

fn every_config() -> impl Iterator<Item = (&'static str, String)> {
    let of_fixtures = CONFIGS.map(|(name, config)| (name, config.to_owned()));
    of_fixtures.into_iter().chain([("qwen3", qwen3(true))])
}

const WEIGHTS: LossWeights = LossWeights {
    cross_entropy: 0.7,
    kl: 0.4,
    temperature: 2.0,
    kl_positions: KlPositions::Valid,
    alignment: 1.5,
};

/// Two rows: two documents, and one with padding.
fn batch(vocab: usize) -> Batch {
    let token = |index: u32| (3 + 7 * index) % vocab as u32;
    let row = |start: u32, segments: &[u32]| {
        let tokens = (0..segments.len() as u32).map(|index| token(start + index));
        Row::new(tokens.collect(), segments.to_vec())
    };
    let rows = vec![row(0, &[1, 1, 1, 1, 2, 2, 2, 2]), row(30, &[1, 1, 1, 1, 1, 1, 0, 0])];
    Batch::new(rows, Layout::Packed)
}

struct Models {
    teacher: LanguageModel,
    student: LanguageModel,
    pairs: Vec<(usize, usize)>,
}

fn models(config: &str) -> Models {
    let config = ModelConfig::from_json(config).unwrap();
    let device = Device::flex();
    let random = |config: &ModelConfig, seed| {
        LanguageModel::random(config, Initialization::HuggingFace, seed, &device)
    };
    let n_layers = config.n_layers();
    let plan = LayerPlan::keep(&[0, n_layers - 1], n_layers).unwrap();
    let kinds = vec![config.layers[0], config.layers[n_layers - 1]];
    let of_student = config.with_layers(kinds, config.tied);
    Models {
        teacher: random(&config, 1),
        student: with_own_ids(random(&of_student, 2)),
        pairs: plan.alignment().as_slice().to_vec(),
    }
}

/// The loss as equation 1 of the paper has it, on the graph.
fn loss_on_graph(models: &Models, student: &LanguageModel, batch: &Batch) -> Tensor<1> {
    let tensors = batch.to_device(&Device::flex());
    let states = student.hidden_states(tensors.tokens.clone(), &tensors.mask);
    let expected = models.teacher.hidden_states(tensors.tokens.clone(), &tensors.mask);
    let rows = |states: &Tensor<3>| {
        let [batch, seq, d_model] = states.dims();
        states.clone().reshape([batch * seq, d_model])
    };
    let logits = student.logits(rows(states.last().unwrap()));
    let of_teacher = models.teacher.logits(rows(expected.last().unwrap()));
    let log_probs = log_softmax(logits.clone(), 1);
    let cross_entropy = loss::cross_entropy(
        log_probs,
        tensors.targets.clone(),
        tensors.has_target.clone(),
        tensors.n_targets,
    );
    let counts = Some(tensors.is_token.clone());
    let kl = loss::kl_divergence(logits, of_teacher, WEIGHTS.temperature, counts, tensors.n_tokens);
    let mut total = cross_entropy * WEIGHTS.cross_entropy + kl * WEIGHTS.kl;
    for &(own, other) in &models.pairs {
        let (own, other) = (states[own].clone(), expected[other].clone());
        let distance = loss::alignment_loss(own, other, tensors.is_token.clone(), tensors.n_tokens);
        total = total + distance * (WEIGHTS.alignment / models.pairs.len() as f64);
    }
    total
}

struct OntoGraph;

impl ModuleMapper for OntoGraph {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        Param::initialized(id, param.into_value().autodiff().set_require_grad(true))
    }
}

struct Comparison<'a> {
    name: &'a str,
    path: Vec<String>,
    expected: &'a GradientsParams,
    found: &'a mut Gradients,
    /// Of the largest number of a tensor.
    tolerance: f32,
    /// The largest difference found.
    largest: f32,
    n_compared: usize,
}

/// All gradients of a model, within a thousandth of the largest number of each tensor.
fn compare(name: &str, model: &LanguageModel, expected: &GradientsParams, found: &mut Gradients) {
    let (path, tolerance, largest, n_compared) = (Vec::new(), 1e-3, 0.0, 0);
    let mut comparison = Comparison { name, path, expected, found, tolerance, largest, n_compared };
    model.visit(&mut comparison);
    assert!(comparison.n_compared > 10);
}

impl ModuleVisitor for Comparison<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = |tensor: Option<Tensor<D>>| -> Vec<f32> {
            let data = tensor.map(|tensor| tensor.to_data().iter::<f32>().collect());
            data.unwrap_or_else(|| vec![0.0; param.shape().num_elements()])
        };
        let (expected, found) =
            (values(self.expected.get::<D>(param.id)), values(self.found.take(param)));
        let largest = expected.iter().fold(1e-6_f32, |largest, x| largest.max(x.abs()));
        for (expected, found) in expected.iter().zip(found) {
            let found = found / SCALE as f32;
            let difference = (expected - found).abs() / largest;
            self.largest = self.largest.max(difference);
            let path = self.path.join(".");
            assert!(
                difference < self.tolerance,
                "{}: {path}: {found} instead of {expected}",
                self.name
            );
        }
        self.n_compared += 1;
    }
}

fn imitated<'a>(models: &'a Models, tensors: &BatchTensors, levers: &Levers) -> Imitated<'a> {
    let source = TeacherSource::from(Teacher::new(models.teacher.clone()));
    let aligned: Vec<usize> = models.pairs.iter().map(|pair| pair.1).collect();
    let states = source.states(std::slice::from_ref(tensors), &aligned, levers);
    let states = states.unwrap().pop().unwrap();
    Imitated { head: &models.teacher, states, pairs: &models.pairs }
}

fn whole(batch: &Batch, weights: &LossWeights) -> Part {
    Part::all(std::slice::from_ref(batch), weights, usize::MAX).remove(0)
}

/// What gradients are multiplied by.
const SCALE: f64 = 64.0;

fn found(models: &Models, batch: &Batch, levers: &Levers) -> (LossTerms, Gradients) {
    let mut gradients = Gradients::default();
    let tensors = batch.to_device(&Device::flex());
    let imitated = imitated(models, &tensors, levers);
    let part = whole(batch, &WEIGHTS);
    let part = (&part, &tensors);
    let imitated = Some(&imitated);
    let terms = backward(&models.student, imitated, part, &WEIGHTS, SCALE, levers, &mut gradients);
    (block_on(pending::read_alone(&terms)), gradients)
}

#[test]
fn gradients_are_those_of_the_graph_for_every_architecture_and_lever() {
    for (name, config) in every_config() {
        let models = models(&config);
        let batch = batch(models.student.config().vocab);
        let on_graph = models.student.clone().map(&mut OntoGraph);
        let loss = loss_on_graph(&models, &on_graph, &batch);
        let expected = GradientsParams::from_grads(loss.backward(), &on_graph);
        let loss = f64::from(loss.inner().into_scalar::<f32>());
        for recomputes in [false, true] {
            for (head_chunk, query_block) in [(1000, 1000), (3, 3), (16, 1)] {
                let levers = Levers { recomputes, head_chunk, query_block, ..Levers::default() };
                let fused = found(&models, &batch, &levers);
                let as_on_a_gpu = composed(|| found(&models, &batch, &levers));
                for (terms, mut gradients) in [fused, as_on_a_gpu] {
                    assert!((terms.total - loss).abs() < 1e-5, "{name}: {} {loss}", terms.total);
                    compare(name, &models.student, &expected, &mut gradients);
                }
            }
        }
    }
}

#[test]
fn gradients_of_a_member_flow_through_its_teacher_layers() {
    for (name, config) in every_config() {
        let mut models = models(&config);
        models.teacher = with_ids_below("teacher", models.teacher);
        let batch = batch(models.student.config().vocab);
        let on_graph = models.student.clone().map(&mut OntoGraph);
        let teacher_on_graph = models.teacher.clone().map(&mut OntoGraph);
        let n_layers = models.teacher.n_layers();
        let plan = LayerPlan::keep(&[0, n_layers - 1], n_layers).unwrap();
        let mut frozen = HashSet::new();
        for_each(&models.teacher, |_, tensor| {
            frozen.insert(tensor.id());
        });
        for (patched, recomputes) in [(0, false), (0, true), (1, false), (1, true)] {
            let patch = Patch::of(&[patched], &plan).unwrap();
            models.pairs = patched_pairs(&plan.alignment(), &plan, &patch);
            let member = |teacher: &LanguageModel, student: &LanguageModel| {
                let student = Student::new(student.clone(), plan.clone()).unwrap();
                Family::new(Teacher::new(teacher.clone()), student).unwrap().member(&patch)
            };
            let loss = loss_on_graph(&models, &member(&teacher_on_graph, &on_graph), &batch);
            let expected = GradientsParams::from_grads(loss.backward(), &on_graph);
            let trained = member(&models.teacher, &models.student);
            let (tensors, levers) =
                (batch.to_device(&Device::flex()), Levers { recomputes, ..Levers::default() });
            let imitated = imitated(&models, &tensors, &levers);
            let (part, mut gradients) = (whole(&batch, &WEIGHTS), Gradients::default());
            gradients.freeze(&frozen);
            let of_part = (&part, &tensors);
            let imitated = Some(&imitated);
            backward(&trained, imitated, of_part, &WEIGHTS, SCALE, &levers, &mut gradients);
            let mut none = NoGradient { gradients: &gradients };
            models.teacher.visit(&mut none);
            compare(name, &models.student, &expected, &mut gradients);
        }
    }
}

struct NoGradient<'a> {
    gradients: &'a Gradients,
}

impl ModuleVisitor for NoGradient<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert!(!self.gradients.has(param), "a parameter of the teacher has a gradient");
    }
}

#[test]
fn a_measured_loss_is_that_of_a_step() {
    for (name, config) in every_config() {
        let models = models(&config);
        let batch = batch(models.student.config().vocab);
        let levers = Levers { head_chunk: 3, ..Levers::default() };
        let tensors = batch.to_device(&Device::flex());
        let imitated = imitated(&models, &tensors, &levers);
        let part = whole(&batch, &WEIGHTS);
        let of_batch = (&part, &tensors);
        let measured = forward(&models.student, Some(&imitated), of_batch, &WEIGHTS, &levers);
        let measured = block_on(pending::read_alone(&measured));
        assert_eq!(measured, found(&models, &batch, &levers).0, "{name}");
    }
}

#[test]
fn a_term_of_weight_0_is_not_computed() {
    let models = models(&qwen3(true));
    let batch = batch(models.student.config().vocab);
    let weights = LossWeights { cross_entropy: 0.0, kl: 0.0, ..WEIGHTS };
    let (mut gradients, levers) = (Gradients::default(), Levers::default());
    let tensors = batch.to_device(&Device::flex());
    let imitated = imitated(&models, &tensors, &levers);
    let part = whole(&batch, &weights);
    let part = (&part, &tensors);
    let imitated = Some(&imitated);
    let terms = backward(&models.student, imitated, part, &weights, 1.0, &levers, &mut gradients);
    let terms = block_on(pending::read_alone(&terms));
    assert_eq!((terms.cross_entropy, terms.kl), (None, None));
    assert!(LossTerm::Alignment.value(&terms).is_some());
}

#[test]
fn half_precision_gives_the_same_gradients_up_to_its_rounding() {
    let models = models(&qwen3(true));
    let batch = batch(models.student.config().vocab);
    let on_graph = models.student.clone().map(&mut OntoGraph);
    let loss = loss_on_graph(&models, &on_graph, &batch);
    let expected = GradientsParams::from_grads(loss.backward(), &on_graph);
    for (mixed_precision, [least, most]) in
        [(MixedPrecision::F16, [1e-5, 1e-2]), (MixedPrecision::Bf16, [1e-4, 6e-2])]
    {
        let levers = Levers { mixed_precision, ..Levers::default() };
        let (_, mut gradients) = found(&models, &batch, &levers);
        let mut comparison = Comparison {
            name: "qwen3",
            path: Vec::new(),
            expected: &expected,
            found: &mut gradients,
            tolerance: most,
            largest: 0.0,
            n_compared: 0,
        };
        models.student.visit(&mut comparison);
        // That of f32 would be none.
        assert!(comparison.largest > least, "{mixed_precision:?}: {}", comparison.largest);
    }
}
