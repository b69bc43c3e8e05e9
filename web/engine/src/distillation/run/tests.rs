//! Tests of a run: on the corpus, on texts, and resumed.

use std::fs;
use std::path::Path;

use boomerang_core::bundle::BundleLoader;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::plan::Patch;
use burn::tensor::Device;
use futures_lite::future::block_on;

use super::*;
use crate::distillation::messages::SizeLoss;

fn bundle() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo/bundle")
}

fn manifest() -> Manifest {
    Manifest::from_json(&fs::read_to_string(bundle().join("manifest.json")).unwrap()).unwrap()
}

fn teacher(manifest: &Manifest) -> Teacher {
    let mut loader = BundleLoader::new(manifest.clone(), Device::flex()).unwrap();
    let whole = Patch::all(&manifest.plan);
    for file in manifest.files_of(&whole) {
        loader.add(file, &fs::read(bundle().join(&file.path)).unwrap()).unwrap();
    }
    Teacher::new(loader.member(&whole).unwrap())
}

fn settings(kept: &[usize], loss: LossWeights) -> DistillSettings {
    let plan = LayerPlan::keep(kept, 12).unwrap();
    DistillSettings {
        plan,
        n_steps: 3,
        learning_rate: distill_recipe::LEARNING_RATE,
        loss,
        seed: 0,
    }
}

fn run(settings: &DistillSettings) -> Result<DistillRun, DistillRunError> {
    let manifest = manifest();
    DistillRun::new(teacher(&manifest), &manifest, settings.clone(), TrainingData::Corpus)
}

/// Some lines of a corpus, as documents.
fn texts(documents: Vec<Vec<u32>>) -> TrainingData {
    let names = vec!["mine.txt".to_owned()];
    TrainingData::Texts(documents, TextsRead { names, n_tokens: 0, n_unknown: 0, n_held_out: 0 })
}

fn some_lines() -> TrainingData {
    texts(Corpus::new(5).rows(7, 64).take(40).map(|row| row.tokens).collect())
}

fn measured(mut meter: SizeMeter) -> Vec<SizeLoss> {
    let mut sizes = Vec::new();
    while let Some(size) = block_on(meter.next()) {
        sizes.push(size);
    }
    sizes
}

/// The losses of the next steps, to the last bit.
fn losses(run: &mut DistillRun, n_steps: usize) -> Vec<f64> {
    (0..n_steps).map(|_| block_on(run.step()).unwrap().terms.total).collect()
}

#[test]
fn a_family_that_does_not_fit_in_memory_is_refused_before_it_is_fetched() {
    let mut manifest = manifest();
    let plan = manifest.plan.clone();
    assert!(check_memory(&manifest, &plan).is_ok());
    manifest.config["vocab_size"] = 4_000_000.into();
    let refused = check_memory(&manifest, &plan).unwrap_err();
    assert!(matches!(refused, DistillRunError::Memory { .. }));
    assert!(refused.to_string().contains("at most 3.9 GB"), "{refused}");
}

#[test]
fn a_student_of_few_layers_is_distilled_and_becomes_a_family() {
    let mut run = run(&settings(&[0, 6], distill_recipe::loss_weights())).unwrap();
    let mut totals = Vec::new();
    while !run.is_done() {
        totals.push(block_on(run.step()).unwrap().terms.total);
    }
    // The first step's learning rate is 0.
    assert!(totals[2] < totals[0], "{totals:?}");

    let files = block_on(run.files(&manifest(), "run 3")).unwrap();
    let (_, text) = files.last().unwrap();
    let distilled = Manifest::from_json(std::str::from_utf8(text).unwrap()).unwrap();
    assert_eq!(distilled.name, "Boomerang demo, distilled here, run 3");
    assert_eq!((distilled.plan.kept(), distilled.similarity.len()), (vec![0, 6], 2));
    assert!(distilled.similarity.iter().all(|cosine| (-1.0..=1.0).contains(cosine)));
    for (path, bytes) in &files[..files.len() - 1] {
        let file = distilled.files().find(|file| file.path == *path).unwrap();
        file.verify(bytes).unwrap();
    }
}

#[test]
fn a_student_is_distilled_on_the_users_own_texts() {
    let manifest = manifest();
    let settings = settings(&[0, 6], distill_recipe::loss_weights());
    let mut run = DistillRun::new(teacher(&manifest), &manifest, settings, some_lines()).unwrap();
    assert!(run.texts().unwrap().n_held_out > 0);
    let before = block_on(run.held_out_loss()).unwrap().nats;
    while !run.is_done() {
        block_on(run.step()).unwrap();
    }
    let after = block_on(run.held_out_loss()).unwrap().nats;
    assert!(after < before, "from {before} to {after}");

    let (_, text) = block_on(run.files(&manifest, "run 1")).unwrap().pop().unwrap();
    let distilled = Manifest::from_json(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!(distilled.name, "Boomerang demo, distilled here on your own texts, run 1");
}

#[test]
fn texts_that_are_too_short_or_not_the_teachers_are_refused() {
    let manifest = manifest();
    let settings = settings(&[0], distill_recipe::loss_weights());
    let refusal = |tokens| {
        let data = texts(vec![tokens]);
        DistillRun::new(teacher(&manifest), &manifest, settings.clone(), data).err()
    };
    assert!(matches!(
        refusal(vec![5; 1023]),
        Some(DistillRunError::TooShort(TooShort { found: 1023, needed: 1024 }))
    ));
    assert!(matches!(
        refusal(vec![60_000; 2000]),
        Some(DistillRunError::OutsideVocabulary { token: 60_000, .. })
    ));
}

#[test]
fn a_run_needs_a_loss_term_and_a_corpus_of_its_family() {
    let none =
        LossWeights { cross_entropy: 0.0, kl: 0.0, alignment: 0.0, ..LossWeights::default() };
    assert!(matches!(run(&settings(&[0], none)).err(), Some(DistillRunError::NoTerm)));
    let invalid = LossWeights { kl: f64::NAN, ..LossWeights::default() };
    assert!(matches!(run(&settings(&[0], invalid)).err(), Some(DistillRunError::Number)));
    let mut other = manifest();
    let teacher = teacher(&other);
    other.tokenizer.sha256 = "0".repeat(64);
    let settings = settings(&[0], LossWeights::default());
    let refused = DistillRun::new(teacher, &other, settings, TrainingData::Corpus).err();
    assert!(matches!(refused, Some(DistillRunError::Corpus)));
}

#[test]
fn a_resumed_run_has_the_losses_of_one_without_interruption() {
    let manifest = manifest();
    for data in [TrainingData::Corpus, some_lines()] {
        let settings =
            DistillSettings { n_steps: 6, ..settings(&[0, 6], distill_recipe::loss_weights()) };
        let start = || {
            DistillRun::new(teacher(&manifest), &manifest, settings.clone(), data.clone()).unwrap()
        };
        let mut whole = start();
        let expected = losses(&mut whole, 6);
        let mut first = start();
        assert_eq!(losses(&mut first, 3), expected[..3]);
        let bytes = block_on(first.checkpoint(&manifest)).unwrap().to_bytes();
        let checkpoint = RunCheckpoint::parse(&bytes).unwrap();
        let mut second = DistillRun::restored(teacher(&manifest), &manifest, checkpoint).unwrap();
        assert_eq!(second.n_steps_done(), 3);
        assert_eq!(losses(&mut second, 3), expected[3..]);
        let ends = [whole, second].map(|run| block_on(run.held_out_loss()).unwrap());
        assert_eq!(ends[0], ends[1]);
    }
}

#[test]
fn a_checkpoint_of_another_teacher_is_refused() {
    let manifest = manifest();
    let run = run(&settings(&[0, 6], distill_recipe::loss_weights())).unwrap();
    let checkpoint = block_on(run.checkpoint(&manifest)).unwrap();
    let mut other = manifest.clone();
    other.teacher.layers[3].sha256 = "0".repeat(64);
    let refused = DistillRun::restored(teacher(&manifest), &other, checkpoint).err().unwrap();
    assert!(refused.to_string().contains("distilled from another teacher"), "{refused}");
}

#[test]
fn every_size_is_measured_on_the_held_out_sequences() {
    let manifest = manifest();
    let run = run(&settings(&[0, 6], distill_recipe::loss_weights())).unwrap();
    let sizes = measured(run.sizes(&manifest).unwrap());
    let n_layers: Vec<usize> = sizes.iter().map(|size| size.n_layers).collect();
    assert_eq!(n_layers, [2, 7, 12]);
    let student = block_on(run.held_out_loss()).unwrap().nats;
    assert!((sizes[0].nats - student).abs() < 1e-6, "{sizes:?} and {student}");
    // The bundle's family ends with the same teacher.
    let own = teacher(&manifest).prune(&manifest.plan).unwrap();
    let of_bundle = measured(run.sizes_of_bundle(&manifest, own).unwrap());
    assert_eq!(of_bundle.last().unwrap().nats, sizes.last().unwrap().nats);
    assert_eq!(of_bundle.len(), 6);
}

/// The losses of all sizes, student first, after a run of the demo's student.
fn sizes_after(n_steps: usize) -> Vec<f64> {
    let manifest = manifest();
    let plan = manifest.plan.clone();
    let recipe = distill_recipe::loss_weights();
    let mut run = run(&DistillSettings { n_steps, plan, ..settings(&[0], recipe) }).unwrap();
    losses(&mut run, n_steps);
    measured(run.sizes(&manifest).unwrap()).into_iter().map(|size| size.nats).collect()
}

#[test]
fn after_a_short_run_every_size_is_better_than_the_one_before() {
    let sizes = sizes_after(10);
    assert!(sizes.is_sorted_by(|small, large| small > large), "{sizes:?}");
}

#[test]
fn after_a_run_too_long_a_size_in_between_is_worse_than_the_student() {
    let sizes = sizes_after(100);
    let (student, between) = (sizes[0], &sizes[1..sizes.len() - 1]);
    assert!(between.iter().any(|&size| size > student), "{sizes:?}");
}
