//! These tests need an adapter; a software one (llvmpipe) will do, and `cargo xtask test` installs
//! it. Without any they fail, saying so: the GPU path is half of what Boomerang is.

use std::sync::Arc;

use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{
    Batch, DistillSettings, Distiller, Levers, Schedule, StepReport, TeacherSource, UpdateSettings,
};
use boomerang_core::evaluate::{PrefixTree, Request, Stack, answer};
use boomerang_core::generate::{Generation, Sampling};
use boomerang_core::plan::PatchOrder;
use boomerang_native_trainer::device::{DeviceChoice, choose, cpu};
use boomerang_native_trainer::files::ModelFolder;
use boomerang_native_trainer::train::teacher::streamed_teacher;
use boomerang_tests::commands::write_model;
use boomerang_tests::{block_on, relative_difference, tiny_batch, tiny_family, values};
use burn::tensor::{Device, Tensor};

fn gpu() -> Device {
    choose(DeviceChoice::Wgpu).expect("a GPU adapter, if only a software one").device
}

fn distill(device: &Device, levers: Levers) -> Vec<StepReport> {
    let family = tiny_family(device);
    let settings = DistillSettings {
        loss: LossWeights::default(),
        update: UpdateSettings::new(Schedule::cosine(3e-3, 6)),
        alignment: None,
    };
    let student = family.teacher().prune(family.plan()).unwrap();
    let teacher = family.teacher().model().clone();
    let dir = tempfile::tempdir().unwrap();
    write_model(&teacher, dir.path());
    let folder = Arc::new(ModelFolder::open(dir.path()).unwrap());
    let source = match levers.streams_teacher {
        true => streamed_teacher(&folder, folder.ends(device).unwrap(), device).unwrap(),
        false => TeacherSource::from(family.teacher().clone()),
    };
    let distiller = Distiller::new(source, student, settings, 0).with_levers(levers);
    let mut distiller = match levers.optimizer_on_host {
        true => distiller.with_optimizer_on(cpu()),
        false => distiller,
    };
    let batches: [Batch; 2] = [tiny_batch(2, 12), tiny_batch(3, 9)];
    (0..6).map(|_| block_on(distiller.step(&batches)).unwrap()).collect()
}

#[test]
fn a_distillation_on_the_gpu_agrees_with_the_cpu() {
    agrees_with_the_cpu(Levers::default());
}

#[test]
fn so_it_does_with_every_lever_on() {
    agrees_with_the_cpu(Levers {
        recomputes: true,
        head_chunk: 5,
        query_block: 5,
        streams_teacher: true,
        optimizer_on_host: true,
        sequences_per_part: 1,
        parts_per_pass: 2,
    });
}

/// To within 1e-3 of each loss and gradient norm.
fn agrees_with_the_cpu(levers: Levers) {
    let (on_gpu, on_cpu) = (distill(&gpu(), levers), distill(&cpu(), Levers::default()));
    assert!(on_cpu[5].terms.total < on_cpu[0].terms.total, "it has to learn something");
    for (gpu, cpu) in on_gpu.iter().zip(&on_cpu) {
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-3 * expected.max(1.0);
        assert!(close(gpu.terms.total, cpu.terms.total), "{gpu:?} is not {cpu:?}");
        assert!(close(gpu.grad_norm, cpu.grad_norm), "{gpu:?} is not {cpu:?}");
    }
}

#[test]
fn every_member_answers_alike_on_gpu_and_cpu() {
    let likelihoods = |device: &Device| {
        let family = tiny_family(device);
        let plan = family.plan();
        let stacks: Vec<Stack> = PatchOrder::Last
            .path(plan)
            .unwrap()
            .iter()
            .map(|patch| Stack::new(&plan.recipe(patch), 0, 1))
            .collect();
        let requests = [Request::new(vec![3, 1, 4, 1, 5], 1..5).unwrap()];
        let models = [family.teacher().model(), family.student().model()];
        let answers = block_on(answer(&models, &PrefixTree::new(&stacks), &requests)).unwrap();
        answers.iter().map(|answers| answers[0].log_likelihood as f32).collect::<Vec<_>>()
    };
    assert!(relative_difference(&likelihoods(&gpu()), &likelihoods(&cpu())) < 1e-4);
}

#[test]
fn generation_on_the_gpu_gives_the_tokens_of_the_cpu() {
    let generate = |device: &Device| {
        let family = tiny_family(device);
        let model = family.teacher().model();
        let mut generation = Generation::new(model, &[3, 1, 4], 12, Sampling::Greedy).unwrap();
        let mut tokens = Vec::new();
        while let Some(token) = block_on(generation.next()).unwrap() {
            tokens.push(token);
        }
        tokens
    };
    assert_eq!(generate(&gpu()), generate(&cpu()));
}

#[test]
fn two_tensors_read_one_after_the_other_keep_their_values() {
    // Once, the second read returned the first one's buffer (cubecl#901).
    let device = gpu();
    let first = Tensor::<1>::from_data([1.0, 2.0], &device);
    let second = Tensor::<1>::from_data([3.0, 4.0], &device);
    assert_eq!((values(first), values(second)), (vec![1.0, 2.0], vec![3.0, 4.0]));
}
