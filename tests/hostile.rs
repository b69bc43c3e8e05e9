use std::fs;

use boomerang_core::bundle::{BundleFile, Manifest, Recordings, TaskFile};
use boomerang_core::checkpoint::{Checkpoint, shard_names};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{
    Announced, Gguf, GgufArray, GgufType, GgufValue, Metadata, header, padding,
};
use boomerang_core::prune::StudentConfig;
use boomerang_core::similarity::Analysis;
use boomerang_lm_tasks::{self as tasks, Options};
use boomerang_tests::commands::boomerang;
use boomerang_tests::{fixtures, read, root};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Changes to a file that was good: bytes set, a run repeated, the end cut off.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Repeat(Index, u8),
    Cut(Index),
    /// A number becomes another one.
    Digits(Index, String),
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers =
        ["0", "1", "-1", "1e308", "9007199254740993", "18446744073709551615", "0.5", "null"];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, times)| Damage::Repeat(at, times)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), select(numbers.map(str::to_owned).to_vec()))
            .prop_map(|(at, digits)| Damage::Digits(at, digits)),
    ]
}

fn demo_manifest() -> Manifest {
    let json = read(root().join("assets/demo/bundle/manifest.json"));
    Manifest::from_json(&String::from_utf8(json).unwrap()).unwrap()
}

fn damaged(good: &[u8], changes: &[Damage]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        match change {
            Damage::Set(at, byte) => {
                let place = at.index(bytes.len());
                bytes[place] = *byte;
            }
            Damage::Repeat(at, times) => {
                let place = at.index(bytes.len());
                let run = bytes[place..bytes.len().min(place + 16)].repeat(usize::from(*times % 8));
                bytes.splice(place..place, run);
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Digits(at, digits) => {
                let numbers: Vec<usize> =
                    (0..bytes.len()).filter(|&place| bytes[place].is_ascii_digit()).collect();
                if !numbers.is_empty() {
                    let start = numbers[at.index(numbers.len())];
                    let n_digits =
                        bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(start..start + n_digits, digits.bytes());
                }
            }
        }
    }
    bytes
}

/// A good file of each kind, by the number drawn.
fn configs() -> Vec<Vec<u8>> {
    let folders = ["gemma3", "smollm3", "phi3-long", "gpt2", "gpt-neox", "qwen2-windows"];
    folders.map(|name| read(fixtures().join("architectures").join(name).join("config.json"))).into()
}

/// A GGUF file with values of several types and three tensors.
fn gguf() -> Vec<u8> {
    let mut metadata = Metadata::default();
    metadata.set("general.architecture", GgufValue::text("llama"));
    metadata.set("llama.block_count", GgufValue::U32(2));
    metadata.set("llama.rope.freq_base", GgufValue::F32(1e4));
    let tokens = GgufArray::of_texts(["a", "b", "ab"].into_iter());
    let nested = GgufArray::of(&[GgufValue::Array(tokens.clone())]).unwrap();
    metadata.set("tokenizer.ggml.tokens", GgufValue::Array(tokens));
    metadata.set("nested", GgufValue::Array(nested));
    let tensors = [
        ("a", vec![4, 3], GgufType::F32),
        ("b", vec![64, 2], GgufType::Q8_0),
        ("c", vec![256, 2], GgufType::Q4_K),
    ];
    let n_bytes = |row: &(&str, Vec<usize>, GgufType)| row.2.n_bytes(&row.1).unwrap();
    let announced = tensors.iter().map(|row| Announced {
        name: row.0,
        dims: &row.1,
        kind: row.2,
        n_bytes: n_bytes(row),
    });
    let mut bytes = header(&metadata, announced);
    for row in &tensors {
        bytes.resize(bytes.len() + n_bytes(row) + padding(n_bytes(row)), 7);
    }
    bytes
}

proptest! {
    #[test]
    fn a_damaged_gguf_is_read_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let bytes = damaged(&gguf(), &changes);
        if let Ok(file) = Gguf::parse(&bytes) {
            // No tensor is more than the file holds, and together they are no more than it.
            prop_assert!(file.n_bytes() <= bytes.len());
            for (_, value) in file.metadata.iter() {
                if let Some(array) = value.as_array() {
                    prop_assert!(array.len() <= bytes.len());
                    prop_assert!(array.values().count() <= array.len());
                }
            }
        }
    }

    #[test]
    fn a_number_in_a_gguf_header_is_not_believed(at in any::<Index>(), number in any::<u64>()) {
        let mut bytes = gguf();
        let place = at.index(bytes.len() - 8);
        bytes[place..place + 8].copy_from_slice(&number.to_le_bytes());
        if let Ok(file) = Gguf::parse(&bytes) {
            prop_assert!(file.n_bytes() <= bytes.len());
        }
    }

    #[test]
    fn a_damaged_analysis_is_drawn_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let bytes = damaged(crate::report::analysis().as_bytes(), &changes);
        if let Ok(analysis) = Analysis::from_json(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(analysis.heat_map().to_svg(640.0).ends_with("</svg>\n"));
            prop_assert!(analysis.angular_distance_map().to_svg(640.0).ends_with("</svg>\n"));
            prop_assert!(analysis.influence_bars().to_svg(640.0, 320.0).ends_with("</svg>\n"));
            prop_assert_eq!(analysis.block_bars().is_some(), analysis.plan.is_some());
        }
    }

    #[test]
    fn a_damaged_config_is_read_or_refused(
        which in any::<Index>(),
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let configs = configs();
        let bytes = damaged(&configs[which.index(configs.len())], &changes);
        if let Ok(config) = ModelConfig::from_json(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(config.n_heads % config.n_kv_heads == 0);
            prop_assert!(config.n_layers() <= 4096);
        }
    }

    #[test]
    fn a_damaged_header_is_read_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let folder = fixtures().join("architectures/internlm2");
        let bytes = damaged(&read(folder.join("model.safetensors")), &changes);
        let config = ModelConfig::from_json(
            &String::from_utf8_lossy(&read(folder.join("config.json"))),
        ).unwrap();
        if let Ok(checkpoint) = Checkpoint::parse([("file".to_owned(), &*bytes)]) {
            prop_assert!(checkpoint.n_bytes() <= bytes.len());
            // Whether it fits or not, looking does no harm.
            let _ = checkpoint.check(&config);
        }
    }

    #[test]
    fn a_damaged_index_names_plain_files_or_nothing(
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let good = read(fixtures().join("models/qwen3-untied/model.safetensors.index.json"));
        let bytes = damaged(&good, &changes);
        if let Ok(names) = shard_names(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(names.iter().all(|name| !name.contains(['/', '\\'])));
        }
    }

    #[test]
    fn a_damaged_student_config_is_a_plan_or_refused(
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let good = br#"{"copied_teacher_layers": [0, 2, 4, 5], "pruned_teacher_layers": [1, 3]}"#;
        let bytes = damaged(good, &changes);
        if let Ok(plan) = StudentConfig::plan_from_json(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(plan.n_student_layers() <= plan.n_teacher_layers());
        }
    }

    #[test]
    fn a_damaged_manifest_is_read_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let bytes = damaged(&read(root().join("assets/demo/bundle/manifest.json")), &changes);
        let _ = Manifest::from_json(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_recordings_are_read_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let bytes = damaged(&read(root().join("assets/demo/bundle/recordings.json")), &changes);
        // The manifest lists the damaged file, so that more than its hash is looked at.
        let file = Some(BundleFile::of("recordings.json".to_owned(), &bytes));
        let manifest = Manifest { recordings: file, ..demo_manifest() };
        if let Ok(recordings) = Recordings::from_json(&bytes, &manifest) {
            for member in recordings.texts.iter().flat_map(|text| &text.members) {
                prop_assert_eq!(member.tokens.len(), member.pieces.len());
                prop_assert!(member.tokens.iter().all(|&token| token < 859));
                prop_assert!(member.log_probs.iter().all(|&log_prob| log_prob <= 0.0));
            }
        }
    }

    #[test]
    fn a_damaged_task_of_a_bundle_is_read_or_refused(
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let bytes = damaged(&read(root().join("assets/demo/bundle/task.json")), &changes);
        let file = Some(BundleFile::of("task.json".to_owned(), &bytes));
        let manifest = Manifest { task: file, ..demo_manifest() };
        if let Ok(task) = TaskFile::from_json(&bytes, &manifest) {
            prop_assert!(task.questions.iter().all(|question| question.gold < question.choices.len()));
        }
    }

    #[test]
    fn a_damaged_dataset_is_read_or_refused(changes in prop::collection::vec(damage(), 1..6)) {
        let name = "allenai/ai2_arc/ARC-Easy/test-00000-of-00001.parquet";
        let bytes = damaged(&read(fixtures().join("lm_eval/data").join(name)), &changes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let options = Options {
            tasks: vec!["arc_easy".to_owned()],
            data_folders: vec![folder.path().to_owned()],
            ..Options::default()
        };
        if let Ok(tasks) = tasks::load(&options) {
            prop_assert!(tasks.tasks[0].n_documents <= 1000);
        }
    }

    #[test]
    fn a_damaged_task_is_read_or_refused(
        which in any::<Index>(),
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let names = ["awkward.yaml", "contexts.yaml", "free.yaml", "given.yaml", "several.yaml"];
        let tasks = fixtures().join("lm_eval/tasks");
        let folder = tempfile::tempdir().unwrap();
        for name in ["_base.yaml", "awkward.jsonl", "contexts.json", "free.jsonl", "several.jsonl"] {
            fs::copy(tasks.join(name), folder.path().join(name)).unwrap();
        }
        let bytes = damaged(&read(tasks.join(names[which.index(names.len())])), &changes);
        let path = folder.path().join("damaged.yaml");
        fs::write(&path, bytes).unwrap();
        let options =
            Options { tasks: vec![path.display().to_string()], ..Options::default() };
        let _ = tasks::load(&options);
    }
}

proptest! {
    // Each case is a whole evaluation on disk.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_damaged_evaluation_is_reported_or_refused(changes in prop::collection::vec(damage(), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("eval");
        crate::report::write_evaluation(&folder, "teacher", "arc_easy");
        let file = folder.join("family.json");
        fs::write(&file, damaged(&read(&file), &changes)).unwrap();
        // Either is fine; a panic is not.
        let line = "report {dir}/eval --draws 20 --out {dir}/report";
        if boomerang(line, &[("dir", dir.path())]).is_ok() {
            let html = read(dir.path().join("report/report.html"));
            prop_assert!(html.ends_with(b"</html>\n"));
        }
    }
}
