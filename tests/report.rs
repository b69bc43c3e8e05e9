use std::fs;
use std::path::Path;

use boomerang_core::plan::LayerPlan;
use boomerang_core::similarity::{Analysis, StateSimilarity};
use boomerang_tests::commands::{boomerang, failure};
use boomerang_tests::{read, read_json, root};
use serde_json::{Value, json};

/// An evaluation of a made-up family, as `boomerang eval` would leave it: sizes of 3 to 6 layers that
/// have more and more of 40 questions right, with naive pruning beside.
pub(crate) fn write_evaluation(folder: &Path, teacher: &str, task: &str) {
    let mut members = Vec::new();
    for (series, n_right) in [("boomerang", [16, 24, 25, 36]), ("naive", [8, 12, 14, 36])] {
        for (n_layers, n_right) in (3..).zip(n_right) {
            let name = format!("{series}-{n_layers:02}");
            let samples = folder.join("members").join(&name);
            fs::create_dir_all(&samples).unwrap();
            let lines = (0..40).map(|doc| {
                format!(
                    "{{\"doc_id\": {doc}, \"acc\": {:.1}}}\n",
                    f64::from(u8::from(doc < n_right))
                )
            });
            let file =
                format!("samples_{}_2026-11-27T08-00-00.000000.jsonl", task.replace('/', " "));
            fs::write(samples.join(file), lines.collect::<String>()).unwrap();
            members.push(json!({
                "name": name, "series": series, "seed": 0, "order": "first",
                "n_layers": n_layers, "n_patched": n_layers - 3, "patched": [],
                "n_params": n_layers * 1_000_000, "size_bytes": n_layers * 2_000_000, "seconds": null,
                "layers": [], "hash": "0", "folder": format!("members/{name}"),
                "results": {task: {"acc": f64::from(n_right) / 40.0, "acc_stderr": 0.05}},
            }));
        }
    }
    let family = json!({
        "version": 1, "boomerang": "0.1.0", "command": ["boomerang", "eval"],
        "date": "2026-11-27T08:00:00Z", "device": "CPU",
        "teacher": {"path": teacher, "n_layers": 6}, "student": {"path": "s", "n_layers": 3},
        "order": "first", "kept": [0, 2, 4],
        "tasks": {task: {"n": 40, "output_type": "multiple_choice", "num_fewshot": 0, "version": 1.0,
                         "chance": 0.25, "higher_is_better": {"acc": true}}},
        "members": members,
        "engine": {"layer_calls": 10, "layer_calls_one_by_one": 20},
    });
    fs::write(folder.join("family.json"), family.to_string()).unwrap();
}

/// `analysis.json` of a teacher of two layers and a student of one, all cosines and angles 0.5.
pub(crate) fn analysis() -> String {
    let table = |n: usize| vec![vec![0.5; 3]; n];
    let (across, within, angles) = (Some(table(2)), table(3), table(3));
    let plan = LayerPlan::keep(&[0], 2).unwrap();
    let found = StateSimilarity { n_tokens: 9, across, within, angles };
    serde_json::to_string(&Analysis::new(found, Some(&plan), 1)).unwrap()
}

/// The page that `arguments` make; `{dir}` holds the evaluation `eval`.
fn report(dir: &Path, arguments: &str) -> String {
    boomerang(&format!("report {arguments} --out {{dir}}/report --force"), &[("dir", dir)])
        .unwrap();
    let html = String::from_utf8(read(dir.join("report/report.html"))).unwrap();
    html.replace('\u{a0}', " ")
}

fn evaluated() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_evaluation(&dir.path().join("eval"), "models/teacher", "arc_easy");
    dir
}

#[test]
fn a_page_opens_with_what_was_found() {
    let dir = evaluated();
    let html = report(dir.path(), "{dir}/eval");
    for sentence in [
        "5 layers (5.00 M parameters) keep 69 % of the largest model&#39;s",
        "At 5 layers the family reaches 62.5 %; pruning alone, with the same number of layers, 35.0 %.",
        "1 of 3 pairs of neighboring sizes do not differ significantly",
    ] {
        let sentence = sentence.replace("&#39;", "'");
        assert!(html.contains(&sentence), "{sentence}");
    }
    assert!(html.contains("<h1>The sizes of teacher</h1>"));
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing() {
    let dir = evaluated();
    let html = report(dir.path(), "{dir}/eval");
    assert!(html.contains("content=\"default-src 'none';"));
    for forbidden in
        ["<script", "<img", "<link", "<iframe", " src=", " href=", "url(", "@import", "http:"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn names_cannot_leave_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "</style><script>alert(1)</script>\"' onload=x <b>";
    write_evaluation(&dir.path().join("eval"), hostile, hostile);
    let html = report(dir.path(), "{dir}/eval");
    assert!(html.contains("&lt;script&gt;alert(1)"));
    assert!(!html.contains("<script") && !html.contains("<b>"));
    assert_eq!(html.matches("</style>").count(), 1);
    for name in ["curve.svg", "report.md"] {
        let text = String::from_utf8(read(dir.path().join("report").join(name))).unwrap();
        assert!(!text.contains("<script") && !text.contains("<b>"), "{name}");
    }
}

#[test]
fn every_element_that_opens_closes() {
    let dir = evaluated();
    let html = report(dir.path(), "{dir}/eval");
    let body = html.split_once("</style>").unwrap().1;
    let mut open: Vec<&str> = Vec::new();
    for tag in body.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') && !["head", "html"].contains(&name) {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !tag.starts_with('/') && name != "input" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn one_curve_is_shown_for_each_pair_of_buttons() {
    let dir = evaluated();
    let html = report(dir.path(), "{dir}/eval --x layers");
    // Parameters, bytes and layers; nothing was timed. One metric.
    assert_eq!(html.matches("<figure class=\"curve ").count(), 3);
    assert!(html.contains("id=\"a2\" checked"));
    assert!(html.contains("#a2:checked~#m0:checked~.curve.a2.m0{display:block}"));
}

#[test]
fn numbers_are_beside_the_page() {
    let dir = evaluated();
    report(dir.path(), "{dir}/eval");
    let json = read_json(dir.path().join("report/report.json"));
    let steps = json["steps"]["next"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    // Eleven questions gained, none lost: 2 / 2^11, times three comparisons.
    assert_eq!(steps[2]["mcnemar"]["only_second"], 11);
    assert_eq!(steps[2]["mcnemar"]["p_value"], 2.0 / 2048.0);
    assert_eq!(steps[2]["mcnemar_corrected"], 3.0 * 2.0 / 2048.0);
    let shape: &Value = &json["shapes"][0]["shape"];
    assert_eq!((&shape["n_falls"], &shape["kendall_tau"]), (&json!(0), &json!(1.0)));
    let csv = String::from_utf8(read(dir.path().join("report/results.csv"))).unwrap();
    assert_eq!(csv.lines().count(), 1 + 8);
    for name in ["curve.svg", "report.md", "shapes.csv", "steps.csv", "steps_by_task.csv"] {
        assert!(dir.path().join("report").join(name).exists(), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_page() {
    let dir = evaluated();
    assert!(report(dir.path(), "{dir}/eval --seed 3") == report(dir.path(), "{dir}/eval --seed 3"));
}

#[test]
fn the_folder_of_an_older_evaluation_will_do() {
    let dir = tempfile::tempdir().unwrap();
    boomerang(
        "report {demo} --x bytes --out {dir}/report",
        &[("demo", &root().join("assets/demo")), ("dir", dir.path())],
    )
    .unwrap();
    let html = String::from_utf8(read(dir.path().join("report/report.html"))).unwrap();
    assert!(html.contains("mean acc of 13 tasks"));
    assert!(html.contains("neighboring sizes are not compared"));
}

#[test]
fn layers_and_orders_have_their_part_of_the_page() {
    let dir = evaluated();
    let size =
        |layers: u64, kl: f64| json!({"layers": layers, "patched": [], "kl": kl, "nats": 2.0});
    let order = json!({"format": "boomerang-order", "version": 1, "method": "klpatch", "order": [1, 0],
        "compared": [{"order": "klpatch", "sizes": [size(3, 0.5), size(4, 0.2), size(6, 0.0)]},
                     {"order": "last", "sizes": [size(3, 0.5), size(4, 0.3), size(6, 0.0)]}]});
    fs::write(dir.path().join("order.json"), order.to_string()).unwrap();
    let analysis = analysis();
    fs::write(dir.path().join("analysis.json"), &analysis).unwrap();
    let line = "{dir}/eval --search {dir}/order.json --analysis {dir}/analysis.json";
    let html = report(dir.path(), line);
    assert!(
        html.contains("the order klpatch is closest to the teacher: mean KL divergence 0.2000")
    );
    assert!(html.contains("id=\"similarity-map-title\""));
    assert!(html.contains("Student layer 0 is least similar to its block, teacher layers 0 and 1"));

    fs::write(dir.path().join("analysis.json"), analysis.replacen("0.5", "null", 1)).unwrap();
    let (sentence, code) =
        failure(&format!("report {line} --out {{dir}}/r"), &[("dir", dir.path())]);
    assert!(
        sentence.contains("analysis.json: not a file written by `boomerang analyze`"),
        "{sentence}"
    );
    assert_eq!(code, 3);
}

#[test]
fn models_of_other_tools_are_drawn_beside() {
    let dir = evaluated();
    let results = json!({"results": {"arc_easy": {"acc,none": 0.66, "acc_stderr,none": 0.03}},
                         "higher_is_better": {"arc_easy": {"acc": true}}});
    fs::write(dir.path().join("other.json"), results.to_string()).unwrap();
    let html = report(dir.path(), "{dir}/eval --import Pythia={dir}/other.json:4.5M");
    assert!(html.contains("<th scope=\"row\">Pythia</th>") && html.contains("66.0 ± 3.0 %"));
    let line = "report {dir}/eval --import Pythia={dir}/other.json --out {dir}/r";
    let (sentence, code) = failure(line, &[("dir", dir.path())]);
    assert!(sentence.contains("has no model_num_parameters"), "{sentence}");
    assert_eq!(code, 2);
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let dir = evaluated();
    let paths = [("dir", dir.path())];
    let (sentence, code) = failure("report {dir}/eval --x time --out {dir}/r", &paths);
    assert_eq!(
        sentence,
        "the results have no sizes in seconds; available: --x params, bytes, layers"
    );
    assert_eq!(code, 2);
    let (sentence, _) = failure("report {dir}/eval --metric f1 --out {dir}/r", &paths);
    assert_eq!(sentence, "unknown metric \"f1\"; available: arc_easy:acc");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (sentence, code) = failure("report {dir}/empty --out {dir}/r", &paths);
    assert!(sentence.ends_with("expected an output folder of `boomerang eval`"), "{sentence}");
    assert_eq!(code, 3);
}

#[test]
fn damaged_files_are_named() {
    let dir = evaluated();
    let paths = [("dir", dir.path())];
    let samples = "eval/members/boomerang-04/samples_arc_easy_2026-11-27T08-00-00.000000.jsonl";
    fs::write(dir.path().join(samples), "{\"doc_id\"").unwrap();
    let (sentence, code) = failure("report {dir}/eval --out {dir}/r", &paths);
    assert!(sentence.contains(".jsonl: line 1: not JSON"), "{sentence}");
    assert_eq!(code, 3);
    for damaged in ["{", "{\"version\": 1}", "[]", "{\"version\": 1, \"members\": [{}]}"] {
        fs::write(dir.path().join("eval/family.json"), damaged).unwrap();
        let (sentence, code) = failure("report {dir}/eval --out {dir}/r", &paths);
        assert!(sentence.contains("family.json: "), "{sentence}");
        assert_eq!(code, 3);
    }
}

#[test]
fn an_evaluation_is_not_replaced_by_its_report() {
    let dir = evaluated();
    let (sentence, _) =
        failure("report {dir}/eval --out {dir}/eval --force", &[("dir", dir.path())]);
    assert!(sentence.contains("choose another path"), "{sentence}");
    assert!(dir.path().join("eval/family.json").exists());
}
