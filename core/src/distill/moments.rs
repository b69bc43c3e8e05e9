//! The state of AdamW: two moments of the gradient of every parameter.

use std::io::Write;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use crate::checkpoint::{CheckpointError, OutputTensor, Precision, write_tensors};
use crate::model::LanguageModel;
use crate::model::parameters::AnyTensor as _;
use crate::model::transfer::{Requested, TransferError, request};

/// The optimizer state of another run, or of none.
#[derive(Debug, Error)]
#[error("the optimizer state cannot be read: {0}")]
pub struct OptimizerStateError(String);

/// First and second moments of the gradients, by parameter.
#[derive(Default)]
pub(super) struct Moments {
    of_gradients: [GradientsParams; 2],
    /// `None`: that of the weights.
    device: Option<Device>,
}

impl Moments {
    /// The same on another device than the weights.
    pub(super) fn on(self, device: Device) -> Self {
        Self { device: Some(device), ..self }
    }

    /// Where they are, if not with the weights.
    pub(super) fn device(&self) -> Option<Device> {
        self.device.clone()
    }

    /// The moments of a parameter, out of the state; zeros like `gradient` before the first step.
    pub(super) fn take<const D: usize>(
        &mut self,
        id: ParamId,
        gradient: &Tensor<D>,
    ) -> [Tensor<D>; 2] {
        self.of_gradients
            .each_mut()
            .map(|moments| moments.remove::<D>(id).unwrap_or_else(|| gradient.zeros_like()))
    }

    pub(super) fn put<const D: usize>(&mut self, id: ParamId, [m, v]: [Tensor<D>; 2]) {
        self.of_gradients[0].register(id, m);
        self.of_gradients[1].register(id, v);
    }

    /// # Errors
    /// [`CheckpointError::NotFinite`] names a moment that is not finite; [`CheckpointError::Output`] if
    /// `out` cannot be written.
    pub(super) fn write(
        &self,
        model: &LanguageModel,
        loss_scale: Option<[f32; 2]>,
        out: &mut dyn Write,
    ) -> Result<(), CheckpointError> {
        let mut collect =
            Collect { path: Vec::new(), moments: &self.of_gradients, found: Vec::new() };
        model.visit(&mut collect);
        collect.found.extend(loss_scale.map(|numbers| OutputTensor {
            name: LOSS_SCALE.to_owned(),
            dtype: Precision::F32.dtype(),
            shape: vec![numbers.len()],
            write: Box::new(move |out| Precision::F32.write(LOSS_SCALE, &numbers, out)),
        }));
        write_tensors(collect.found, None, out)
    }

    /// The same on `device`, read back without blocking.
    ///
    /// # Errors
    /// [`TransferError`] when the device that they are on is lost.
    pub(super) async fn on_device(
        &self,
        model: &LanguageModel,
        device: &Device,
    ) -> Result<Self, TransferError> {
        let mut requests = Requests { moments: &self.of_gradients, of: Vec::new() };
        model.visit(&mut requests);
        let mut moved = Self { device: Some(device.clone()), ..Self::default() };
        for (which, values, put) in requests.of {
            put(values.await?, device, &mut moved.of_gradients[which]);
        }
        Ok(moved)
    }

    /// Returns the loss scale, where the state has one.
    ///
    /// # Errors
    /// [`OptimizerStateError`] for bytes that are not the optimizer state of such a model.
    pub(super) fn restore(
        &mut self,
        model: &LanguageModel,
        bytes: &[u8],
    ) -> Result<Option<[f32; 2]>, OptimizerStateError> {
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let mut restore = Restore {
            path: Vec::new(),
            file: &file,
            device: self.device.clone(),
            moments: <[GradientsParams; 2]>::default(),
            n_found: 0,
            error: None,
        };
        model.visit(&mut restore);
        if let Some(error) = restore.error {
            return Err(error);
        }
        let loss_scale = file.tensor(LOSS_SCALE).ok();
        let n_expected = restore.n_found + usize::from(loss_scale.is_some());
        if n_expected != file.len() {
            let other = file.len() - n_expected;
            return Err(unreadable(format!("{other} of its tensors belong to another model")));
        }
        let loss_scale = loss_scale.map(|view| match f32s(view.data()).collect::<Vec<_>>()[..] {
            [value, n_steps] if value.is_finite() && value >= 1.0 => Ok([value, n_steps]),
            ref found => Err(unreadable(format!("{LOSS_SCALE} is {found:?}"))),
        });
        self.of_gradients = restore.moments;
        loss_scale.transpose()
    }
}

/// The tensor on `device`; from one device to another its numbers pass through this program's memory.
pub(super) fn moved<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    if x.device() == *device {
        return x;
    }
    #[allow(clippy::disallowed_methods, reason = "only native programs use two devices")]
    let data = x.into_data();
    Tensor::from_data(data, device)
}

fn unreadable(error: impl ToString) -> OptimizerStateError {
    OptimizerStateError(error.to_string())
}

/// Its tensor, beside those of moments.
const LOSS_SCALE: &str = "loss_scale";

fn f32s(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// The names of a parameter's moments.
fn names(path: &[String]) -> [String; 2] {
    let path = path.join(".");
    [format!("m.{path}"), format!("v.{path}")]
}

struct Collect<'a> {
    path: Vec<String>,
    moments: &'a [GradientsParams; 2],
    found: Vec<OutputTensor<'a>>,
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
            let moment = Param::initialized(param.id, moment);
            let (of_error, dtype) = (name.clone(), Precision::F32.dtype());
            let write = move |out: &mut dyn Write| {
                let mut outcome = Ok(());
                moment.read(&mut |values| outcome = Precision::F32.write(&of_error, values, out));
                outcome
            };
            let shape = param.dims().to_vec();
            self.found.push(OutputTensor { name, dtype, shape, write: Box::new(write) });
        }
    }
}

/// Registers a moment's values under its parameter.
type Put = Box<dyn FnOnce(TensorData, &Device, &mut GradientsParams)>;

struct Requests<'a> {
    moments: &'a [GradientsParams; 2],
    /// The first or second moment of a parameter, its values, and what becomes of them.
    of: Vec<(usize, Requested, Put)>,
}

impl ModuleVisitor for Requests<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for (which, moments) in self.moments.iter().enumerate() {
            // A frozen parameter has none.
            let Some(moment) = moments.get::<D>(param.id) else { continue };
            let id = param.id;
            let put: Put = Box::new(move |values, device, moments| {
                moments.register(id, Tensor::<D>::from_data(values, device));
            });
            self.of.push((which, request(moment), put));
        }
    }
}

struct Restore<'a> {
    path: Vec<String>,
    file: &'a SafeTensors<'a>,
    /// `None`: that of the weights.
    device: Option<Device>,
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
            let data = TensorData::new(f32s(view.data()).collect::<Vec<f32>>(), param.dims());
            let device = self.device.clone().unwrap_or_else(|| param.val().device());
            moments.register(param.id, Tensor::<D>::from_data(data, &device));
            self.n_found += 1;
        }
    }
}
