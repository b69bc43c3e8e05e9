//! Every parameter of a module by its path: the one way in which weights enter and leave a model.
//!
//! A path is the fields that lead to the parameter, `layers.3.attention.query.weight`. Reading a
//! checkpoint, random initialization, writing and counting all go through here.

use std::collections::BTreeMap;
use std::sync::Arc;

use boomerang_kernels::PackedMatrix;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};

use super::numbers::{is_in_memory, numbers};
use super::packed::{self, Packable, Packs, Values};

/// Which parameter is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The fields that lead to it, joined by dots.
    pub path: String,
    pub shape: Vec<usize>,
}

/// Gives every parameter of `module` the values that `source` has for it, on `device`.
///
/// The module may be lazy: what it was initialized with is never computed.
///
/// # Errors
/// The first error of `source`.
pub fn fill<M: Module + Packs, V: Into<Values>, E>(
    module: M,
    prefix: &str,
    device: &Device,
    mut source: impl FnMut(&Parameter) -> Result<V, E>,
) -> Result<M, E> {
    replace(module, prefix, device, |parameter| source(parameter).map(Some))
}

/// As [`fill`], and keeps the parameters for which `source` has `None`; copies no value of them.
///
/// # Errors
/// The first error of `source`.
pub fn replace<M: Module + Packs, V: Into<Values>, E>(
    module: M,
    prefix: &str,
    device: &Device,
    source: impl FnMut(&Parameter) -> Result<Option<V>, E>,
) -> Result<M, E> {
    let path = prefix.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut filler = Filler { path, device, source, packed: BTreeMap::new(), error: None };
    let mut module = module.map(&mut filler);
    if let Some(error) = filler.error {
        return Err(error);
    }
    for (path, slot) in module.packed_mut() {
        let path = if prefix.is_empty() { path } else { format!("{prefix}.{path}") };
        if let Some(matrix) = filler.packed.remove(&path) {
            slot.set(matrix);
        }
    }
    Ok(module)
}

/// Calls `visit` with every parameter of `module`, in the order of its fields.
pub fn for_each<M: Module>(module: &M, visit: impl FnMut(&Parameter, &dyn AnyTensor)) {
    module.visit(&mut Each { path: Vec::new(), visit });
}

/// A tensor of any rank.
pub trait AnyTensor {
    /// Row-major values, read back from the device; blocks, so not for WebGPU in a browser.
    fn to_data(&self) -> TensorData;
    /// Calls `act` with the row-major values; those in this program's memory are not copied.
    fn read(&self, act: &mut dyn FnMut(&[f32]));
    /// The same tensor; copies no values.
    fn shared(&self) -> Box<dyn AnyTensor>;
    fn id(&self) -> ParamId;
}

struct Filler<'a, F, E> {
    path: Vec<String>,
    device: &'a Device,
    source: F,
    packed: BTreeMap<String, Arc<PackedMatrix>>,
    error: Option<E>,
}

impl<F, V: Into<Values>, E> ModuleMapper for Filler<'_, F, E>
where
    F: FnMut(&Parameter) -> Result<Option<V>, E>,
{
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let parameter =
            Parameter { path: self.path.join("."), shape: param.lazy_shape().as_slice().to_vec() };
        let id = id_of(&parameter.path);
        match (self.source)(&parameter).map(|values| values.map(Into::into)) {
            Ok(None) => param,
            Ok(Some(Values::Wide(data))) => {
                Param::initialized(id, Tensor::from_data(data, self.device))
            }
            Ok(Some(Values::Packed(matrix))) => {
                let packable = Packable::find(&parameter).expect("a parameter that may be packed");
                assert_eq!([matrix.n_rows(), matrix.n_columns()], packable.shape(&parameter));
                let matrix = Arc::new(matrix);
                // Elsewhere the parameter is made of it, and it is not kept.
                if is_in_memory(self.device) {
                    self.packed.insert(parameter.path, matrix.clone());
                }
                packed::lazy(id, &parameter.shape, matrix, packable, self.device)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

/// The same parameter has the same id in every model and every run, so that the state of an
/// optimizer can be saved and found again.
pub(super) fn id_of(path: &str) -> ParamId {
    // 64-bit FNV-1a: stable across platforms and releases, which the standard hasher is not.
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ParamId::from(hash)
}

struct Each<F> {
    path: Vec<String>,
    visit: F,
}

impl<F: FnMut(&Parameter, &dyn AnyTensor)> ModuleVisitor for Each<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter =
            Parameter { path: self.path.join("."), shape: param.lazy_shape().as_slice().to_vec() };
        (self.visit)(&parameter, param);
    }
}

impl<const D: usize> AnyTensor for Param<Tensor<D>> {
    fn to_data(&self) -> TensorData {
        self.val().inner().to_data()
    }

    fn read(&self, act: &mut dyn FnMut(&[f32])) {
        if let Some(values) = numbers(&self.val()) {
            return act(&values);
        }
        act(&self.to_data().iter::<f32>().collect::<Vec<f32>>());
    }

    fn shared(&self) -> Box<dyn AnyTensor> {
        Box::new(self.clone())
    }

    fn id(&self) -> ParamId {
        self.id
    }
}
