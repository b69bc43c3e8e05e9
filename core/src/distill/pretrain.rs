//! Training a small teacher from scratch: the same step with cross-entropy alone.

use burn::tensor::{Device, TensorData};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batch::Batch;
use super::levers::Levers;
use super::loss::LossWeights;
use super::micro_batch::backward;
use super::part::Part;
use super::report::StepReport;
use super::settings::UpdateSettings;
use super::update::Updater;
use crate::architecture::NormKind;
use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::model::parameters::Parameter;

/// A model in training on text alone.
pub struct Pretrainer {
    updater: Updater,
}

impl Pretrainer {
    pub fn new(model: LanguageModel, settings: UpdateSettings) -> Self {
        Self { updater: Updater::new(model, settings, 0) }
    }

    pub fn n_steps(&self) -> usize {
        self.updater.step()
    }

    /// The model as it is now.
    pub fn model(&self) -> LanguageModel {
        self.updater.model().clone()
    }

    /// One step of the optimizer over the gradients of some micro-batches.
    pub async fn step(&mut self, batches: &[Batch]) -> StepReport {
        let weights = LossWeights { kl: 0.0, alignment: 0.0, ..LossWeights::default() };
        let mut gradients = self.updater.gradients();
        let mut pending = Vec::with_capacity(batches.len());
        let levers = Levers::default();
        for part in &Part::all(batches, &weights, levers.sequences_per_part) {
            let model = self.updater.model();
            let part = (part, &part.batch.to_device(&model.device()));
            pending.push(backward(model, None, part, &weights, 1.0, &levers, &mut gradients));
        }
        let report = self.updater.finish(gradients, pending, batches, &mut |_| true).await;
        let report = report.expect("a single replica waits for no other");
        report.expect("in f32 every step is taken")
    }
}

/// How random weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initialization {
    /// Normal with deviation 0.02, norms 1, biases 0: what transformers gives a model made from its
    /// config alone. The paper's random baseline.
    HuggingFace,
    /// For training a small model quickly: deviation `d_input^-0.5`, projections into the residual
    /// stream smaller by `sqrt(2 * n_layers)`, a head of zeros.
    Scaled,
}

impl LanguageModel {
    /// A model with random weights; the same seed gives the same model on every platform.
    pub fn random(
        config: &ModelConfig,
        initialization: Initialization,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |parameter: &Parameter| {
            let deviation = initialization.deviation(parameter, config);
            let is_norm = parameter.path.ends_with(".gamma");
            // A norm that changes nothing.
            let one = match config.traits().norm.kind {
                NormKind::RmsAroundOne => 0.0,
                NormKind::Rms | NormKind::Layer => 1.0,
            };
            let n_values = parameter.shape.iter().product();
            let values: Vec<f32> = (0..n_values)
                .map(|_| if is_norm { one } else { deviation * standard_normal(&mut rng) })
                .collect();
            Ok::<_, std::convert::Infallible>(TensorData::new(values, parameter.shape.clone()))
        };
        match Self::build(config, device, draw) {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }
}

impl Initialization {
    fn deviation(self, parameter: &Parameter, config: &ModelConfig) -> f32 {
        let path = parameter.path.as_str();
        if [".bias", ".beta", "_bias"].iter().any(|end| path.ends_with(end)) {
            return 0.0;
        }
        match self {
            Self::HuggingFace => 0.02,
            Self::Scaled if path.starts_with("head.") => 0.0,
            Self::Scaled if path.starts_with("embedding.") => 0.02,
            Self::Scaled => {
                let d_input = parameter.shape[0] as f32;
                let into_residual =
                    path.ends_with("output.weight") || path.ends_with("down.weight");
                let shrink =
                    if into_residual { (2.0 * config.n_layers() as f32).sqrt() } else { 1.0 };
                d_input.powf(-0.5) / shrink
            }
        }
    }
}

/// Box and Muller's transform: exact enough, and the same on every platform.
fn standard_normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    (radius * angle.cos()) as f32
}
