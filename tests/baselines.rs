use boomerang_core::baselines::{
    LayerCollapse, block_influence, collapse, without_least_influential,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::Teacher;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model};
use boomerang_tests::{
    block_on, read_json, relative_difference, tiny_batch, tiny_config, tiny_model,
    tiny_model_with_idle_layer, values,
};

#[test]
fn a_layer_that_adds_nothing_is_the_first_to_be_left_out() {
    let model = tiny_model_with_idle_layer(3, &cpu());
    let influence = block_on(block_influence(&model, &[tiny_batch(3, 12)])).unwrap();
    assert!(influence[3].abs() < 1e-6, "{influence:?}");
    assert_eq!(without_least_influential(&influence, 1), [0, 1, 2, 4, 5]);
}

#[test]
fn a_layers_influence_is_the_cosine_of_its_input_and_output() {
    let model = tiny_model(&tiny_config(), 1, &cpu());
    let batch = tiny_batch(2, 8);
    let influence = block_on(block_influence(&model, std::slice::from_ref(&batch))).unwrap();
    let tensors = batch.to_device(&cpu());
    let states = model.hidden_states(tensors.tokens, &tensors.mask);
    for layer in 0..model.n_layers() - 1 {
        let (input, output) = (values(states[layer].clone()), values(states[layer + 1].clone()));
        let d_model = model.config().d_model;
        let distances = input.chunks(d_model).zip(output.chunks(d_model)).map(|(x, y)| {
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            f64::from(1.0 - dot(x, y) / (dot(x, x) * dot(y, y)).sqrt())
        });
        let expected = distances.sum::<f64>() / 16.0;
        assert!((influence[layer] - expected).abs() < 1e-5, "{} and {expected}", influence[layer]);
    }
}

fn settings(threshold: f64) -> LayerCollapse {
    LayerCollapse { n_merged: 2, layers: 0..6, interval: 2, threshold, n_layers_enough: 1 }
}

#[test]
fn merges_go_down_in_steps_of_the_interval() {
    let model = tiny_model(&tiny_config(), 1, &cpu());
    let batches = [tiny_batch(2, 8)];
    let merges = block_on(collapse(&model, &settings(-2.0), &batches)).unwrap();
    let layers: Vec<usize> = merges.iter().map(|merge| merge.layer).collect();
    assert_eq!(layers, [4, 2, 0]);
    let sizes: Vec<usize> = merges.iter().map(|merge| merge.model.config().n_layers()).collect();
    assert_eq!(sizes, [5, 4, 3]);
}

#[test]
fn a_merge_that_changes_too_much_is_taken_back() {
    let model = tiny_model(&tiny_config(), 1, &cpu());
    let merges = block_on(collapse(&model, &settings(1.0), &[tiny_batch(2, 8)])).unwrap();
    assert!(merges.is_empty());
}

#[test]
fn a_layer_that_takes_in_the_next_becomes_it() {
    let model = tiny_model(&tiny_config(), 1, &cpu());
    let batch = tiny_batch(2, 8);
    let one = LayerCollapse { n_layers_enough: 5, ..settings(-2.0) };
    let merges = block_on(collapse(&model, &one, std::slice::from_ref(&batch))).unwrap();
    let plan = LayerPlan::keep(&[0, 1, 2, 3, 5], 6).unwrap();
    let without = Teacher::new(model).prune(&plan).unwrap();
    let logits = |model: &LanguageModel| {
        let tensors = batch.to_device(&cpu());
        values(model.trace(tensors.tokens, &tensors.mask).logits)
    };
    let (found, expected) = (logits(&merges[0].model), logits(without.model()));
    assert!(relative_difference(&found, &expected) < 1e-5);
}

#[test]
fn no_more_is_merged_than_was_asked_for() {
    let model = tiny_model(&tiny_config(), 1, &cpu());
    let enough = LayerCollapse { n_layers_enough: 5, ..settings(-2.0) };
    let merges = block_on(collapse(&model, &enough, &[tiny_batch(2, 8)])).unwrap();
    assert_eq!(merges.len(), 1);
}

#[test]
fn a_checkpoint_is_made_smaller_as_shortgpt_and_laco_do() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_model(&tiny_model_with_idle_layer(3, &cpu()), &dir.path().join("teacher"));
    write_ids(&dir.path().join("texts.jsonl"), 4, 16);
    let prune = "prune --teacher {dir}/teacher --calibration {dir}/texts.jsonl --device cpu";
    boomerang(&format!("{prune} --baseline shortgpt --layers 5 --out {{dir}}/shortgpt"), &paths)
        .unwrap();
    let plan = read_json(dir.path().join("shortgpt/student_config.json"));
    assert_eq!(plan["pruned_teacher_layers"], serde_json::json!([3]));
    let laco = "--baseline laco --layers 3 --merged 2 --threshold -2 --out {dir}/laco";
    boomerang(&format!("{prune} {laco}"), &paths).unwrap();
    assert_eq!(read_json(dir.path().join("laco/config.json"))["num_hidden_layers"], 3);
    assert!(!dir.path().join("laco/student_config.json").exists());
}

#[test]
fn a_baseline_without_texts_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.path().join("teacher"));
    let line = "prune --teacher {dir}/teacher --baseline laco --layers 4 --out {dir}/student";
    let (message, code) = failure(line, &[("dir", dir.path())]);
    assert!(message.contains("--calibration"), "{message}");
    assert_eq!(code, 2);
}
