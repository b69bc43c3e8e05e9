use std::fs;
use std::path::Path;

use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::plan::HeadPolicy;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::{ModelFolder, RecipeFile};
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model, write_planned_family};
use boomerang_tests::{plain_divergence, tiny_config, tiny_model};

/// A tied family and rows of ids.
fn prepare(dir: &Path) {
    write_planned_family(dir);
    write_ids(&dir.join("texts.jsonl"), 6, 16);
}

/// The texts of [`prepare`].
fn texts(dir: &Path) -> Batch {
    let text = fs::read_to_string(dir.join("texts.jsonl")).unwrap();
    let rows = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let tokens: Vec<u32> = serde_json::from_value(line["input_ids"].clone()).unwrap();
        let segments = vec![1; tokens.len()];
        Row::new(tokens, segments)
    });
    Batch::new(rows.collect(), Layout::Padded)
}

#[test]
fn the_head_that_auto_takes_is_the_smallest_that_is_about_as_near_to_the_teacher_as_the_best() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    prepare(dir.path());
    let patch = "patch --teacher {dir}/teacher --student {dir}/student --order last --k 1";
    let teacher = ModelFolder::open(&dir.path().join("teacher")).unwrap().model(&cpu()).unwrap();
    let mut measured = Vec::new();
    for head in ["untied", "teacher", "student"] {
        boomerang(&format!("{patch} --head {head} --out {{dir}}/with-{head}"), &paths).unwrap();
        let member = ModelFolder::open(&dir.path().join(format!("with-{head}")))
            .unwrap()
            .model(&cpu())
            .unwrap();
        let kl = plain_divergence(&teacher, &member, &texts(dir.path())).0;
        measured.push((kl, member.n_params(), head));
    }
    // Far apart in this family, so that no tolerance is a matter of rounding.
    for tolerance in [0.0, 1e9] {
        let out = format!("auto-{tolerance}");
        let line = format!(
            "{patch} --head auto --head-tol {tolerance} --calibration {{dir}}/texts.jsonl \
             --device cpu --out {{dir}}/{out}"
        );
        boomerang(&line, &paths).unwrap();
        let least = measured.iter().map(|row| row.0).fold(f64::INFINITY, f64::min);
        let within = measured.iter().filter(|row| row.0 <= least * (1.0 + tolerance));
        let expected = within.min_by_key(|row| row.1).unwrap().2;
        let recipe = RecipeFile::read(&dir.path().join(out).join("recipe.json")).unwrap();
        let found = match recipe.head {
            HeadPolicy::Untied => "untied",
            HeadPolicy::Teacher => "teacher",
            HeadPolicy::Student => "student",
        };
        assert_eq!(found, expected, "{measured:?}");
    }
}

#[test]
fn auto_without_texts_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let line = "patch --teacher {dir}/teacher --student {dir}/student --all --head auto \
                --out {dir}/out";
    let (message, code) = failure(line, &[("dir", dir.path())]);
    assert!(message.contains("give some with --calibration"), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn an_order_from_a_file_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    prepare(dir.path());
    let order =
        r#"{"format": "boomerang-order", "version": 1, "method": "test", "order": [1, 0, 3, 2]}"#;
    fs::write(dir.path().join("order.json"), order).unwrap();
    let line = "patch --teacher {dir}/teacher --student {dir}/student --order {dir}/order.json \
                --k 1 --format recipe --out {dir}/member.json";
    boomerang(line, &paths).unwrap();
    let recipe = RecipeFile::read(&dir.path().join("member.json")).unwrap().recipe;
    let layers: Vec<(bool, usize)> = recipe
        .layers
        .iter()
        .map(|source| source.place())
        .map(|(owner, layer)| (owner == boomerang_core::plan::Owner::Teacher, layer))
        .collect();
    assert_eq!(layers, [(false, 0), (true, 2), (true, 3), (false, 2), (false, 3)]);
}

#[test]
fn an_untied_family_has_one_head_to_take() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let untied = tiny_config().with_layers(tiny_config().layers, false);
    let teacher = tiny_model(&untied, 3, &cpu());
    write_model(&teacher, &dir.path().join("teacher"));
    let line = "patch --teacher {dir}/teacher --student {dir}/student --k 1 --head auto \
                --calibration {dir}/texts.jsonl --device cpu --out {dir}/out";
    boomerang(line, &[("dir", dir.path())]).unwrap();
    let member = ModelFolder::open(&dir.path().join("out")).unwrap();
    assert!(!member.config().tied);
}

#[test]
fn a_tied_matrix_that_teacher_and_student_share_is_counted_and_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    prepare(dir.path());
    // Pruned, not trained: both ends are the teacher's.
    let family = "--teacher {dir}/teacher --student {dir}/pruned";
    boomerang("prune --teacher {dir}/teacher --out {dir}/pruned", &paths).unwrap();
    boomerang(&format!("patch {family} --k 1 --out {{dir}}/member"), &paths).unwrap();
    assert!(ModelFolder::open(&dir.path().join("member")).unwrap().config().tied);

    let eval = "--data {dir}/texts.jsonl --naive false --device cpu --out {dir}/eval";
    boomerang(&format!("eval {family} {eval}"), &paths).unwrap();
    let curve = fs::read_to_string(dir.path().join("eval/curve.csv")).unwrap();
    let n_params: Vec<u64> =
        curve.lines().skip(1).map(|row| row.split(',').nth(4).unwrap().parse().unwrap()).collect();
    assert!(n_params.is_sorted(), "{n_params:?}");
}
