//! From the losses of some micro-batches to new weights: accumulate, clip, AdamW.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Tensor};
use thiserror::Error;

use super::batch::Batch;
use super::pending::{self, PendingTerms};
use super::report::StepReport;
use super::settings::{DecayRule, Part, Reduction, UpdateSettings};
use crate::architecture::{Architecture, UndecayedNorms};
use crate::model::LanguageModel;
use crate::model::graph::make_trainable;
use crate::model::parameters::{Parameter, for_each};

/// The optimizer state of another run, or of none.
#[derive(Debug, Error)]
#[error("the optimizer state cannot be read: {0}")]
pub struct OptimizerStateError(String);

/// A model in training, with its optimizer.
pub(crate) struct Updater {
    model: LanguageModel,
    optimizer: ModuleOptimizer,
    accumulator: GradientsAccumulator<LanguageModel>,
    n_accumulated: usize,
    settings: UpdateSettings,
    step: usize,
}

impl Updater {
    /// Training starts at `step`; the weights of `model` are not changed, training works on its own.
    pub(crate) fn new(model: LanguageModel, settings: UpdateSettings, step: usize) -> Self {
        let frozen = settings.frozen.clone();
        let model = make_trainable(model, |path| !frozen.iter().any(|part| part.contains(path)));
        let adamw = |weight_decay| {
            AdamWConfig::new()
                .with_beta_1(settings.beta_1)
                .with_beta_2(settings.beta_2)
                .with_epsilon(settings.epsilon)
                .with_weight_decay(weight_decay)
                .build()
        };
        let mut undecayed = Vec::new();
        let architecture = model.config().architecture;
        for_each(&model, |parameter, tensor| {
            if !settings.decay_rule.decays(parameter, architecture) {
                undecayed.push(tensor.id());
            }
        });
        let optimizer = ModuleOptimizer::from(adamw(settings.weight_decay)).with_group(
            ParamGroup::from_ids(undecayed),
            adamw(0.0),
            None,
        );
        let accumulator = GradientsAccumulator::new();
        Self { model, optimizer, accumulator, n_accumulated: 0, settings, step }
    }

    pub(crate) fn model(&self) -> &LanguageModel {
        &self.model
    }

    pub(crate) fn step(&self) -> usize {
        self.step
    }

    fn learning_rate(&self) -> f64 {
        self.settings.schedule.at(self.step)
    }

    /// Adds the gradient of one micro-batch's loss.
    pub(crate) fn accumulate(&mut self, loss: &Tensor<1>) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        self.accumulator.accumulate(&self.model, gradients);
        self.n_accumulated += 1;
    }

    /// Ends a step over these micro-batches: the weights change by what was accumulated, and what was
    /// pending is read back from the device, all at once.
    pub(super) async fn finish(
        &mut self,
        pending: Vec<PendingTerms>,
        batches: &[Batch],
    ) -> StepReport {
        let learning_rate = self.learning_rate();
        let grad_norm = self.apply();
        let n_tokens = batches.iter().map(Batch::n_tokens).sum();
        pending::read(pending, grad_norm, self.settings.reduction, learning_rate, n_tokens).await
    }

    /// Changes the weights by what was accumulated. Returns the norm of the reduced gradient before
    /// clipping, `[1]`, still on the device.
    fn apply(&mut self) -> Tensor<1> {
        let learning_rate = self.learning_rate();
        let mut gradients = self.accumulator.grads();
        let scale = match self.settings.reduction {
            Reduction::Mean => 1.0 / self.n_accumulated.max(1) as f64,
            Reduction::Sum => 1.0,
        };
        let norm = gradient_norm(&self.model, &gradients) * scale;
        let clip = (norm.clone() + NORM_FLOOR).recip() * self.settings.clip;
        let factor = clip.clamp_max(1.0) * scale;
        self.model.visit(&mut Scale { gradients: &mut gradients, factor });
        // burn's optimizer takes the model by value; clones share their tensors.
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradients);
        self.step += 1;
        self.n_accumulated = 0;
        norm
    }

    /// The moments of every parameter, to go on from later.
    ///
    /// # Errors
    /// [`OptimizerStateError`] when they cannot be laid out.
    pub(crate) fn optimizer_state(&self) -> Result<Vec<u8>, OptimizerStateError> {
        let bytes = self.optimizer.into_bytes();
        Ok(bytes.map_err(|error| OptimizerStateError(error.to_string()))?.to_vec())
    }

    /// # Errors
    /// [`OptimizerStateError`] for bytes that are no optimizer state.
    pub(crate) fn with_optimizer_state(
        mut self,
        bytes: Vec<u8>,
    ) -> Result<Self, OptimizerStateError> {
        self.optimizer = self
            .optimizer
            .from_bytes(Bytes::from_bytes_vec(bytes))
            .map_err(|error| OptimizerStateError(error.to_string()))?;
        Ok(self)
    }
}

/// Added to the norm before dividing by it, as torch does.
const NORM_FLOOR: f64 = 1e-6;

/// Norms around attention and MLP, as paths have them.
const OF_LAYERS: [&str; 4] =
    ["attention_norm.", "attention_post_norm.", "mlp_norm.", "mlp_post_norm."];

impl DecayRule {
    fn decays(self, parameter: &Parameter, architecture: Architecture) -> bool {
        let path = parameter.path.as_str();
        match self {
            Self::Matrices => parameter.shape.len() > 1,
            Self::Reference => {
                let is_norm = path.ends_with(".gamma");
                let exempt_norm = match architecture.traits().undecayed_norms {
                    UndecayedNorms::All => true,
                    UndecayedNorms::OfLayers => OF_LAYERS.iter().any(|norm| path.contains(norm)),
                    UndecayedNorms::None => false,
                };
                let is_bias = path.ends_with(".bias") || path.ends_with(".beta");
                !(is_bias || is_norm && exempt_norm)
            }
        }
    }
}

impl Part {
    fn contains(self, path: &str) -> bool {
        match self {
            Self::Embedding => path.starts_with("embedding."),
            Self::Head => path.starts_with("head."),
        }
    }
}

/// The Euclidean norm of all gradients together, `[1]`.
fn gradient_norm(model: &LanguageModel, gradients: &GradientsParams) -> Tensor<1> {
    let mut squares = SumOfSquares { gradients, sum: None };
    model.visit(&mut squares);
    let none = || Tensor::zeros([1], &model.device().inner());
    squares.sum.unwrap_or_else(none).sqrt()
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let squares = gradient.square().sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + squares,
            None => squares,
        });
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        self.gradients.register(param.id, gradient * self.factor.clone().unsqueeze());
    }
}
