//! From gradients to new weights: clip, then AdamW (arXiv:1711.05101).

use std::collections::HashSet;
use std::io::Write;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

use super::batch::Batch;
use super::loss_scale::LossScale;
use super::moments::{Moments, OptimizerStateError, moved};
use super::peers::{PeerError, Peers, sum_gradients};
use super::pending::{self, PendingTerms};
use super::report::StepReport;
use super::settings::{DecayRule, Part, Reduction, UpdateSettings};
use crate::architecture::{Architecture, UndecayedNorms};
use crate::checkpoint::CheckpointError;
use crate::model::LanguageModel;
use crate::model::backward::{AdamW, Gradients, adamw, sum_of_squares};
use crate::model::ids::with_own_ids;
use crate::model::parameters::{Parameter, for_each};

/// A model in training, with its optimizer.
pub(crate) struct Updater {
    /// `None` only while a step changes it.
    model: Option<LanguageModel>,
    moments: Moments,
    frozen: HashSet<ParamId>,
    undecayed: HashSet<ParamId>,
    settings: UpdateSettings,
    step: usize,
    /// The other replicas, if there are any.
    peers: Option<Box<dyn Peers>>,
    /// What losses are multiplied by, where gradients are f16 on their way.
    loss_scale: Option<LossScale>,
}

impl Updater {
    /// Training starts at `step`; the weights of `model` are not changed, training works on its own.
    pub(crate) fn new(model: LanguageModel, settings: UpdateSettings, step: usize) -> Self {
        let model = with_own_ids(model);
        let (mut frozen, mut undecayed) = (HashSet::new(), HashSet::new());
        let architecture = model.config().architecture;
        for_each(&model, |parameter, tensor| {
            if settings.frozen.iter().any(|part| part.contains(&parameter.path)) {
                frozen.insert(tensor.id());
            }
            if !settings.decay_rule.decays(parameter, architecture) {
                undecayed.insert(tensor.id());
            }
        });
        let moments = Moments::default();
        let model = Some(model);
        Self { model, moments, frozen, undecayed, settings, step, peers: None, loss_scale: None }
    }

    pub(crate) fn model(&self) -> &LanguageModel {
        self.model.as_ref().expect("the model is taken out for the length of a step only")
    }

    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// Where the gradients of a step are added up.
    pub(super) fn gradients(&self) -> Gradients {
        Gradients::new(self.frozen.clone())
    }

    /// Whether all replicas go on.
    pub(super) fn agree(&mut self, goes_on: bool) -> Result<bool, PeerError> {
        let Some(peers) = &mut self.peers else { return Ok(goes_on) };
        let mut n_that_stop = [f32::from(u8::from(!goes_on))];
        peers.sum(&mut n_that_stop)?;
        Ok(n_that_stop[0] == 0.0)
    }

    /// The micro-batches of a step that are for this replica.
    pub(super) fn share(&self, batches: &[Batch]) -> Vec<Batch> {
        self.numbers(batches.len()).map(|number| batches[number].clone()).collect()
    }

    /// The numbers of these micro-batches among all `n_batches` of the step.
    pub(super) fn numbers(&self, n_batches: usize) -> impl Iterator<Item = usize> + use<> {
        let (rank, n_ranks) =
            self.peers.as_ref().map_or((0, 1), |peers| (peers.rank(), peers.n_ranks()));
        (rank..n_batches).step_by(n_ranks.max(1))
    }

    /// Ends a step over these micro-batches, of which those of this replica are `pending`: the weights
    /// change by their gradients unless these are not finite or the report is not accepted. What is
    /// pending is read back from the device before, all at once. `None` where the gradient overflowed by
    /// the loss scale, which is smaller then; nothing has changed.
    ///
    /// # Errors
    /// [`PeerError`] when another replica has stopped.
    pub(super) async fn finish(
        &mut self,
        mut gradients: Gradients,
        pending: Vec<PendingTerms>,
        batches: &[Batch],
        accepts: &mut dyn FnMut(&StepReport) -> bool,
    ) -> Result<Option<StepReport>, PeerError> {
        if let (Some(peers), Some(model)) = (&mut self.peers, &self.model) {
            sum_gradients(model, &mut gradients, peers.as_mut())?;
        }
        let learning_rate = self.settings.schedule.at(self.step);
        let factor = match self.settings.reduction {
            Reduction::Mean => 1.0 / batches.len().max(1) as f64,
            Reduction::Sum => 1.0,
        } / self.loss_scale();
        let norm = self.norm(&mut gradients) * factor;
        let n_tokens = batches.iter().map(Batch::n_tokens).sum();
        let peers = self.peers.as_deref_mut();
        let (micro_batches, grad_norm) =
            pending::read(pending, norm.clone(), peers, batches.len()).await?;
        if let Some(scale) = &mut self.loss_scale {
            // A loss that is not finite stays so at any scale.
            let are_finite = micro_batches.iter().all(|terms| terms.total.is_finite());
            if grad_norm.is_finite() {
                scale.keep();
            } else if are_finite && scale.lower() {
                return Ok(None);
            }
        }
        let terms = pending::reduce(&micro_batches, self.settings.reduction);
        let mut report = StepReport {
            terms,
            micro_batches,
            grad_norm,
            learning_rate,
            n_tokens,
            is_taken: false,
        };
        report.is_taken = report.is_finite() && accepts(&report);
        self.step += 1;
        if report.is_taken {
            self.apply(gradients, &norm, factor, learning_rate);
        }
        Ok(Some(report))
    }

    /// The global norm of gradients, `[1]`, on the device.
    fn norm(&self, gradients: &mut Gradients) -> Tensor<1> {
        let mut squares = SumOfSquares { gradients, sum: None };
        self.model().visit(&mut squares);
        squares.sum.unwrap_or_else(|| Tensor::zeros([1], &self.model().device())).sqrt()
    }

    /// Changes the weights by gradients that are multiplied by `factor`; `norm` is what their norm is
    /// then, before clipping.
    fn apply(
        &mut self,
        mut gradients: Gradients,
        norm: &Tensor<1>,
        factor: f64,
        learning_rate: f64,
    ) {
        let clip = (norm.clone() + NORM_FLOOR).recip() * self.settings.clip;
        let settings = &self.settings;
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(self.step as i32);
        let mut update = Update {
            adamw: AdamW {
                learning_rate: learning_rate as f32,
                beta_1: settings.beta_1,
                beta_2: settings.beta_2,
                epsilon: settings.epsilon,
                weight_decay: settings.weight_decay,
                gradient_scale: 1.0,
                corrections: [settings.beta_1, settings.beta_2].map(|b| correction(b) as f32),
            },
            factor: clip.clamp_max(1.0) * factor,
            gradients: &mut gradients,
            moments: &mut self.moments,
            undecayed: &self.undecayed,
        };
        // The only owner of its tensors gives them up to be changed in place.
        self.model = self.model.take().map(|model| model.map(&mut update));
    }

    /// Writes the moments of every parameter as safetensors, to resume from, one of them in memory at a
    /// time.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] names a moment that is not finite; [`CheckpointError::Output`] if
    /// `out` cannot be written.
    pub(crate) fn write_optimizer_state(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        self.moments.write(self.model(), self.loss_scale.map(LossScale::to_numbers), out)
    }

    /// The same bytes, by way of another device and without blocking.
    ///
    /// # Errors
    /// As [`Updater::write_optimizer_state`]; [`CheckpointError::Transfer`] when a device is lost.
    pub(crate) async fn optimizer_state_by(
        &self,
        host: &Device,
    ) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        if self.model().device() == *host {
            self.write_optimizer_state(&mut bytes)?;
            return Ok(bytes);
        }
        let moments = self.moments.on_device(self.model(), host).await?;
        moments.write(self.model(), self.loss_scale.map(LossScale::to_numbers), &mut bytes)?;
        Ok(bytes)
    }

    /// # Errors
    /// [`OptimizerStateError`] for bytes that are not the optimizer state of such a model.
    pub(crate) fn with_optimizer_state(
        mut self,
        bytes: &[u8],
    ) -> Result<Self, OptimizerStateError> {
        let model = self.model.as_ref().expect("no step is being taken");
        let scale = self.moments.restore(model, bytes)?;
        if let (Some(own), Some(numbers)) = (&mut self.loss_scale, scale) {
            *own = LossScale::from_numbers(numbers);
        }
        Ok(self)
    }

    /// Goes back to the weights and optimizer state of an earlier `step`, among the same replicas, with
    /// learning rates that are multiplied by `rate` from there on.
    ///
    /// # Errors
    /// As [`Updater::with_optimizer_state`]; then this cannot take another step.
    pub(crate) fn rewind(
        &mut self,
        model: LanguageModel,
        step: usize,
        optimizer: &[u8],
        rate: f64,
    ) -> Result<(), OptimizerStateError> {
        // The memory of the moments is for those of the earlier step.
        let moments = std::mem::take(&mut self.moments);
        let mut settings = self.settings.clone();
        settings.schedule.peak *= rate;
        let mut other = Self::new(model, settings, step);
        if let Some(device) = moments.device() {
            other = other.with_optimizer_on(device);
        }
        drop(moments);
        other.loss_scale = self.loss_scale.map(|_| LossScale::default());
        let other = other.with_optimizer_state(optimizer)?;
        let peers = self.peers.take();
        *self = Self { peers, ..other };
        Ok(())
    }

    /// What losses are multiplied by before their gradients are taken.
    pub(super) fn loss_scale(&self) -> f64 {
        self.loss_scale.map_or(1.0, |scale| scale.value())
    }

    /// Scales losses for gradients that are f16 on their way.
    pub(super) fn with_loss_scale(mut self) -> Self {
        self.loss_scale = Some(LossScale::default());
        self
    }

    /// Takes steps together with other replicas.
    pub(crate) fn with_peers(mut self, peers: Box<dyn Peers>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Takes steps alone from now on.
    pub(crate) fn leave_peers(&mut self) {
        self.peers = None;
    }

    /// Keeps the moments on `device`, and updates the weights there. The result is the same, but for
    /// rounding.
    pub(crate) fn with_optimizer_on(mut self, device: Device) -> Self {
        self.moments = self.moments.on(device);
        self
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

struct SumOfSquares<'a> {
    gradients: &'a mut Gradients,
    /// `[1]`
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.take(param) else { return };
        let (squares, gradient) = sum_of_squares(gradient);
        self.gradients.put(param, gradient);
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + squares,
            None => squares,
        });
    }
}

struct Update<'a> {
    adamw: AdamW,
    /// Mean over micro-batches and clipping, `[1]`.
    factor: Tensor<1>,
    gradients: &'a mut Gradients,
    moments: &'a mut Moments,
    undecayed: &'a HashSet<ParamId>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.take(&param) else { return param };
        let id = param.id;
        let decay = if self.undecayed.contains(&id) { 0.0 } else { self.adamw.weight_decay };
        let settings = AdamW { weight_decay: decay, ..self.adamw };
        let weights = param.into_value();
        let device = weights.device();
        let there = self.moments.device().unwrap_or_else(|| device.clone());
        let (weights, gradient) = (moved(weights, &there), moved(gradient, &there));
        let factor = moved(self.factor.clone(), &there);
        let moments = self.moments.take(id, &gradient);
        let (weights, moments) = adamw(settings, &factor, weights, moments, &gradient);
        self.moments.put(id, moments);
        Param::initialized(id, moved(weights, &device))
    }
}
