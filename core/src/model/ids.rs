//! Parameters under the ids of their own paths.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::parameters::id_of;

/// The module with each parameter under the id of its path: layers of a student have those of the
/// teacher's layers that they were copied from.
pub(crate) fn with_own_ids<M: Module>(module: M) -> M {
    module.map(&mut OwnIds { path: Vec::new() })
}

/// The module with each parameter under the id of its path below `name`, which no other model has.
pub(crate) fn with_ids_below<M: Module>(name: &str, module: M) -> M {
    module.map(&mut OwnIds { path: vec![name.to_owned()] })
}

struct OwnIds {
    path: Vec<String>,
}

impl ModuleMapper for OwnIds {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(id_of(&self.path.join(".")), param.into_value())
    }
}
