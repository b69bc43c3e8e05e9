//! Corrections in closed form at the seams of members and of pruned teachers.

use boomerang_core::baselines::keeping;
use boomerang_core::checkpoint::{Checkpoint, CheckpointError, Precision, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::correct::{Corrected, Correction, CorrectionError, correct};
use boomerang_core::distill::Batch;
use boomerang_core::model::{KvCache, LanguageModel};
use boomerang_core::plan::{Patch, Seam, pruned_seams};
use boomerang_core::prune::Family;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{
    block_on, fixtures, read, relative_difference, tiny_batch, tiny_family, tiny_model,
    tiny_model_with_idle_layer, values,
};

/// Enough tokens to determine every correction of a tiny model.
fn batches() -> [Batch; 2] {
    [tiny_batch(20, 16), tiny_batch(12, 14)]
}

/// A member with two seams: S0, T2, T3, S2, T5.
fn member(family: &Family) -> (LanguageModel, Vec<Seam>) {
    let patch = Patch::of(&[1, 3], family.plan()).unwrap();
    let seams = family.plan().seams(&patch);
    assert_eq!(seams.iter().map(|seam| seam.state).collect::<Vec<_>>(), [1, 4]);
    (family.member(&patch), seams)
}

fn corrected(
    model: &LanguageModel,
    family: &Family,
    seams: &[Seam],
    correction: Correction,
) -> Result<Corrected, CorrectionError> {
    block_on(correct(model, family.teacher().model(), seams, correction, &batches()))
}

/// Squared difference between a model's state at a seam and the teacher's, on the calibration texts;
/// relative to the squared norm of the teacher's, if `is_relative`.
fn error(model: &LanguageModel, teacher: &LanguageModel, seam: &Seam, is_relative: bool) -> f64 {
    let squares = batches().map(|batch| {
        let state = |model: &LanguageModel, state: usize| {
            let tensors = batch.to_device(&cpu());
            values(model.hidden_states(tensors.tokens, &tensors.mask)[state].clone())
        };
        let (found, expected) = (state(model, seam.state), state(teacher, seam.layers.end));
        let rows = found.chunks(16).zip(expected.chunks(16));
        let of_rows = rows.map(|(found, expected)| {
            let pairs = found.iter().zip(expected);
            let squares: f32 = pairs.map(|(found, expected)| (found - expected).powi(2)).sum();
            let norm: f32 = expected.iter().map(|expected| expected.powi(2)).sum();
            f64::from(if is_relative { squares / norm } else { squares })
        });
        of_rows.sum::<f64>()
    });
    squares.iter().sum()
}

#[test]
fn each_seam_is_fitted_on_what_the_corrected_layers_before_it_compute() {
    let family = tiny_family(&cpu());
    let teacher = family.teacher().model();
    let (model, seams) = member(&family);
    for correction in [Correction::Folded, Correction::Affine] {
        let first = corrected(&model, &family, &seams[..1], correction).unwrap().model;
        let both = corrected(&model, &family, &seams, correction).unwrap();
        for (before, seam, explained) in
            [(&model, &seams[0], both.explained[0]), (&first, &seams[1], both.explained[1])]
        {
            let left = error(&both.model, teacher, seam, true) / error(before, teacher, seam, true);
            assert!((1.0 - left - explained).abs() < 1e-3, "{left} left, {explained} explained");
            assert!(explained > 0.05, "{correction:?} explains {explained}");
        }
    }
}

#[test]
fn a_model_with_folded_corrections_is_an_ordinary_model() {
    let family = tiny_family(&cpu());
    let (model, seams) = member(&family);
    let corrected = corrected(&model, &family, &seams, Correction::Folded).unwrap().model;
    assert_eq!(corrected.config(), model.config());
    assert_eq!(corrected.n_params(), model.n_params());
    let bytes = model_to_bytes(&corrected, Precision::F32).unwrap();
    let file = Checkpoint::parse([("corrected".to_owned(), &*bytes)]).unwrap();
    let stored = file.read_model(corrected.config(), &cpu()).unwrap();
    let batch = tiny_batch(2, 10).to_device(&cpu());
    let logits =
        |model: &LanguageModel| values(model.trace(batch.tokens.clone(), &batch.mask).logits);
    assert_eq!(logits(&stored), logits(&corrected));
    assert!(relative_difference(&logits(&corrected), &logits(&model)) > 1e-3);
}

#[test]
fn a_map_that_cannot_be_folded_is_counted_and_never_stored() {
    let family = tiny_family(&cpu());
    let (model, seams) = member(&family);
    let corrected = corrected(&model, &family, &seams, Correction::Affine).unwrap().model;
    // A matrix of 16 times 16 and a vector for each seam.
    assert_eq!(corrected.n_params(), model.n_params() + 2 * (16 * 16 + 16));
    let error = model_to_bytes(&corrected, Precision::F32).unwrap_err();
    assert!(matches!(error, CheckpointError::Unnamed { .. }), "{error}");
}

#[test]
fn one_position_at_a_time_a_corrected_model_computes_what_it_does_at_once() {
    let family = tiny_family(&cpu());
    let (model, seams) = member(&family);
    let corrected = corrected(&model, &family, &seams, Correction::Affine).unwrap().model;
    let tokens = [3, 17, 8, 29];
    let mut cache = KvCache::new(&corrected, tokens.len());
    let mut last = None;
    for token in tokens {
        last = Some(values(corrected.next_logits(&[token], &mut cache)));
    }
    let mut cache = KvCache::new(&corrected, tokens.len());
    let at_once = values(corrected.next_logits(&tokens, &mut cache));
    assert!(relative_difference(&last.unwrap(), &at_once) < 1e-4);
}

#[test]
fn where_a_dropped_layer_adds_nothing_ghosted_layers_change_nothing() {
    let teacher = tiny_model_with_idle_layer(3, &cpu());
    let kept = [0, 1, 2, 4, 5];
    let pruned = keeping(&teacher, &kept);
    let seams = pruned_seams(&kept, 6);
    let batch = tiny_batch(2, 10).to_device(&cpu());
    let logits =
        |model: &LanguageModel| values(model.trace(batch.tokens.clone(), &batch.mask).logits);
    let texts = batches();
    let result = correct(&pruned, &teacher, &seams, Correction::Ghosted, &texts);
    let found = block_on(result).unwrap().model;
    assert!(relative_difference(&logits(&found), &logits(&teacher)) < 1e-5);
}

#[test]
fn ghosted_layers_bring_a_pruned_models_state_nearer_to_the_teachers() {
    let family = tiny_family(&cpu());
    let teacher = family.teacher().model();
    let kept = [0, 1, 2, 5];
    let pruned = keeping(teacher, &kept);
    let seams = pruned_seams(&kept, 6);
    let found = corrected(&pruned, &family, &seams, Correction::Ghosted).unwrap();
    // Before the only seam the two models are the same.
    let error = |model: &LanguageModel| error(model, teacher, &seams[0], false);
    let left = error(&found.model) / error(&pruned);
    assert!((1.0 - left - found.explained[0]).abs() < 1e-3, "{left}, {:?}", found.explained);
    assert!(left < 0.9, "{left}");
}

#[test]
fn nothing_is_folded_through_a_norm() {
    let folder = fixtures().join("architectures/olmo2/config.json");
    let config = ModelConfig::from_json(std::str::from_utf8(&read(folder)).unwrap()).unwrap();
    let teacher = tiny_model(&config, 1, &cpu());
    let kept: Vec<usize> = (0..config.n_layers() - 1).collect();
    let seams = pruned_seams(&kept, config.n_layers());
    let pruned = keeping(&teacher, &kept);
    let texts = batches();
    let result = correct(&pruned, &teacher, &seams, Correction::Folded, &texts);
    let error = block_on(result).unwrap_err();
    assert!(matches!(error, CorrectionError::NormAfterMlp { .. }), "{error}");
}

#[test]
fn a_correction_without_texts_is_refused() {
    let family = tiny_family(&cpu());
    let (model, seams) = member(&family);
    let teacher = family.teacher().model();
    let result = block_on(correct(&model, teacher, &seams, Correction::Folded, &[]));
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("0 calibration tokens"), "{message}");
}

#[test]
fn a_seam_outside_of_the_models_is_refused() {
    let family = tiny_family(&cpu());
    let (model, _) = member(&family);
    for (state, layers) in [(0, 0..1), (6, 0..1), (1, 2..7), (1, 2..2)] {
        let seams = [Seam { state, layers }];
        let error = corrected(&model, &family, &seams, Correction::Affine).unwrap_err();
        assert!(matches!(error, CorrectionError::NoSuchSeam { .. }), "{error}");
    }
}

#[test]
fn a_map_is_not_replaced_by_another() {
    let family = tiny_family(&cpu());
    let (model, seams) = member(&family);
    let once = corrected(&model, &family, &seams, Correction::Affine).unwrap().model;
    let error = corrected(&once, &family, &seams, Correction::Affine).unwrap_err();
    assert!(matches!(error, CorrectionError::CorrectedBefore { layer: 0 }), "{error}");
}
