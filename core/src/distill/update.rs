//! From gradients to new weights: clip, then AdamW (arXiv:1711.05101).

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use super::batch::Batch;
use super::pending::{self, PendingTerms};
use super::report::StepReport;
use super::settings::{DecayRule, Part, Reduction, UpdateSettings};
use crate::architecture::{Architecture, UndecayedNorms};
use crate::model::LanguageModel;
use crate::model::backward::{AdamW, Gradients, adamw, sum_of_squares};
use crate::model::ids::with_own_ids;
use crate::model::parameters::{Parameter, for_each};

/// The optimizer state of another run, or of none.
#[derive(Debug, Error)]
#[error("the optimizer state cannot be read: {0}")]
pub struct OptimizerStateError(String);

/// A model in training, with its optimizer.
pub(crate) struct Updater {
    /// `None` only while a step changes it.
    model: Option<LanguageModel>,
    /// First and second moments of the gradients, by parameter.
    moments: [GradientsParams; 2],
    frozen: HashSet<ParamId>,
    undecayed: HashSet<ParamId>,
    settings: UpdateSettings,
    step: usize,
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
        let moments = [(); 2].map(|()| GradientsParams::new());
        let model = Some(model);
        Self { model, moments, frozen, undecayed, settings, step }
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

    /// Ends a step over these micro-batches: the weights change by their gradients, and what is
    /// pending is read back from the device, all at once.
    pub(super) async fn finish(
        &mut self,
        gradients: Gradients,
        pending: Vec<PendingTerms>,
        batches: &[Batch],
    ) -> StepReport {
        let learning_rate = self.settings.schedule.at(self.step);
        let grad_norm = self.apply(gradients, learning_rate, batches.len());
        let n_tokens = batches.iter().map(Batch::n_tokens).sum();
        pending::read(pending, grad_norm, self.settings.reduction, learning_rate, n_tokens).await
    }

    /// Changes the weights. Returns the global norm of the reduced gradient before clipping, `[1]`,
    /// still on the device.
    fn apply(
        &mut self,
        mut gradients: Gradients,
        learning_rate: f64,
        n_micro_batches: usize,
    ) -> Tensor<1> {
        let scale = match self.settings.reduction {
            Reduction::Mean => 1.0 / n_micro_batches.max(1) as f64,
            Reduction::Sum => 1.0,
        };
        let mut squares = SumOfSquares { gradients: &mut gradients, sum: None };
        self.model().visit(&mut squares);
        let none = || Tensor::zeros([1], &self.model().device());
        let norm = squares.sum.unwrap_or_else(none).sqrt() * scale;
        let clip = (norm.clone() + NORM_FLOOR).recip() * self.settings.clip;
        self.step += 1;
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
            factor: clip.clamp_max(1.0) * scale,
            gradients: &mut gradients,
            moments: &mut self.moments,
            undecayed: &self.undecayed,
        };
        // The only owner of its tensors gives them up to be changed in place.
        self.model = self.model.take().map(|model| model.map(&mut update));
        norm
    }

    /// The moments of every parameter, as safetensors, to resume from.
    ///
    /// # Errors
    /// [`OptimizerStateError`] when they cannot be laid out.
    pub(crate) fn optimizer_state(&self) -> Result<Vec<u8>, OptimizerStateError> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut collect = Collect { path: Vec::new(), moments: &self.moments, found: &mut tensors };
        self.model().visit(&mut collect);
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            view.map(|view| (name.clone(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        safetensors::serialize(views, None).map_err(unreadable)
    }

    /// # Errors
    /// [`OptimizerStateError`] for bytes that are not the optimizer state of such a model.
    pub(crate) fn with_optimizer_state(
        mut self,
        bytes: &[u8],
    ) -> Result<Self, OptimizerStateError> {
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let mut restore = Restore {
            path: Vec::new(),
            file: &file,
            moments: [(); 2].map(|()| GradientsParams::new()),
            n_found: 0,
            error: None,
        };
        self.model().visit(&mut restore);
        if let Some(error) = restore.error {
            return Err(error);
        }
        if restore.n_found != file.len() {
            let other = file.len() - restore.n_found;
            return Err(unreadable(format!("{other} of its tensors belong to another model")));
        }
        self.moments = restore.moments;
        Ok(self)
    }
}

fn unreadable(error: impl ToString) -> OptimizerStateError {
    OptimizerStateError(error.to_string())
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
    moments: &'a mut [GradientsParams; 2],
    undecayed: &'a HashSet<ParamId>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.take(&param) else { return param };
        let id = param.id;
        let decay = if self.undecayed.contains(&id) { 0.0 } else { self.adamw.weight_decay };
        let settings = AdamW { weight_decay: decay, ..self.adamw };
        let moments = self
            .moments
            .each_mut()
            .map(|moments| moments.remove::<D>(id).unwrap_or_else(|| gradient.zeros_like()));
        let weights = param.into_value();
        let (weights, [m, v]) = adamw(settings, &self.factor, weights, moments, &gradient);
        self.moments[0].register(id, m);
        self.moments[1].register(id, v);
        Param::initialized(id, weights)
    }
}

/// The names of a parameter's moments.
fn names(path: &[String]) -> [String; 2] {
    let path = path.join(".");
    [format!("m.{path}"), format!("v.{path}")]
}

struct Collect<'a> {
    path: Vec<String>,
    moments: &'a [GradientsParams; 2],
    found: &'a mut Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for (name, moments) in names(&self.path).into_iter().zip(self.moments) {
            let Some(moment) = moments.get::<D>(param.id) else { continue };
            #[allow(clippy::disallowed_methods, reason = "saving reads back from native devices")]
            let data = moment.to_data();
            let values = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
            self.found.push((name, param.dims().to_vec(), values));
        }
    }
}

struct Restore<'a> {
    path: Vec<String>,
    file: &'a SafeTensors<'a>,
    moments: [GradientsParams; 2],
    n_found: usize,
    error: Option<OptimizerStateError>,
}

impl ModuleVisitor for Restore<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for (name, moments) in names(&self.path).into_iter().zip(&mut self.moments) {
            // A frozen parameter has none.
            let Ok(view) = self.file.tensor(&name) else { continue };
            if view.dtype() != Dtype::F32 || view.shape() != param.dims() {
                let (found, expected) = (view.shape(), param.dims());
                let message = format!("{name} has shape {found:?}; expected {expected:?}");
                self.error.get_or_insert(OptimizerStateError(message));
                continue;
            }
            let values =
                view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let data = TensorData::new(values.collect::<Vec<f32>>(), param.dims());
            moments.register(param.id, Tensor::<D>::from_data(data, &param.val().device()));
            self.n_found += 1;
        }
    }
}
