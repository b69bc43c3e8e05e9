use std::path::Path;

use boomerang_tests::commands::boomerang;
use boomerang_tests::{read, read_json};

const SETTINGS: &str = "pretrain --layers 3 --d-model 12 --heads 2 --d-ff 16 --steps 4 --batch-size 2 \
                        --seq-len 32 --questions 1 --device cpu";

fn weights(dir: &Path, name: &str) -> Vec<u8> {
    read(dir.join(name).join("model.safetensors"))
}

#[test]
fn a_rate_of_0_pretrains_the_teacher_that_no_rate_does() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    boomerang(&format!("{SETTINGS} --out {{dir}}/without"), &paths).unwrap();
    boomerang(&format!("{SETTINGS} --layer-drop 0 --out {{dir}}/zero"), &paths).unwrap();
    assert!(weights(dir.path(), "without") == weights(dir.path(), "zero"));
    let made = ["without", "zero"].map(|name| read(dir.path().join(name).join("made.json")));
    assert!(made[0] == made[1]);
}

#[test]
fn dropped_layers_are_those_of_the_seed_and_the_rate_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    for (name, flags) in [("whole", ""), ("one", "--layer-drop 0.5"), ("two", "--layer-drop 0.5")] {
        boomerang(&format!("{SETTINGS} {flags} --out {{dir}}/{name}"), &paths).unwrap();
    }
    assert!(weights(dir.path(), "one") == weights(dir.path(), "two"));
    assert!(weights(dir.path(), "one") != weights(dir.path(), "whole"));
    let made = read_json(dir.path().join("one/made.json"));
    assert_eq!(made["layer_drop"], 0.5);
}
