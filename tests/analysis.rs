use std::fs;

use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::model::LanguageModel;
use boomerang_core::similarity::{Analysis, block_similarity, compare_states};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model, write_planned_family};
use boomerang_tests::{block_on, read, tiny_batch, tiny_config, tiny_family, tiny_model, values};

/// Documents that share a row, and padding: what does not count is not counted.
fn batches() -> [Batch; 2] {
    let packed = Row::new(vec![4, 8, 15, 16, 23, 2], vec![1, 1, 1, 1, 1, 0]);
    let ragged = Batch::new(vec![packed, Row::padded(&[3, 1, 4], 6, 0)], Layout::Padded);
    [ragged, tiny_batch(3, 12)]
}

/// The states of every token as plain vectors, `[state][token]`; the last after the final norm.
fn plain_states(model: &LanguageModel, batch: &Batch) -> Vec<Vec<Vec<f64>>> {
    let tensors = batch.to_device(&cpu());
    let states = model.hidden_states(tensors.tokens, &tensors.mask);
    let counts = values(tensors.is_token);
    let of_tokens = |state: Vec<f32>| {
        let width = state.len() / counts.len();
        let rows = state.chunks(width).zip(&counts).filter(|(_, count)| **count == 1.0);
        rows.map(|(row, _)| row.iter().copied().map(f64::from).collect()).collect()
    };
    states.into_iter().map(|state| of_tokens(values(state))).collect()
}

fn plain_cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Mean over the tokens of all batches of `value(one state, the other)`.
fn plain_mean(
    models: (&LanguageModel, &LanguageModel),
    states: (usize, usize),
    value: impl Fn(&[f64], &[f64]) -> f64,
) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for batch in &batches() {
        let (one, other) = (plain_states(models.0, batch), plain_states(models.1, batch));
        for (a, b) in one[states.0].iter().zip(&other[states.1]) {
            sum += value(a, b);
            n += 1;
        }
    }
    sum / f64::from(n)
}

#[test]
fn cosines_are_those_of_a_plain_loop() {
    let family = tiny_family(&cpu());
    let (teacher, student) = (family.teacher().model(), family.student().model());
    let found = block_on(compare_states(teacher, Some(student), &batches(), &mut |_| {})).unwrap();
    for (of_student, row) in found.across.unwrap().iter().enumerate() {
        for (of_teacher, &found) in row.iter().enumerate() {
            let plain = plain_mean((student, teacher), (of_student, of_teacher), plain_cosine);
            assert!((found - plain).abs() < 1e-5, "{of_student}, {of_teacher}: {found}, {plain}");
        }
    }
    assert_eq!(found.n_tokens, 5 + 3 + 36);
}

#[test]
fn angles_are_those_of_a_plain_loop() {
    let teacher = tiny_model(&tiny_config(), 1, &cpu());
    let found = block_on(compare_states(&teacher, None, &batches(), &mut |_| {})).unwrap();
    // Up to the last state, which here comes before the final norm.
    for (first, row) in found.angles[..teacher.n_layers()].iter().enumerate() {
        for (second, &found) in row[..teacher.n_layers()].iter().enumerate() {
            let angle = |a: &[f64], b: &[f64]| {
                plain_cosine(a, b).clamp(-1.0, 1.0).acos() / std::f64::consts::PI
            };
            let plain = plain_mean((&teacher, &teacher), (first, second), angle);
            assert!((found - plain).abs() < 3e-4, "{first}, {second}: {found}, {plain}");
        }
    }
}

#[test]
fn a_teacher_is_like_itself_in_every_state() {
    let teacher = tiny_model(&tiny_config(), 1, &cpu());
    let found =
        block_on(compare_states(&teacher, Some(&teacher), &batches(), &mut |_| {})).unwrap();
    for table in [found.across.unwrap(), found.within] {
        for (state, row) in table.iter().enumerate() {
            assert!((row[state] - 1.0).abs() < 1e-5, "state {state}: {}", row[state]);
        }
    }
}

#[test]
fn a_layer_that_changes_nothing_has_no_influence() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(&tiny_config(), 1, &cpu());
    write_model(&model, &dir.path().join("model"));
    // Without what its two halves write, layer 2 hands on what it is given.
    let path = dir.path().join("model/model.safetensors");
    let bytes = read(&path);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let zero = ["self_attn.o_proj", "mlp.down_proj"];
    let zero = zero.map(|part| format!("model.layers.2.{part}.weight"));
    let tensors: Vec<(String, Vec<u8>, Vec<usize>, safetensors::Dtype)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let mut data = view.data().to_vec();
            if zero.contains(&name) {
                data.fill(0);
            }
            (name, data, view.shape().to_vec(), view.dtype())
        })
        .collect();
    let views = tensors.iter().map(|(name, data, shape, dtype)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap();
        (name.clone(), view)
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    write_ids(&dir.path().join("data.jsonl"), 3, 12);
    let line =
        "analyze --teacher {dir}/model --calibration {dir}/data.jsonl --out {dir}/out --device cpu";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    let json = String::from_utf8(read(dir.path().join("out/analysis.json"))).unwrap();
    let analysis = Analysis::from_json(&json).unwrap();
    assert!(analysis.influence[2].abs() < 1e-6, "{:?}", analysis.influence);
    assert!(analysis.influence[1] > 1e-3, "{:?}", analysis.influence);
    assert!(analysis.angular_distance[0][2] < 3e-4);
}

#[test]
fn the_aligned_cells_are_the_similarity_of_blocks() {
    let family = tiny_family(&cpu());
    let models = (family.teacher().model(), family.student().model());
    let found = block_on(compare_states(models.0, Some(models.1), &batches(), &mut |_| {}));
    let analysis = Analysis::new(found.unwrap(), Some(family.plan()), 4);
    let expected = block_on(block_similarity(&family, &batches())).unwrap();
    for (found, expected) in analysis.block_similarity.unwrap().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5);
    }
}

/// The tiny family on disk, with texts.
fn on_disk() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    write_ids(&dir.path().join("data.jsonl"), 6, 12);
    dir
}

#[test]
fn an_analysis_leaves_tables_and_pictures() {
    let dir = on_disk();
    let line = "analyze --teacher {dir}/teacher --student {dir}/student --calibration {dir}/data.jsonl \
                --out {dir}/out --device cpu";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    let mut names: Vec<String> = fs::read_dir(dir.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".boomerang.json",
            "analysis.json",
            "angular_distance.csv",
            "angular_distance.svg",
            "blocks.svg",
            "influence.csv",
            "influence.svg",
            "similarity.csv",
            "similarity.svg"
        ]
    );
    // Five states of four student layers, seven of six teacher layers.
    let csv = String::from_utf8(read(dir.path().join("out/similarity.csv"))).unwrap();
    assert_eq!(csv.lines().count(), 1 + 5 * 7);
}

#[test]
fn an_analysis_needs_texts() {
    let dir = on_disk();
    let line = "analyze --teacher {dir}/teacher --out {dir}/out";
    let (sentence, code) = failure(line, &[("dir", dir.path())]);
    assert_eq!(sentence, "no texts to compare the states on; give some with --calibration");
    assert_eq!(code, 2);
}

#[test]
fn more_layers_than_the_teacher_has_cannot_be_kept() {
    let dir = on_disk();
    let line =
        "analyze --teacher {dir}/teacher --layers 7 --calibration {dir}/data.jsonl --out {dir}/out";
    let (sentence, code) = failure(line, &[("dir", dir.path())]);
    assert!(sentence.starts_with("--layers must be from 1 to 6"), "{sentence}");
    assert_eq!(code, 2);
}
