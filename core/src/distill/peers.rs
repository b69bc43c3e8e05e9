//! Replicas of a student that take every step together: on several devices, or on several machines.
//!
//! Each has the same weights and optimizer, takes its share of a step's micro-batches, and adds its
//! gradients to those of the others, so that all make the same update. This is data parallelism as in
//! `torch.nn.parallel.DistributedDataParallel`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use thiserror::Error;

use crate::model::LanguageModel;
use crate::model::backward::Gradients;

/// What replicas exchange. All call the same functions in the same order, with as many numbers.
pub trait Peers: Send {
    /// The number of this replica, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn n_ranks(&self) -> usize;

    /// Replaces the numbers by their sums over all replicas, to the bit the same for each of them.
    ///
    /// # Errors
    /// [`PeerError`] when another replica has stopped.
    fn sum(&mut self, numbers: &mut [f32]) -> Result<(), PeerError>;
}

/// Another replica has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PeerError(pub String);

/// Adds the gradients of all replicas of `model`.
pub(super) fn sum_gradients(
    model: &LanguageModel,
    gradients: &mut Gradients,
    peers: &mut dyn Peers,
) -> Result<(), PeerError> {
    let mut found = Found { gradients, flags: Vec::new() };
    model.visit(&mut found);
    let mut flags = found.flags;
    peers.sum(&mut flags)?;
    let mut sums = SumGradients { gradients, peers, flags: flags.into_iter(), outcome: Ok(()) };
    model.visit(&mut sums);
    sums.outcome
}

/// Which parameters have a gradient here: one that has none anywhere is not updated.
struct Found<'a> {
    gradients: &'a Gradients,
    /// 1 or 0 by parameter.
    flags: Vec<f32>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.flags.push(f32::from(u8::from(self.gradients.has(param))));
    }
}

struct SumGradients<'a> {
    gradients: &'a mut Gradients,
    peers: &'a mut dyn Peers,
    flags: std::vec::IntoIter<f32>,
    outcome: Result<(), PeerError>,
}

impl ModuleVisitor for SumGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is_found = self.flags.next().is_some_and(|n_found| n_found > 0.0);
        if self.outcome.is_err() || !is_found {
            return;
        }
        let gradient = self.gradients.take(param).unwrap_or_else(|| param.val().zeros_like());
        let (shape, device) = (gradient.dims(), gradient.device());
        #[allow(clippy::disallowed_methods, reason = "only native programs have several devices")]
        let mut numbers: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        self.outcome = self.peers.sum(&mut numbers);
        let sum = Tensor::from_data(TensorData::new(numbers, shape), &device);
        self.gradients.put(param, sum);
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};
    use std::thread;

    use futures_lite::future::block_on;

    use super::super::{
        Batch, Distiller, Layout, Reduction, Row, Schedule, StepReport, StochasticPatching,
        UpdateSettings, testing,
    };
    use super::*;
    use crate::checkpoint::{Precision, model_to_bytes};
    use crate::plan::LayerPlan;

    /// Threads of this test.
    struct Threads {
        rank: usize,
        slots: Arc<Mutex<Vec<Vec<f32>>>>,
        barrier: Arc<Barrier>,
    }

    impl Threads {
        fn new(n_ranks: usize) -> Vec<Self> {
            let slots = Arc::new(Mutex::new(vec![Vec::new(); n_ranks]));
            let barrier = Arc::new(Barrier::new(n_ranks));
            let one = |rank| Self { rank, slots: slots.clone(), barrier: barrier.clone() };
            (0..n_ranks).map(one).collect()
        }
    }

    impl Peers for Threads {
        fn rank(&self) -> usize {
            self.rank
        }

        fn n_ranks(&self) -> usize {
            self.slots.lock().unwrap().len()
        }

        fn sum(&mut self, numbers: &mut [f32]) -> Result<(), PeerError> {
            self.slots.lock().unwrap()[self.rank] = numbers.to_vec();
            self.barrier.wait();
            let slots = self.slots.lock().unwrap().clone();
            for (index, number) in numbers.iter_mut().enumerate() {
                *number = slots.iter().map(|slot| slot[index]).sum();
            }
            self.barrier.wait();
            Ok(())
        }
    }

    fn distiller(reduction: Reduction) -> Distiller {
        let teacher = testing::teacher(&testing::qwen3(false));
        let student = teacher.prune(&LayerPlan::keep(&[0, 3], 4).unwrap()).unwrap();
        let update = UpdateSettings { reduction, ..UpdateSettings::new(Schedule::cosine(1e-2, 3)) };
        Distiller::new(teacher, student, testing::settings(update), 0)
    }

    /// Three steps over as many micro-batches, of different lengths.
    fn three_steps(mut distiller: Distiller) -> (Vec<StepReport>, Vec<u8>) {
        let row =
            |start: u32, len: u32| Row::new((start..start + len).collect(), vec![1; len as usize]);
        let batches: Vec<Batch> = (0..3)
            .map(|number| Batch::new(vec![row(number, 6 + number)], Layout::Packed))
            .collect();
        let reports = (0..3).map(|_| block_on(distiller.step(&batches)).unwrap()).collect();
        (reports, model_to_bytes(distiller.student().model(), Precision::F32).unwrap())
    }

    #[test]
    fn replicas_take_the_steps_of_one_device() {
        replicas_step_as_one_device(distiller);
    }

    #[test]
    fn replicas_train_the_members_of_one_device() {
        let patching = StochasticPatching { probability: 0.5, seed: 3 };
        replicas_step_as_one_device(|reduction| {
            distiller(reduction).with_patching(patching).unwrap()
        });
    }

    fn replicas_step_as_one_device(distiller: impl Fn(Reduction) -> Distiller) {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let (expected, _) = three_steps(distiller(reduction));
            for n_ranks in [2, 3] {
                let replicas = Threads::new(n_ranks).into_iter().map(|peers| {
                    let replica = distiller(reduction).with_peers(Box::new(peers));
                    #[allow(clippy::disallowed_methods, reason = "a test may have threads")]
                    thread::spawn(|| three_steps(replica))
                });
                let replicas: Vec<_> = replicas.collect();
                let found: Vec<_> =
                    replicas.into_iter().map(|replica| replica.join().unwrap()).collect();
                for (reports, weights) in &found {
                    assert!(*weights == found[0].1, "replicas differ");
                    for (found, expected) in reports.iter().zip(&expected) {
                        let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * b.abs().max(1.0);
                        assert!(close(found.terms.total, expected.terms.total), "{found:?}");
                        assert!(
                            close(found.grad_norm, expected.grad_norm),
                            "{found:?} {expected:?}"
                        );
                        assert_eq!(found.n_tokens, expected.n_tokens);
                        assert_eq!(found.micro_batches.len(), 3);
                    }
                }
            }
        }
    }
}
