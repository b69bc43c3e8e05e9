use std::fs;

use boomerang_tests::commands::{boomerang, failure};

#[test]
fn an_experiment_is_written_whole_and_alike_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let line = format!(
            "experiment wrong-order --seeds 1 --steps 1 --questions 10 --device cpu --out {{dir}}/{name}"
        );
        boomerang(&line, &[("dir", dir.path())]).unwrap();
        ["curve.csv", "curve.json", "chart.svg", "loss.svg", "summary.md"]
            .map(|file| fs::read_to_string(dir.path().join(name).join(file)).unwrap())
    };
    let files = run("one");
    assert_eq!(files, run("two"));
    // Two orders, six sizes each.
    assert_eq!(files[0].lines().count(), 1 + 2 * 6);
    assert!(files[4].contains("| last − first |"), "{}", files[4]);
}

#[test]
fn too_few_questions_are_refused_with_the_reason() {
    let (message, code) = failure("experiment phenomenon --questions 3", &[]);
    assert!(message.contains("at least 10"), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn the_list_of_experiments_needs_nothing() {
    boomerang("experiment list", &[]).unwrap();
}
