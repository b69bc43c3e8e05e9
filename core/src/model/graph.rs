//! Parameters on the training graph and off it.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::parameters::id_of;

/// The module with its parameters on the training graph, under the ids of their paths; those that
/// `trains` turns down keep their values.
pub(crate) fn make_trainable<M: Module>(module: M, trains: impl Fn(&str) -> bool) -> M {
    module.map(&mut OntoGraph { path: Vec::new(), trains })
}

/// The module with its parameters off the training graph.
pub(crate) fn off_graph<M: Module>(module: M) -> M {
    module.map(&mut OffGraph)
}

struct OntoGraph<F> {
    path: Vec<String>,
    trains: F,
}

impl<F: Fn(&str) -> bool> ModuleMapper for OntoGraph<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let tensor = param.into_value().inner().autodiff();
        let tensor = tensor.set_require_grad((self.trains)(&path));
        Param::initialized(id_of(&path), tensor)
    }
}

struct OffGraph;

impl ModuleMapper for OffGraph {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        Param::initialized(id, param.into_value().inner().set_require_grad(false))
    }
}
