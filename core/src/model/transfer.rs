//! Weights copied from one device to another without blocking: a program in a browser cannot wait for
//! WebGPU.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use super::LanguageModel;
use super::parameters::fill;

/// Why values cannot be read back.
#[derive(Debug, Error)]
#[error("reading weights back from the device failed: {0}")]
pub struct TransferError(String);

/// The values of a tensor, requested from its device.
pub(crate) type Requested = Pin<Box<dyn Future<Output = Result<TensorData, TransferError>>>>;

/// Requests the values of a tensor; they are awaited later, so that many are requested together.
pub(crate) fn request<const D: usize>(tensor: Tensor<D>) -> Requested {
    let values = tensor.into_data_async();
    Box::pin(async move { values.await.map_err(|error| TransferError(error.to_string())) })
}

impl LanguageModel {
    /// The same weights on `device`; those that are there already are not copied.
    ///
    /// # Errors
    /// [`TransferError`] when the device that they are on is lost.
    pub async fn on_device(&self, device: &Device) -> Result<Self, TransferError> {
        if self.device() == *device {
            return Ok(self.clone());
        }
        let mut requests = Requests { path: Vec::new(), of: Vec::new() };
        self.visit(&mut requests);
        let mut values = BTreeMap::new();
        for (path, requested) in requests.of {
            values.insert(path, requested.await?);
        }
        fill(self.clone(), "", device, |parameter| {
            let found = values.remove(&parameter.path);
            found.ok_or_else(|| TransferError(format!("{} has no values", parameter.path)))
        })
    }
}

struct Requests {
    path: Vec<String>,
    of: Vec<(String, Requested)>,
}

impl ModuleVisitor for Requests {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.of.push((self.path.join("."), request(param.val())));
    }
}
