use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::distill::loss::{KlPositions, LossWeights};
use boomerang_core::distill::{
    Batch, Decay, DecayRule, DistillSettings, Distiller, Layout, Reduction, Row, Schedule,
    UpdateSettings,
};
use boomerang_core::plan::{Alignment, KeepRule, LayerPlan};
use boomerang_core::prune::Teacher;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
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

fn six_steps(name: &str) -> (Distiller, Vec<boomerang_core::distill::StepReport>, Value) {
    let folder = fixtures().join("distill").join(name);
    let fixture = read_json(folder.join("settings.json"));
    let teachers = fixtures().join("distill/teachers");
    let teacher = ModelFolder::open(&teachers.join(fixture["teacher"].as_str().unwrap())).unwrap();
    let teacher: Teacher = teacher.teacher(&cpu()).unwrap();
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
    let mut distiller = Distiller::new(teacher, student, settings(&fixture), 0);
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
    let batches: Vec<Batch> =
        rows.chunks(n_rows).map(|rows| Batch::new(rows.to_vec(), Layout::Padded)).collect();
    let reports = batches
        .chunks(number(&fixture["n_micro_batches"]))
        .map(|batches| block_on(distiller.step(batches)))
        .collect();
    (distiller, reports, read_json(folder.join("expected.json")))
}

fn close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let difference = (found - expected).abs() / expected.abs().max(1.0);
    assert!(difference <= LOSS_TOLERANCE, "{what}: {found}, expected {expected}");
}

fn agrees(name: &str) {
    let (distiller, reports, expected) = six_steps(name);
    for (step, (report, expected)) in
        reports.iter().zip(expected["steps"].as_array().unwrap()).enumerate()
    {
        let what = |term: &str| format!("{name}, step {step}: {term}");
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
    assert!(difference <= WEIGHT_TOLERANCE, "{name}: weights differ by {difference}");
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
    let (distiller, _, _) = six_steps("mean-loose-clip");
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
