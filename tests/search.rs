use std::collections::BTreeMap;
use std::fs;

use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::plan::{OrderFile, Patch};
use boomerang_core::prune::Family;
use boomerang_core::search::{MeasuredMembers, Metric, beam, exact, greedy};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_family, write_ids};
use boomerang_tests::{block_on, plain_divergence, tiny_batch, tiny_family};

/// Every set of layers with its KL, each member measured by itself.
fn all_sets(family: &Family, batch: &Batch) -> BTreeMap<Patch, f64> {
    let plan = family.plan();
    (0_u32..1 << plan.n_student_layers())
        .map(|bits| {
            let layers: Vec<usize> =
                (0..plan.n_student_layers()).filter(|layer| bits >> layer & 1 == 1).collect();
            let patch = Patch::of(&layers, plan).unwrap();
            let kl = plain_divergence(family.teacher().model(), &family.member(&patch), batch).0;
            (patch, kl)
        })
        .collect()
}

fn sets_of(family: &Family, order: &[usize]) -> Vec<Patch> {
    (0..=order.len()).map(|n| Patch::of(&order[..n], family.plan()).unwrap()).collect()
}

#[test]
fn a_members_divergence_is_that_of_plain_forward_passes() {
    let family = tiny_family(&cpu());
    // Documents that share a row, and padding: what does not count is not counted.
    let packed = Row::new(vec![4, 8, 15, 16, 23, 2], vec![1, 1, 1, 1, 1, 0]);
    let batch = Batch::new(vec![packed, Row::padded(&[3, 1, 4], 6, 0)], Layout::Padded);
    let batches = [batch];
    let mut known = MeasuredMembers::new(&family, &batches, Metric::Kl);
    let patch = Patch::of(&[1, 3], family.plan()).unwrap();
    block_on(known.measure(&[patch.clone(), Patch::all(family.plan())])).unwrap();
    let found = known.divergence(&patch);
    let (kl, nats) =
        plain_divergence(family.teacher().model(), &family.member(&patch), &batches[0]);
    assert!((found.kl.mean - kl).abs() < 1e-5, "{} and {kl}", found.kl.mean);
    assert!((found.nats.mean - nats).abs() < 1e-5, "{} and {nats}", found.nats.mean);
    assert_eq!(known.divergence(&Patch::all(family.plan())).kl.mean, 0.0);
}

#[test]
fn klpatch_takes_the_nearest_member_at_each_step() {
    let family = tiny_family(&cpu());
    let batches = [tiny_batch(3, 12)];
    let mut known = MeasuredMembers::new(&family, &batches, Metric::Kl);
    let order = block_on(greedy(&mut known, &mut |_| {})).unwrap();
    let losses = all_sets(&family, &batches[0]);
    for (n, &taken) in order.iter().enumerate() {
        let so_far = Patch::of(&order[..n], family.plan()).unwrap();
        let best = (0..order.len())
            .filter(|&layer| !so_far.contains(layer))
            .min_by(|&a, &b| losses[&so_far.toggled(a)].total_cmp(&losses[&so_far.toggled(b)]));
        assert_eq!(Some(taken), best, "step {n} of {order:?}");
    }
    assert!(known.n_layer_calls < known.n_layer_calls_alone);
}

#[test]
fn an_exact_search_finds_the_path_with_the_least_sum() {
    let family = tiny_family(&cpu());
    let batches = [tiny_batch(3, 12)];
    let losses = all_sets(&family, &batches[0]);
    let sum =
        |order: &[usize]| -> f64 { sets_of(&family, order).iter().map(|set| losses[set]).sum() };
    let mut known = MeasuredMembers::new(&family, &batches, Metric::Kl);
    let found = sum(&block_on(exact(&mut known, &mut |_| {})).unwrap());
    let n = family.plan().n_student_layers();
    let mut least = f64::INFINITY;
    for a in 0..n {
        for b in (0..n).filter(|&b| b != a) {
            for c in (0..n).filter(|&c| c != a && c != b) {
                let d = (0..n).find(|&d| d != a && d != b && d != c).unwrap();
                least = least.min(sum(&[a, b, c, d]));
            }
        }
    }
    assert!((found - least).abs() < 1e-5, "{found} and {least}");
    let wide = sum(&block_on(beam(&mut known, 3, &mut |_| {})).unwrap());
    assert!(wide + 1e-5 >= least);
}

#[test]
fn a_searched_order_is_written_compared_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 4, 16);
    let family_args = "--teacher {dir}/teacher --student {dir}/student --kept 0,2,4,5";
    let line = format!(
        "search {family_args} --method exact --calibration {{dir}}/texts.jsonl --device cpu \
         --out {{dir}}/order.json"
    );
    boomerang(&line, &paths).unwrap();
    let text = fs::read_to_string(dir.path().join("order.json")).unwrap();
    let file = OrderFile::from_json(&text).unwrap();
    assert_eq!(file.method, "exact");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = value["compared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["order"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["exact", "last", "first"]);
    let last_size = value["compared"][0]["sizes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last_size["kl"], 0.0);
    boomerang(&format!("patch {family_args} --order {{dir}}/order.json --all --dry-run"), &paths)
        .unwrap();
}

#[test]
fn a_search_without_texts_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let line = "search --teacher {dir}/t --student {dir}/s --out {dir}/order.json";
    let (message, code) = failure(line, &[("dir", dir.path())]);
    assert!(message.contains("--calibration"), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn a_budget_takes_the_nearest_member_that_fits_with_its_cache() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    let family = write_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 4, 16);
    let search = |budget: &str| {
        let line = format!(
            "search --teacher {{dir}}/teacher --student {{dir}}/student --kept 0,2,4,5 --method exact \
             --calibration {{dir}}/texts.jsonl --device cpu --out {{dir}}/order.json --force {budget}"
        );
        boomerang(&line, &paths).unwrap();
        let text = fs::read_to_string(dir.path().join("order.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["budget"].clone()
    };
    let config = family.teacher().model().config();
    let weights = 4 * config.n_params();
    // The teacher fits, and nothing is nearer to it than itself.
    let budget = search(&format!("--bytes {weights}"));
    assert_eq!(budget["chosen"]["layers"], 6);
    assert_eq!(budget["chosen"]["kl"], 0.0);
    // Of the same bytes a cache for one text takes its part.
    let budget = search(&format!("--bytes {weights} --kv 64:1"));
    let n_cached = 2 * 64 * config.n_kv_heads * config.d_head;
    let (layers, kv) = (&budget["chosen"]["layers"], &budget["chosen"]["kv_bytes"]);
    assert!(layers.as_u64().unwrap() < 6, "{budget}");
    assert_eq!(kv.as_u64().unwrap(), layers.as_u64().unwrap() * 2 * n_cached as u64);
    assert!(!budget["next_larger"].is_null());
}

#[test]
fn a_budget_with_one_matrix_for_both_ends_is_compared_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 4, 16);
    let line = "search --teacher {dir}/teacher --student {dir}/student --kept 0,2,4,5 --head teacher \
                --calibration {dir}/texts.jsonl --device cpu --out {dir}/order.json --params 1B";
    boomerang(line, &paths).unwrap();
    let text = fs::read_to_string(dir.path().join("order.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["budget"]["chosen"]["head"], "teacher");
    assert_eq!(value["budget"]["chosen"]["kl"], 0.0);
}

#[test]
fn an_order_is_written_also_when_no_member_is_small_enough() {
    let dir = tempfile::tempdir().unwrap();
    write_family(dir.path());
    write_ids(&dir.path().join("texts.jsonl"), 4, 16);
    let line = "search --teacher {dir}/teacher --student {dir}/student --kept 0,2,4,5 --bytes 1KB \
                --calibration {dir}/texts.jsonl --device cpu --out {dir}/order.json";
    let (message, code) = failure(line, &[("dir", dir.path())]);
    assert!(message.contains("the smallest has 4 layers"), "{message}");
    assert_eq!(code, 2);
    assert!(dir.path().join("order.json").exists());
}
