//! Steps in half precision: near those in f32, resumed to the bit, and not ended by an overflow.

#![cfg(test)]

use futures_lite::future::block_on;

use super::loss::LossWeights;
use super::{
    Batch, DistillSettings, Distiller, Layout, Levers, MixedPrecision, Row, Schedule, StepReport,
    UpdateSettings, testing,
};
use crate::checkpoint::{Precision, model_to_bytes};
use crate::plan::LayerPlan;
use crate::prune::Student;

fn distiller(mixed_precision: MixedPrecision, factor: f64) -> Distiller {
    let teacher = testing::teacher(&testing::qwen3(false));
    let student = teacher.prune(&LayerPlan::keep(&[0, 3], 4).unwrap()).unwrap();
    let settings = testing::settings(UpdateSettings::new(Schedule::cosine(1e-3, 6)));
    let settings = DistillSettings { loss: LossWeights::default().times(factor), ..settings };
    let levers = Levers { mixed_precision, ..Levers::default() };
    Distiller::new(teacher, student, settings, 0).with_levers(levers)
}

fn steps(distiller: &mut Distiller, n: usize) -> Vec<StepReport> {
    let row = |start: u32| Row::new((start..start + 9).collect(), vec![1; 9]);
    let batches = [0, 7].map(|start| Batch::new(vec![row(start)], Layout::Packed));
    (0..n).map(|_| block_on(distiller.step(&batches)).unwrap()).collect()
}

#[test]
fn steps_in_half_precision_are_near_those_in_f32() {
    let expected = steps(&mut distiller(MixedPrecision::Off, 1.0), 6);
    for (mixed_precision, tolerance) in [(MixedPrecision::F16, 2e-3), (MixedPrecision::Bf16, 2e-2)]
    {
        let found = steps(&mut distiller(mixed_precision, 1.0), 6);
        for (found, expected) in found.iter().zip(&expected) {
            let close = |found: f64, expected: f64| (found - expected).abs() / expected < tolerance;
            assert!(close(found.terms.total, expected.terms.total), "{found:?} {expected:?}");
            assert!(close(found.grad_norm, expected.grad_norm), "{found:?} {expected:?}");
        }
        assert_ne!(found, expected);
    }
}

#[test]
fn a_gradient_that_overflows_is_recomputed_with_a_smaller_scale() {
    // At the first scale it is beyond the 65504 that f16 can hold.
    const FACTOR: f64 = 1e4;
    let [expected] = &steps(&mut distiller(MixedPrecision::Off, FACTOR), 1)[..] else { panic!() };
    let mut half = distiller(MixedPrecision::F16, FACTOR);
    let [found] = &steps(&mut half, 1)[..] else { panic!() };
    assert!((found.grad_norm / expected.grad_norm - 1.0).abs() < 1e-2, "{found:?} {expected:?}");
    assert_eq!(half.n_steps(), 1);
}

#[test]
fn a_loss_that_no_scale_makes_finite_is_reported_as_such() {
    let found = steps(&mut distiller(MixedPrecision::F16, 1e30), 1);
    assert!(!found[0].is_finite(), "{found:?}");
}

#[test]
fn a_run_is_resumed_with_its_loss_scale() {
    let mut whole = distiller(MixedPrecision::F16, 1e4);
    steps(&mut whole, 2);
    let mut state = Vec::new();
    whole.write_optimizer_state(&mut state).unwrap();
    let plan = LayerPlan::keep(&[0, 3], 4).unwrap();
    let student = Student::new(whole.student().model().clone(), plan).unwrap();
    let teacher = testing::teacher(&testing::qwen3(false));
    let settings = testing::settings(UpdateSettings::new(Schedule::cosine(1e-3, 6)));
    let settings = DistillSettings { loss: LossWeights::default().times(1e4), ..settings };
    let levers = Levers { mixed_precision: MixedPrecision::F16, ..Levers::default() };
    let mut resumed = Distiller::new(teacher, student, settings, 2)
        .with_levers(levers)
        .with_optimizer_state(&state)
        .unwrap();
    assert_eq!(steps(&mut resumed, 2), steps(&mut whole, 2));
    let bytes = |of: &Distiller| model_to_bytes(of.student().model(), Precision::F32).unwrap();
    assert!(bytes(&resumed) == bytes(&whole));
}
