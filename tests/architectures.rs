use std::path::PathBuf;

use boomerang_core::checkpoint::{Checkpoint, Precision, StoredAs, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::model::{AttentionMask, KvCache};
use boomerang_core::plan::{LayerPlan, Patch};
use boomerang_core::prune::Family;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::{fixture_tensor, fixtures, ids, read, relative_difference, values};

/// Folders with one tiny model each.
fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir(fixtures().join("architectures")).unwrap();
    let mut folders: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 14, "the fixtures are there");
    folders
}

#[test]
fn every_checkpoint_is_written_as_it_was_read() {
    for folder in folders() {
        let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        let written = model_to_bytes(&model, Precision::F16).unwrap();
        let original = read(folder.join("model.safetensors"));
        let parse = |bytes: &'static [u8]| Checkpoint::parse([("file".to_owned(), bytes)]).unwrap();
        let (written, original) = (parse(written.leak()), parse(original.leak()));
        let mut names: Vec<&str> = original.names().collect();
        names.sort_unstable();
        for name in &names {
            let (found, expected) = (written.tensor(name).unwrap(), original.tensor(name).unwrap());
            assert_eq!(found.shape(), expected.shape(), "{name} of {}", folder.display());
            assert!(found.data() == expected.data(), "{name} of {}", folder.display());
        }
        assert_eq!(written.names().count(), names.len(), "{}", folder.display());
    }
}

#[test]
fn every_model_comes_back_from_8_bits_nearly_as_it_was() {
    for folder in folders() {
        let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        let stored = model_to_bytes(&model, StoredAs::Q8_0).unwrap();
        let stored = Checkpoint::parse([("stored".to_owned(), &*stored)]).unwrap();
        let again = stored.read_model(model.config(), &cpu()).unwrap();
        let [before, after] =
            [&model, &again].map(|model| model_to_bytes(model, Precision::F32).unwrap());
        let names = Checkpoint::parse([("before".to_owned(), &*before)]).unwrap();
        for name in names.names() {
            let [before, after] = [&before, &after].map(|bytes| fixture_tensor(bytes, name).1);
            // Half a step is a 254th of the largest in a group; f16 rounds the step by a 2048th.
            let difference = relative_difference(&after, &before);
            assert!(difference < 0.0045, "{name} of {}: {difference}", folder.display());
        }
    }
}

#[test]
fn a_position_by_itself_gives_what_it_gives_among_others() {
    for folder in folders() {
        let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        if model.config().is_masked() {
            continue;
        }
        let tokens: Vec<u32> = (0..9).map(|place| 5 + 7 * place % 31).collect();
        let mask = AttentionMask::causal(tokens.len(), 0, &cpu());
        let together = values(model.trace(ids(&tokens, &cpu()), &mask).logits);
        let mut cache = KvCache::new(&model, tokens.len());
        for (token, expected) in tokens.iter().zip(together.chunks(model.config().vocab)) {
            let logits = values(model.next_logits(&[*token], &mut cache));
            let difference = relative_difference(&logits, expected);
            assert!(difference <= 1e-4, "{}: logits differ by {difference}", folder.display());
        }
    }
}

#[test]
fn every_config_tells_the_number_of_parameters() {
    for folder in folders() {
        let model = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        assert_eq!(model.config().n_params(), model.n_params(), "{}", folder.display());
    }
}

#[test]
fn every_family_ends_at_its_teacher_with_the_same_config() {
    for folder in folders() {
        let teacher = ModelFolder::open(&folder).unwrap().teacher(&cpu()).unwrap();
        let n_layers = teacher.model().n_layers();
        let plan = LayerPlan::keep(&[0, n_layers - 1], n_layers).unwrap();
        let student = teacher.prune(&plan).unwrap();
        let family = Family::new(teacher, student).unwrap();
        let last = family.member(&Patch::all(&plan));
        assert_eq!(last.config().layers, family.teacher().model().config().layers);
        let again = ModelConfig::from_json(&last.config().to_json()).unwrap();
        assert_eq!(again.layers, last.config().layers, "{}", folder.display());
    }
}

#[test]
fn a_pruned_model_keeps_each_layers_window_and_rotation_as_in_transformers() {
    for name in ["smollm3", "qwen2-windows", "gemma2", "gemma3", "mistral-listed"] {
        let folder = fixtures().join("architectures").join(name);
        let teacher = ModelFolder::open(&folder).unwrap().teacher(&cpu()).unwrap();
        let reference = read(folder.join("reference.safetensors"));
        let (_, kept) = fixture_tensor(&reference, "kept");
        let kept: Vec<usize> = kept.into_iter().map(|layer| layer as usize).collect();
        let plan = LayerPlan::keep(&kept, teacher.model().n_layers()).unwrap();
        let student = teacher.prune(&plan).unwrap();

        let (shape, tokens) = fixture_tensor(&reference, "input_ids");
        let tokens: Vec<u32> = tokens[..shape[1]].iter().map(|&token| token as u32).collect();
        let mask = AttentionMask::causal(tokens.len(), 0, &cpu());
        let logits = values(student.model().trace(ids(&tokens, &cpu()), &mask).logits);
        let (_, expected) = fixture_tensor(&reference, "kept_logits");
        let difference = relative_difference(&logits, &expected);
        assert!(difference <= 1e-4, "{name}: logits differ by {difference}");
    }
}
