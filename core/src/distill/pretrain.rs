//! Training a small teacher from scratch: the same step with cross-entropy alone.

use std::borrow::Cow;

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
use super::stochastic::LayerDrop;
use super::update::Updater;
use crate::architecture::NormKind;
use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::model::parameters::Parameter;

/// A model in training on text alone.
pub struct Pretrainer {
    updater: Updater,
    layer_drop: Option<LayerDrop>,
}

impl Pretrainer {
    pub fn new(model: LanguageModel, settings: UpdateSettings) -> Self {
        Self { updater: Updater::new(model, settings, 0), layer_drop: None }
    }

    /// Drops layers at random, another draw for every micro-batch. With a rate of 0 nothing changes.
    #[must_use]
    pub fn with_layer_drop(self, settings: LayerDrop) -> Self {
        Self { layer_drop: Some(settings).filter(|settings| settings.rate > 0.0), ..self }
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
            let model = self.trained(part.micro_batch);
            let part = (part, &part.batch.to_device(&model.device()));
            pending.push(backward(&model, None, part, &weights, 1.0, &levers, &mut gradients));
        }
        if self.layer_drop.is_some() {
            // A dropped layer has a gradient of 0, not none: its moments decay.
            self.updater.model().fill_gradients(true, &mut gradients);
        }
        let report = self.updater.finish(gradients, pending, batches, &mut |_| true).await;
        let report = report.expect("a single replica waits for no other");
        report.expect("in f32 every step is taken")
    }

    /// The layers that a micro-batch trains, with embedding and head.
    fn trained(&self, micro_batch: usize) -> Cow<'_, LanguageModel> {
        let model = self.updater.model();
        let Some(drop) = self.layer_drop else { return Cow::Borrowed(model) };
        let kept = drop.kept(model.n_layers(), self.updater.step(), micro_batch);
        let layers = kept.into_iter().map(|layer| model.layers()[layer].clone());
        Cow::Owned(model.with_layers(layers.collect()))
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

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use futures_lite::future::block_on;

    use super::super::{Layout, Row, Schedule, testing};
    use super::*;
    use crate::checkpoint::{Precision, model_to_bytes};

    fn trained(layer_drop: Option<LayerDrop>) -> (Vec<StepReport>, Vec<u8>) {
        let model = testing::teacher(&testing::qwen3(false)).model().clone();
        let mut pretrainer = Pretrainer::new(model, UpdateSettings::new(Schedule::cosine(1e-2, 4)));
        if let Some(settings) = layer_drop {
            pretrainer = pretrainer.with_layer_drop(settings);
        }
        let batch = Batch::new(vec![Row::new((1..9).collect(), vec![1; 8])], Layout::Packed);
        let reports = (0..4).map(|_| block_on(pretrainer.step(std::slice::from_ref(&batch))));
        (reports.collect(), model_to_bytes(&pretrainer.model(), Precision::F32).unwrap())
    }

    #[test]
    fn a_rate_of_0_drops_nothing() {
        let dropped = trained(Some(LayerDrop { rate: 0.0, seed: 1 }));
        assert!(dropped == trained(None));
    }

    #[test]
    fn dropped_layers_change_the_loss_and_the_model_stays_whole() {
        let (reports, model) = trained(Some(LayerDrop { rate: 0.5, seed: 1 }));
        let (expected, whole) = trained(None);
        assert!(reports.iter().all(StepReport::is_finite));
        assert!(reports[0].terms != expected[0].terms);
        assert_eq!(model.len(), whole.len());
    }
}
