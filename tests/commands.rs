use std::fs;

use boomerang_native_trainer::Cli;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model, write_planned_family};
use boomerang_tests::{fixture_tensor, ids, read, read_json, tiny_config, tiny_model, values};
use clap::CommandFactory as _;
use expect_test::expect;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn help_lists_the_commands_in_pipeline_order() {
    let expected = expect![[r#"
        demo      Run the whole pipeline on the embedded teacher: prune, distill, patch, evaluate, plot
        pretrain  Train a small teacher from scratch on the generated corpus
        data      Tokenize training data once, and inspect or verify what was prepared
        prune     Cut a student out of a teacher
        distill   Train a student to imitate its teacher
        delta     Make the student of a post-trained teacher from the student of its base, without training
        analyze   Show which layers matter, and which to keep and to patch first
        search    Search for a good patching order
        patch     Write sizes of a family as standalone models
        export    Convert a model to a GGUF file for llama.cpp
        eval      Evaluate every size of a family
        report    Combine results into an HTML report: curves, tables, comparisons
        experiment Reproduce a figure or an ablation of the paper on the embedded family
        bundle    Pack a family for the explorer
        explore   Serve the explorer with a bundle from this machine
        lessons   Collect the answer sheets of the explorer's lessons
        generate  Continue a prompt
        sample    Sample texts from a model in batches, as training data
        inspect   Describe a model from its file headers
        verify    Check a patched model against the family it comes from
        trace     Write a model's logits and hidden states, to compare with another implementation
        hub       Download models from the Hugging Face Hub, and list the cached ones
        doctor    Show the hardware of this machine and the device that --device auto selects
    "#]];
    let command = Cli::command();
    let lines = command.get_subcommands().map(|command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("{:<9} {about}\n", command.get_name())
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn pruning_keeps_the_teachers_tensors_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.path().join("teacher"));
    let line = "prune --teacher {dir}/teacher --keep 0,3,5 --out {dir}/student";
    boomerang(line, &[("dir", dir.path())]).unwrap();

    let plan = read_json(dir.path().join("student/student_config.json"));
    assert_eq!(plan["copied_teacher_layers"], serde_json::json!([0, 3, 5]));
    assert_eq!(plan["pruned_teacher_layers"], serde_json::json!([1, 2, 4]));
    let config = read_json(dir.path().join("student/config.json"));
    assert_eq!(config["num_hidden_layers"], 3);
    let teacher = read(dir.path().join("teacher/model.safetensors"));
    let student = read(dir.path().join("student/model.safetensors"));
    for (ours, theirs) in [(0, 0), (1, 3), (2, 5)] {
        let name = |layer: usize| format!("model.layers.{layer}.mlp.down_proj.weight");
        assert_eq!(fixture_tensor(&student, &name(ours)), fixture_tensor(&teacher, &name(theirs)));
    }
}

#[test]
fn every_written_size_reads_back_as_the_member_in_memory() {
    let (dir, family) = family_on_disk();
    let paths = [("dir", dir.path())];
    let line = "patch --teacher {dir}/teacher --student {dir}/student --order first --all --out {dir}/sizes";
    boomerang(line, &paths).unwrap();

    let order = boomerang_core::plan::PatchOrder::First;
    for patch in order.path(family.plan()).unwrap() {
        let member = family.member(&patch);
        let folder = dir.path().join(format!("sizes/layers-{:02}", member.n_layers()));
        let read = ModelFolder::open(&folder).unwrap().model(&cpu()).unwrap();
        let logits = |model: &boomerang_core::model::LanguageModel| {
            let mask = boomerang_core::model::AttentionMask::causal(5, 0, &cpu());
            values(model.trace(ids(&[1, 2, 3, 4, 5], &cpu()), &mask).logits)
        };
        assert_eq!(logits(&read), logits(&member));
        assert_eq!(read.n_params(), member.n_params());
    }
}

/// The tiny family on disk, in `teacher` and `student`.
fn family_on_disk() -> (tempfile::TempDir, boomerang_core::prune::Family) {
    let dir = tempfile::tempdir().unwrap();
    let family = write_planned_family(dir.path());
    (dir, family)
}

const PATCH: &str = "patch --teacher {dir}/teacher --student {dir}/student --order last";

#[test]
fn a_recipe_is_as_good_as_the_model_it_describes() {
    let (dir, family) = family_on_disk();
    let paths = [("dir", dir.path())];
    let line = format!("{PATCH} --k 1 --format recipe --out {{dir}}/five.recipe.json");
    boomerang(&line, &paths).unwrap();
    assert!(fs::metadata(dir.path().join("five.recipe.json")).unwrap().len() < 2048);

    let read = ModelFolder::open(&dir.path().join("five.recipe.json")).unwrap();
    let patch = &boomerang_core::plan::PatchOrder::Last.path(family.plan()).unwrap()[1];
    let bytes = |model| {
        let precision = boomerang_core::checkpoint::Precision::F32;
        boomerang_core::checkpoint::model_to_bytes(model, precision).unwrap()
    };
    assert!(bytes(&read.model(&cpu()).unwrap()) == bytes(&family.member(patch)));
}

#[test]
fn a_recipe_is_inspected_as_a_model_is() {
    let (dir, _) = family_on_disk();
    let paths = [("dir", dir.path())];
    boomerang(&format!("{PATCH} --k 1 --format recipe --out {{dir}}/r.json"), &paths).unwrap();
    boomerang("inspect {dir}/r.json", &paths).unwrap();
}

#[test]
fn a_recipe_does_not_fit_another_teacher() {
    let (dir, _) = family_on_disk();
    let paths = [("dir", dir.path())];
    boomerang(&format!("{PATCH} --k 1 --format recipe --out {{dir}}/r.json"), &paths).unwrap();
    let config = dir.path().join("teacher/config.json");
    let changed = fs::read_to_string(&config).unwrap().replace("64", "128");
    fs::write(&config, changed).unwrap();
    let (sentence, code) = failure("trace --model {dir}/r.json --ids 1,2 --out {dir}/t", &paths);
    assert!(sentence.contains("has changed since"), "{sentence}");
    assert_eq!(code, 3);
}

#[test]
fn one_matrix_is_stored_when_the_head_policy_says_so() {
    let (dir, _) = family_on_disk();
    let paths = [("dir", dir.path())];
    for (policy, has_head) in [("untied", true), ("teacher", false), ("student", false)] {
        boomerang(&format!("{PATCH} --k 1 --head {policy} --out {{dir}}/m-{policy}"), &paths)
            .unwrap();
        let weights = read(dir.path().join(format!("m-{policy}/model.safetensors")));
        let file = boomerang_core::checkpoint::Checkpoint::parse([(policy.to_owned(), &*weights)]);
        assert_eq!(file.unwrap().contains("lm_head.weight"), has_head, "{policy}");
        let config = read_json(dir.path().join(format!("m-{policy}/config.json")));
        assert_eq!(config["tie_word_embeddings"], !has_head, "{policy}");
    }
}

#[test]
fn a_budget_takes_the_largest_size_within_it() {
    let (dir, family) = family_on_disk();
    let paths = [("dir", dir.path())];
    let teacher = family.teacher().model().n_params();
    boomerang(&format!("{PATCH} --params {} --out {{dir}}/m", teacher - 1), &paths).unwrap();
    assert_eq!(read_json(dir.path().join("m/config.json"))["num_hidden_layers"], 5);
}

#[test]
fn a_written_member_says_what_it_is_made_of() {
    let (dir, _) = family_on_disk();
    let paths = [("dir", dir.path())];
    boomerang(&format!("{PATCH} --patched 1 --dtype bf16 --out {{dir}}/m"), &paths).unwrap();
    let card = fs::read_to_string(dir.path().join("m/README.md")).unwrap();
    assert!(card.contains("| 0 | student 0 |\n"), "{card}");
    assert_eq!(read_json(dir.path().join("m/config.json"))["torch_dtype"], "bfloat16");
    assert_eq!(read_json(dir.path().join("m/recipe.json"))["format"], "boomerang-recipe");
}

#[test]
fn a_written_size_verifies_until_a_byte_of_it_changes() {
    let (dir, _) = family_on_disk();
    let paths = [("dir", dir.path())];
    boomerang(&format!("{PATCH} --k 1 --out {{dir}}/m"), &paths).unwrap();
    boomerang("verify {dir}/m", &paths).unwrap();
    let file = dir.path().join("m/model.safetensors");
    let mut bytes = read(&file);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let (sentence, code) = failure("verify {dir}/m", &paths);
    assert!(sentence.starts_with("model.safetensors has SHA-256"), "{sentence}");
    assert_eq!(code, 8);
}

#[test]
fn a_model_is_inspected_without_its_weights() {
    let (dir, _) = family_on_disk();
    boomerang("inspect {dir}/student", &[("dir", dir.path())]).unwrap();
    boomerang("inspect {dir}/student --json", &[("dir", dir.path())]).unwrap();
}

#[test]
fn a_distilled_student_and_its_teacher_are_measured_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.path().join("teacher"));
    write_ids(&dir.path().join("data.jsonl"), 6, 12);
    boomerang(
        "distill --teacher {dir}/teacher --data {dir}/data.jsonl --steps 3 --rows 2 --out {dir}/run \
         --device cpu",
        &paths,
    )
    .unwrap();
    boomerang(
        "distill --teacher {dir}/teacher --data {dir}/data.jsonl --steps 3 --rows 2 --init random \
         --out {dir}/random --device cpu",
        &paths,
    )
    .unwrap();
    boomerang(
        "eval --teacher {dir}/teacher --student {dir}/run/student --order last \
         --random-student {dir}/random/student --data {dir}/data.jsonl --out {dir}/eval --device cpu",
        &paths,
    )
    .unwrap();

    let csv = String::from_utf8(read(dir.path().join("eval/curve.csv"))).unwrap();
    let header = csv.lines().next().unwrap();
    assert!(header.starts_with(
        "series,order,n_patched,n_layers,n_params,size_bytes,perplexity,accuracy,accuracy_stderr"
    ));
    for series in ["boomerang", "naive", "random"] {
        let layers: Vec<&str> = csv
            .lines()
            .filter(|line| line.starts_with(series))
            .map(|line| line.split(',').nth(3).unwrap())
            .collect();
        assert_eq!(layers, ["4", "5", "6"], "{series}");
    }
    // The largest size of every series is the teacher.
    let largest: std::collections::BTreeSet<&str> = csv
        .lines()
        .filter(|line| line.split(',').nth(3) == Some("6"))
        .map(|line| line.split(',').nth(6).unwrap())
        .collect();
    assert_eq!(largest.len(), 1);
    let similarity = read_json(dir.path().join("eval/similarity.json"));
    assert_eq!(similarity.as_array().unwrap().len(), 4);
    let svg = String::from_utf8(read(dir.path().join("eval/loss.svg"))).unwrap();
    assert!(svg.starts_with("<svg"), "{svg}");
}

#[test]
fn metrics_name_every_loss_term() {
    let dir = tempfile::tempdir().unwrap();
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.path().join("teacher"));
    write_ids(&dir.path().join("data.jsonl"), 6, 12);
    let line = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --steps 2 --rows 2 --out {dir}/run --device cpu";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    let metrics = String::from_utf8(read(dir.path().join("run/metrics.jsonl"))).unwrap();
    let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    for key in
        ["step", "loss", "ce", "kl", "cosine", "grad_norm", "lr", "tokens", "tokens_per_second"]
    {
        assert!(first[key].is_number(), "{key} is {}", first[key]);
    }
    // Four layers and the embedding.
    assert_eq!(first["cosine_by_state"].as_array().unwrap().len(), 5);
}

#[test]
fn a_trace_holds_what_the_model_computes() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(&tiny_config(), 1, &cpu());
    write_model(&model, &dir.path().join("model"));
    let line = "trace --model {dir}/model --ids 1,2,3 --out {dir}/trace.safetensors --device cpu";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    let bytes = read(dir.path().join("trace.safetensors"));
    let mask = boomerang_core::model::AttentionMask::causal(3, 0, &cpu());
    let expected = values(model.trace(ids(&[1, 2, 3], &cpu()), &mask).logits);
    assert_eq!(fixture_tensor(&bytes, "logits"), (vec![3, 31], expected));
    assert_eq!(fixture_tensor(&bytes, "hidden_states.6").0, [3, 16]);
}

#[test]
fn a_frozen_embedding_is_not_trained() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    let teacher = tiny_model(&tiny_config(), 1, &cpu());
    write_model(&teacher, &dir.path().join("teacher"));
    write_ids(&dir.path().join("data.jsonl"), 6, 12);
    let line = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --steps 3 --rows 2 --lr 1e-2 \
                --freeze embedding,head --out {dir}/run --device cpu";
    boomerang(line, &paths).unwrap();
    let tensor = |folder: &str| {
        fixture_tensor(
            &read(dir.path().join(folder).join("model.safetensors")),
            "model.embed_tokens.weight",
        )
    };
    assert_eq!(tensor("run/student"), tensor("teacher"));
    let layer = "model.layers.0.mlp.down_proj.weight";
    let trained = read(dir.path().join("run/student/model.safetensors"));
    let before = read(dir.path().join("teacher/model.safetensors"));
    assert_ne!(fixture_tensor(&trained, layer), fixture_tensor(&before, layer));
}
