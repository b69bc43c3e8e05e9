use std::sync::Arc;

use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::distill::loss::{KlPositions, LossWeights};
use boomerang_core::distill::{
    Batch, Decay, DecayRule, DistillSettings, Distiller, Labels, Layout, Levers, Reduction, Row,
    Schedule, TeacherSource, UpdateSettings,
};
use boomerang_core::plan::{Alignment, KeepRule, LayerPlan};
use boomerang_core::prune::Teacher;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_native_trainer::train::teacher::streamed_teacher;
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{block_on, fixture_tensor, fixtures, read, read_json};
use serde_json::Value;

const LOSS_TOLERANCE: f64 = 2e-5;
const WEIGHT_TOLERANCE: f32 = 1e-5;

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn settings(fixture: &Value) -> DistillSettings {
    let schedule = Schedule {
        peak: fixture["lr"].as_f64().unwrap(),
        warmup_steps: number(&fixture["warmup_steps"]),
        total_steps: number(&fixture["total_steps"]),
        decay: Decay::Cosine,
    };
    let is_sum = fixture["accumulation"] == "sum";
    DistillSettings {
        loss: LossWeights {
            cross_entropy: 1.0,
            kl: fixture["kl_weight"].as_f64().unwrap(),
            temperature: fixture["kl_temperature"].as_f64().unwrap(),
            kl_positions: if fixture["kl_positions"] == "all" {
                KlPositions::All
            } else {
                KlPositions::Valid
            },
            alignment: fixture["cosine_weight"].as_f64().unwrap(),
        },
        update: UpdateSettings {
            clip: fixture["clip"].as_f64().unwrap(),
            reduction: if is_sum { Reduction::Sum } else { Reduction::Mean },
            decay_rule: DecayRule::Reference,
            ..UpdateSettings::new(schedule)
        },
        alignment: Some(serde_json::from_value(fixture["alignment_pairs"].clone()).unwrap()),
    }
}

/// Every combination of the levers.
fn all_levers() -> Vec<Levers> {
    let levers = |bits: usize| {
        let is_on = |bit: usize| bits >> bit & 1 == 1;
        let all = Levers {
            recomputes: is_on(0),
            streams_teacher: is_on(1),
            optimizer_on_host: is_on(2),
            ..Levers::default()
        };
        let small = Levers {
            head_chunk: 3,
            query_block: 2,
            sequences_per_part: 1,
            parts_per_pass: 2,
            ..all
        };
        if is_on(3) { small } else { all }
    };
    (0..16).map(levers).collect()
}

fn six_steps(
    name: &str,
    levers: Levers,
) -> (Distiller, Vec<boomerang_core::distill::StepReport>, Value) {
    let folder = fixtures().join("distill").join(name);
    let fixture = read_json(folder.join("settings.json"));
    let teachers = fixtures().join("distill/teachers");
    let opened = ModelFolder::open(&teachers.join(fixture["teacher"].as_str().unwrap())).unwrap();
    let teacher: Teacher = opened.teacher(&cpu()).unwrap();
    let rule = KeepRule {
        first: number(&fixture["keep_first"]),
        last: number(&fixture["keep_last"]),
        every: number(&fixture["keep_every"]),
    };
    let plan = LayerPlan::by_rule(rule, teacher.model().n_layers()).unwrap();
    let kept: Vec<usize> = serde_json::from_value(fixture["kept"].clone()).unwrap();
    assert_eq!(plan.kept(), kept, "{name}: kept layers");
    let maps = &fixture["pairs_of_each_alignment"];
    let map = |key: &str| serde_json::from_value::<Alignment>(maps[key].clone()).unwrap();
    assert_eq!(plan.alignment(), map("aligned"), "{name}: our alignment");
    let n_states = plan.n_student_layers() + 1;
    let reference = rule.reference_alignment(plan.n_teacher_layers(), n_states);
    assert_eq!(reference, map("reference"), "{name}: the reference's alignment");

    let student = teacher.prune(&plan).unwrap();
    let source = if levers.streams_teacher {
        let ends = opened.ends(&cpu()).unwrap();
        streamed_teacher(&Arc::new(opened), ends, &cpu()).unwrap()
    } else {
        TeacherSource::from(teacher)
    };
    let distiller = Distiller::new(source, student, settings(&fixture), 0).with_levers(levers);
    let mut distiller =
        if levers.optimizer_on_host { distiller.with_optimizer_on(cpu()) } else { distiller };
    let data = String::from_utf8(read(folder.join("data.jsonl"))).unwrap();
    let rows: Vec<Row> = data
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            Row::new(
                serde_json::from_value(line["input_ids"].clone()).unwrap(),
                serde_json::from_value(line["attention_mask"].clone()).unwrap(),
            )
        })
        .collect();
    let n_rows = number(&fixture["batch"]);
    let labels = match fixture["labels"].as_str().unwrap() {
        "valid" => Labels::All,
        _ => Labels::Except(number(&fixture["pad_id"]) as u32),
    };
    let batch = |rows: &[Row]| Batch::labelled(rows.to_vec(), Layout::Padded, labels);
    let batches: Vec<Batch> = rows.chunks(n_rows).map(batch).collect();
    let expected = read_json(folder.join("expected.json"));
    let steps = expected["steps"].as_array().unwrap();
    let n_targets = steps.iter().flat_map(|step| step["micro_batches"].as_array().unwrap());
    let n_targets: Vec<usize> = n_targets.map(|micro| number(&micro["n_targets"])).collect();
    assert_eq!(batches.iter().map(Batch::n_labels).collect::<Vec<_>>(), n_targets, "{name}");
    let reports = batches
        .chunks(number(&fixture["n_micro_batches"]))
        .map(|batches| block_on(distiller.step(batches)).unwrap())
        .collect();
    (distiller, reports, expected)
}

fn close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let difference = (found - expected).abs() / expected.abs().max(1.0);
    assert!(difference <= LOSS_TOLERANCE, "{what}: {found}, expected {expected}");
}

fn agrees(name: &str) {
    for levers in all_levers() {
        agrees_with(name, levers);
    }
}

fn agrees_with(name: &str, levers: Levers) {
    let (distiller, reports, expected) = six_steps(name, levers);
    for (step, (report, expected)) in
        reports.iter().zip(expected["steps"].as_array().unwrap()).enumerate()
    {
        let what = |term: &str| format!("{name}, step {step}: {term}, with {levers:?}");
        assert!((report.learning_rate - expected["lr"].as_f64().unwrap()).abs() < 1e-12);
        close(&what("grad_norm"), report.grad_norm, &expected["grad_norm"]);
        let micro_batches = expected["micro_batches"].as_array().unwrap();
        assert_eq!(report.micro_batches.len(), micro_batches.len());
        for (terms, expected) in report.micro_batches.iter().zip(micro_batches) {
            close(&what("loss"), terms.total, &expected["loss"]);
            close(&what("ce"), terms.cross_entropy.unwrap(), &expected["ce"]);
            close(&what("kl"), terms.kl.unwrap(), &expected["kl"]);
            let cosines = expected["cosine"].as_array().unwrap();
            assert_eq!(terms.alignment.len(), cosines.len());
            for (state, (found, expected)) in terms.alignment.iter().zip(cosines).enumerate() {
                close(&what(&format!("cosine {state}")), *found, expected);
            }
        }
    }
    let difference = weight_difference(&distiller, name);
    assert!(
        difference <= WEIGHT_TOLERANCE,
        "{name}: weights differ by {difference}, with {levers:?}"
    );
}

/// The largest difference of any weight from those in the fixture.
fn weight_difference(distiller: &Distiller, name: &str) -> f32 {
    let expected = read(fixtures().join("distill").join(name).join("student_final.safetensors"));
    let found = model_to_bytes(distiller.student().model(), Precision::F32).unwrap();
    let names = Checkpoint::parse([("student".to_owned(), &*expected)]).unwrap();
    let differences = names.names().map(|tensor| {
        let (shape, expected) = fixture_tensor(&expected, tensor);
        let (found_shape, found) = fixture_tensor(&found, tensor);
        assert_eq!(found_shape, shape, "{tensor}");
        let differences = found.iter().zip(&expected).map(|(found, expected)| found - expected);
        differences.fold(0.0, |largest: f32, difference| largest.max(difference.abs()))
    });
    differences.fold(0.0, f32::max)
}

#[test]
fn the_paper_preset_agrees_with_an_independent_implementation() {
    agrees("paper-sum");
}

#[test]
fn summed_gradients_agree_under_a_loose_clip() {
    agrees("paper-sum-loose-clip");
}

#[test]
fn averaged_gradients_agree_under_a_loose_clip() {
    agrees("mean-loose-clip");
}

#[test]
fn summing_and_averaging_are_told_apart() {
    let (distiller, _, _) = six_steps("mean-loose-clip", Levers::default());
    assert!(weight_difference(&distiller, "paper-sum-loose-clip") > 100.0 * WEIGHT_TOLERANCE);
}

#[test]
fn our_defaults_agree_with_an_independent_implementation() {
    agrees("aligned-valid");
}

#[test]
fn llama_agrees_with_an_independent_implementation() {
    agrees("llama-paper");
}

/// `distill --preset paper` with the data of a fixture, and more arguments.
fn paper_run(more: &str) -> (tempfile::TempDir, Value) {
    let folder = fixtures().join("distill");
    let dir = tempfile::tempdir().unwrap();
    let teacher = folder.join("teachers/llama-untied-7");
    let data = folder.join("llama-paper/data.jsonl");
    let paths = [("dir", dir.path()), ("teacher", &*teacher), ("data", &*data)];
    let line = format!(
        "distill --teacher {{teacher}} --keep-first 2 --keep-last 1 --data {{data}} --out {{dir}}/run \
         --preset paper --steps 6 --warmup 1 --lr 3e-3 --rows 2 --micro-batches 2 --seq-len 13 \
         --device cpu {more}"
    );
    boomerang(&line, &paths).unwrap();
    let settings = read_json(dir.path().join("run/settings.json"));
    (dir, settings)
}

#[test]
fn the_command_with_the_paper_preset_agrees_too() {
    let (dir, settings) = paper_run("");
    assert_eq!(settings["labels"], serde_json::json!({"except": 66}));
    let expected = read_json(fixtures().join("distill/llama-paper/expected.json"));
    let metrics = String::from_utf8(read(dir.path().join("run/metrics.jsonl"))).unwrap();
    let metrics: Vec<Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps = expected["steps"].as_array().unwrap();
    assert_eq!(metrics.len(), steps.len());
    for (found, expected) in metrics.iter().zip(steps) {
        let sum = |term: &str| {
            let micro_batches = expected["micro_batches"].as_array().unwrap();
            let sum: f64 = micro_batches.iter().map(|terms| terms[term].as_f64().unwrap()).sum();
            Value::from(sum)
        };
        for term in ["loss", "ce", "kl"] {
            close(term, found[term].as_f64().unwrap(), &sum(term));
        }
        close("grad_norm", found["grad_norm"].as_f64().unwrap(), &expected["grad_norm"]);
    }
}

#[test]
fn the_end_of_texts_is_learnt_on_request() {
    let first = |more: &str| {
        let (dir, settings) = paper_run(more);
        let metrics = String::from_utf8(read(dir.path().join("run/metrics.jsonl"))).unwrap();
        let first: Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        (first["ce"].as_f64().unwrap(), settings.get("labels").is_some())
    };
    let (learnt, ignored) = (first("--eos-labels learnt"), first(""));
    assert_eq!((learnt.1, ignored.1), (false, true));
    assert!((learnt.0 - ignored.0).abs() > 0.01, "{} and {}", learnt.0, ignored.0);
}

#[test]
fn a_micro_batch_without_a_label_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let teacher = fixtures().join("distill/teachers/llama-untied-7");
    // The second row has nothing but the end of a text behind its first token.
    let data = dir.path().join("data.jsonl");
    let rows = ["[5, 66, 6, 7]", "[5, 66, 66, 66]", "[5, 6, 66]"];
    let rows = rows.map(|ids| format!("{{\"input_ids\": {ids}}}\n"));
    std::fs::write(&data, rows.concat()).unwrap();
    let paths = [("dir", dir.path()), ("teacher", &*teacher), ("data", &*data)];
    let line = "distill --teacher {teacher} --data {data} --out {dir}/run --rows 1 --steps 3 \
        --device cpu";
    let (sentence, code) = failure(&format!("{line} --preset paper"), &paths);
    assert!(sentence.contains("micro-batch 2 (from document 2 on)"), "{sentence}");
    assert!(sentence.contains("end-of-text token"), "{sentence}");
    assert_eq!(code, 3);
    // By default the end of the text is learnt.
    boomerang(line, &paths).unwrap();
    boomerang(&format!("{line} --force --preset paper --ce-weight 0"), &paths).unwrap();
}
