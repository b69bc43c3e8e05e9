use std::fs;
use std::path::Path;

use boomerang_core::model::WeightFormat;
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_planned_family};
use serde_json::Value;

const FAMILY: &str = "--teacher {dir}/teacher --student {dir}/student";

/// `family.json` of an evaluation in a format, with a cache that all share.
fn evaluated(dir: &Path, format: &str) -> Value {
    let line = format!(
        "eval {FAMILY} --data {{dir}}/texts.jsonl --use-cache {{dir}}/cache --weights {format} \
         --device cpu --out {{dir}}/{format}"
    );
    boomerang(&line, &[("dir", dir)]).unwrap();
    let file = fs::read(dir.join(format).join("family.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn nats(family: &Value) -> Vec<f64> {
    let members = family["members"].as_array().unwrap();
    let of = |member: &Value| member["results"]["texts"]["nats_per_token"].as_f64().unwrap();
    members.iter().map(of).collect()
}

#[test]
fn every_size_is_evaluated_in_the_format_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 6, 16);
    let [wide, narrow] = ["f32", "q8_0"].map(|format| evaluated(dir.path(), format));
    assert_eq!(narrow["weights"], "q8_0");
    // Rounded weights, and not the cached answers of others.
    let pairs: Vec<(f64, f64)> = nats(&wide).into_iter().zip(nats(&narrow)).collect();
    assert!(pairs.iter().any(|(wide, narrow)| wide != narrow), "{pairs:?}");
    assert!(pairs.iter().all(|(wide, narrow)| (wide - narrow).abs() < 0.05), "{pairs:?}");
}

#[test]
fn an_order_is_searched_in_the_format_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 6, 16);
    let kl = |format: &str| {
        let line = format!(
            "search {FAMILY} --calibration {{dir}}/texts.jsonl --weights {format} --device cpu \
             --out {{dir}}/{format}.json"
        );
        boomerang(&line, &[("dir", dir.path())]).unwrap();
        let file = fs::read(dir.path().join(format!("{format}.json"))).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        file["nested"][0]["kl"].as_f64().unwrap()
    };
    let [wide, narrow] = ["f32", "q8_0"].map(kl);
    assert!(wide != narrow && (wide - narrow).abs() < 0.1 * wide, "{wide} {narrow}");
}

#[test]
fn streamed_weights_are_in_f32() {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 6, 16);
    let line = format!(
        "eval {FAMILY} --data {{dir}}/texts.jsonl --weights bf16 --memory stream --device cpu \
         --out {{dir}}/out"
    );
    let (message, code) = failure(&line, &[("dir", dir.path())]);
    assert!(message.contains("--memory stream computes in f32"), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn a_gguf_file_keeps_its_formats_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    write_planned_family(dir.path());
    let paths = [("dir", dir.path())];
    boomerang("export {dir}/teacher --dtype q8_0 --out {dir}/teacher.gguf", &paths).unwrap();
    let file = dir.path().join("teacher.gguf");
    let folder = ModelFolder::open(&file).unwrap();
    let model = folder.model_as(WeightFormat::Stored, &cpu()).unwrap();
    assert_eq!(model.n_params(), folder.config().n_params());
}
