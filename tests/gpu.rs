//! These tests need an adapter; a software one (llvmpipe) will do, and `cargo xtask test` installs
//! it. Without any they fail, saying so: the GPU path is half of what Boomerang is.

use std::sync::Arc;

use boomerang_core::config::ModelConfig;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{
    Batch, DistillSettings, Distiller, Initialization, Layout, Levers, MixedPrecision, Row,
    Schedule, StepReport, TeacherSource, UpdateSettings,
};
use boomerang_core::evaluate::{PrefixTree, Request, Stack, answer};
use boomerang_core::generate::{Generation, Sampling, certainties, retrace};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, PatchOrder};
use boomerang_core::prune::{Student, Teacher};
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
fn a_run_read_back_without_blocking_is_resumed_with_its_losses() {
    let family = tiny_family(&gpu());
    let settings = DistillSettings {
        loss: LossWeights::default(),
        update: UpdateSettings::new(Schedule::cosine(3e-3, 6)),
        alignment: None,
    };
    let student = family.teacher().prune(family.plan()).unwrap();
    let teacher = || TeacherSource::from(family.teacher().clone());
    let mut distiller = Distiller::new(teacher(), student, settings.clone(), 0);
    let batches = [tiny_batch(2, 12)];
    let step = |distiller: &mut Distiller| block_on(distiller.step(&batches)).unwrap().terms.total;
    step(&mut distiller);
    step(&mut distiller);
    let optimizer = block_on(distiller.optimizer_state_by(&cpu())).unwrap();
    let mut expected = Vec::new();
    distiller.write_optimizer_state(&mut expected).unwrap();
    assert!(optimizer == expected);

    let on_cpu = block_on(distiller.student_on(&cpu())).unwrap();
    assert_eq!(on_cpu.model().device(), cpu());
    let back = block_on(on_cpu.model().on_device(&gpu())).unwrap();
    let student = Student::new(back, family.plan().clone()).unwrap();
    let resumed = Distiller::new(teacher(), student, settings, 2);
    let mut resumed = resumed.with_optimizer_state(&optimizer).unwrap();
    assert_eq!(step(&mut resumed), step(&mut distiller));
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
        ..Levers::default()
    });
}

#[test]
fn half_precision_on_the_gpu_is_near_f32_on_the_cpu() {
    let mixed_precision = MixedPrecision::F16;
    assert!(gpu().supports_dtype(mixed_precision.dtype()), "llvmpipe has f16");
    // The norm of a gradient shows the rounding of every product before it.
    agrees_to_within([1e-2, 5e-2], Levers { mixed_precision, ..Levers::default() });
}

fn agrees_with_the_cpu(levers: Levers) {
    agrees_to_within([1e-3; 2], levers);
}

/// Each loss, and each gradient norm.
fn agrees_to_within([of_losses, of_norms]: [f64; 2], levers: Levers) {
    let (on_gpu, on_cpu) = (distill(&gpu(), levers), distill(&cpu(), Levers::default()));
    assert!(on_cpu[5].terms.total < on_cpu[0].terms.total, "it has to learn something");
    for (gpu, cpu) in on_gpu.iter().zip(&on_cpu) {
        let close = |found: f64, expected: f64, tolerance: f64| {
            (found - expected).abs() < tolerance * expected.max(1.0)
        };
        assert!(close(gpu.terms.total, cpu.terms.total, of_losses), "{gpu:?} is not {cpu:?}");
        assert!(close(gpu.grad_norm, cpu.grad_norm, of_norms), "{gpu:?} is not {cpu:?}");
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

/// Above the number of threads that work on a row together.
const VOCAB: usize = 512;

/// A model of three layers.
fn model(device: &Device) -> LanguageModel {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "tie_word_embeddings": true,
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    LanguageModel::random(&config, Initialization::HuggingFace, 1, device)
}

fn tokens(n: usize) -> Vec<u32> {
    (0..n).map(|index| ((index * 97 + 13) % VOCAB) as u32).collect()
}

/// With a vocabulary of 31 they agreed, while the cross-entropy of larger ones was another one.
#[test]
fn losses_of_a_step_over_a_large_vocabulary_are_those_of_the_cpu() {
    let losses = |device: &Device| {
        let teacher = Teacher::new(model(device));
        let student = teacher.prune(&LayerPlan::keep(&[0, 2], 3).unwrap()).unwrap();
        let update = UpdateSettings::new(Schedule::cosine(3e-3, 6));
        let settings = DistillSettings { loss: LossWeights::default(), update, alignment: None };
        let mut distiller = Distiller::new(teacher, student, settings, 0);
        let row = Row::new(tokens(33), vec![1; 33]);
        let batch = Batch::new(vec![row], Layout::Packed);
        let measured = block_on(distiller.measure(&batch)).unwrap();
        let stepped = block_on(distiller.step(&[batch])).unwrap().terms;
        let terms = [measured, stepped];
        terms.iter().flat_map(|it| [it.cross_entropy, it.kl]).flatten().map(|x| x as f32).collect()
    };
    let [found, expected]: [Vec<f32>; 2] = [losses(&gpu()), losses(&cpu())];
    let difference = relative_difference(&found, &expected);
    assert!(difference < 1e-4, "{found:?} instead of {expected:?}");
}

#[test]
fn what_is_read_from_the_logits_of_a_large_vocabulary_is_that_of_the_cpu() {
    let read = |device: &Device| {
        let model = model(device);
        let text = tokens(40);
        let plan = LayerPlan::keep(&[0, 2], 3).unwrap();
        let stack = Stack::new(&plan.recipe(&PatchOrder::Last.path(&plan).unwrap()[0]), 0, 0);
        let request = Request::new(text.clone(), 1..40).unwrap();
        let tree = PrefixTree::new(&[stack]);
        let answers = block_on(answer(&[&model], &tree, &[request])).unwrap();
        let retraced = block_on(retrace(&model, &text[..7], &text[7..])).unwrap();
        let certain = block_on(certainties(&model, &text, 1, 3)).unwrap();
        let mut found = vec![answers[0][0].log_likelihood as f32];
        found.extend(retraced.iter().map(|at| at.log_prob as f32));
        found.extend(certain.iter().map(|at| at.probability as f32));
        found
    };
    let [found, expected] = [read(&gpu()), read(&cpu())];
    let difference = relative_difference(&found, &expected);
    assert!(difference < 1e-4, "{found:?} instead of {expected:?}");
}
