//! The numbers of a tensor where they are in this program's memory.
//!
//! Decoding runs one position at a time. burn's backend for the CPU composes a norm or a rotation of
//! many small tensors and reads a matrix in one stream, half as fast as memory provides it, so
//! `decode.rs` computes on the numbers themselves. Only with the feature `flex`, for programs that
//! compute on that backend; without it no tensor's numbers are found.

#![allow(
    clippy::result_large_err,
    reason = "a tensor that is not changed is handed back to the caller"
)]

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

/// Whether `module` holds nothing but parameters whose numbers are found, in row-major order, or that are
/// packed: those have no values yet.
pub(super) fn all_in_memory(module: &impl burn::module::Module) -> bool {
    let mut search = Search { all_found: true };
    module.visit(&mut search);
    search.all_found
}

/// Whether numbers on this device are found.
pub(super) fn is_in_memory(device: &Device) -> bool {
    numbers(&Tensor::<1>::zeros([1], device)).is_some()
}

struct Search {
    all_found: bool,
}

impl ModuleVisitor for Search {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.all_found &= !param.is_initialized() || numbers(&param.val()).is_some();
    }
}

#[cfg(all(feature = "flex", feature = "distill"))]
pub(super) use on_flex::Numbers;
#[cfg(feature = "flex")]
pub(super) use on_flex::{change, numbers, stored};

#[cfg(feature = "flex")]
mod on_flex {
    use std::ops::{Deref, Range};

    use burn::backend::{
        BackendTensor, BackendTypes, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
        Flex,
    };
    use burn::tensor::{DType, Tensor};

    type FlexTensor = <Flex as BackendTypes>::FloatTensorPrimitive;

    /// A tensor of f32 in this program's memory, in any order; cloning one copies no numbers.
    pub(in crate::model) struct Stored(FlexTensor);

    /// All numbers of a tensor, in row-major order.
    pub(in crate::model) struct Numbers {
        stored: Stored,
        place: Range<usize>,
    }

    /// `None` as for [`stored`], and for a tensor in another order than row-major.
    pub(in crate::model) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Option<Numbers> {
        let stored = stored(tensor)?;
        let (start, end) = stored.0.layout().contiguous_offsets()?;
        Some(Numbers { stored, place: start..end })
    }

    impl Deref for Numbers {
        type Target = [f32];

        fn deref(&self) -> &[f32] {
            &self.stored.0.storage::<f32>()[self.place.clone()]
        }
    }

    /// `None` for a tensor on another device, on the training graph, or of another number format.
    pub(in crate::model) fn stored<const D: usize>(tensor: &Tensor<D>) -> Option<Stored> {
        #[cfg(test)]
        if super::testing::composes() {
            return None;
        }
        let tensor = tensor.clone().into_dispatch();
        if tensor.autodiff != DispatchAutodiffContext::Disabled {
            return None;
        }
        #[allow(unreachable_patterns, reason = "there may be no other backend")]
        match tensor.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => {
                (tensor.dtype() == DType::F32).then_some(Stored(tensor))
            }
            _ => None,
        }
    }

    /// Changes the numbers of a tensor in place, or in a copy where others share them; the tensor
    /// itself as an error where they are not found.
    pub(in crate::model) fn change<const D: usize>(
        tensor: Tensor<D>,
        act: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor<D>, Tensor<D>> {
        if numbers(&tensor).is_none() {
            return Err(tensor);
        }
        let DispatchTensor { kind, autodiff } = tensor.into_dispatch();
        #[allow(unreachable_patterns, reason = "there may be no other backend")]
        match kind {
            DispatchTensorKind::Flex(BackendTensor::Float(mut tensor)) => {
                if let Some((start, end)) = tensor.layout().contiguous_offsets() {
                    act(&mut tensor.storage_mut::<f32>()[start..end]);
                }
                let kind = DispatchTensorKind::Flex(BackendTensor::Float(tensor));
                Ok(Tensor::from_dispatch(DispatchTensor { kind, autodiff }))
            }
            kind => Err(Tensor::from_dispatch(DispatchTensor { kind, autodiff })),
        }
    }

    impl Stored {
        /// Those at one index of the second of four dimensions, where the first has length 1.
        pub(in crate::model) fn block(&self, index: usize) -> Option<&[f32]> {
            let layout = self.0.layout();
            let (shape, strides) = (layout.shape(), layout.strides());
            let (len, width) = (shape[2], shape[3]);
            if strides[3] != 1 || strides[2] != width as isize || strides[1] < 0 {
                return None;
            }
            let start = layout.start_offset() + index * strides[1] as usize;
            self.0.storage::<f32>().get(start..start + len * width)
        }
    }
}

#[cfg(all(not(feature = "flex"), feature = "distill"))]
pub(super) use elsewhere::Numbers;
#[cfg(not(feature = "flex"))]
pub(super) use elsewhere::{change, numbers, stored};

#[cfg(not(feature = "flex"))]
mod elsewhere {
    use std::ops::Deref;

    use burn::tensor::Tensor;

    /// Never found.
    pub(in crate::model) enum Stored {}

    /// Never found.
    pub(in crate::model) enum Numbers {}

    pub(in crate::model) fn numbers<const D: usize>(_tensor: &Tensor<D>) -> Option<Numbers> {
        None
    }

    pub(in crate::model) fn stored<const D: usize>(_tensor: &Tensor<D>) -> Option<Stored> {
        None
    }

    pub(in crate::model) fn change<const D: usize>(
        tensor: Tensor<D>,
        _act: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor<D>, Tensor<D>> {
        Err(tensor)
    }

    impl Deref for Numbers {
        type Target = [f32];

        fn deref(&self) -> &[f32] {
            match *self {}
        }
    }

    impl Stored {
        pub(in crate::model) fn block(&self, _index: usize) -> Option<&[f32]> {
            match *self {}
        }
    }
}

/// The numbers of a tensor that a model may do without: `Some(None)` where it does, `None` where they
/// are not found.
#[cfg(feature = "distill")]
pub(super) fn numbers_of<const D: usize>(tensor: Option<&Tensor<D>>) -> Option<Option<Numbers>> {
    tensor.map_or(Some(None), |tensor| numbers(tensor).map(Some))
}

/// Hides all numbers, so that tests compare both ways of computing.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::Cell;

    thread_local! {
        static COMPOSES: Cell<bool> = const { Cell::new(false) };
    }

    #[cfg(feature = "flex")]
    pub(super) fn composes() -> bool {
        COMPOSES.get()
    }

    /// Runs `act` with burn's operations only, as on a GPU.
    pub(crate) fn composed<T>(act: impl FnOnce() -> T) -> T {
        COMPOSES.set(true);
        let outcome = act();
        COMPOSES.set(false);
        outcome
    }
}
