use boomerang_hub::{self as hub, HubId};
use boomerang_tests::hub::{Model, REPO, StandIn, commit};
use boomerang_tests::read;

use super::{Bench, CONFIG, INDEX, WEIGHTS, names, weights};

#[test]
fn what_is_in_the_cache_is_not_asked_for_again() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let folder = bench.folder();
    let n_asked = bench.server.asked().len();
    assert_eq!(bench.folder(), folder);
    assert_eq!(bench.fetch(&format!("{REPO}@{}", commit(1))).unwrap(), folder);
    assert_eq!(bench.server.asked().len(), n_asked);
}

#[test]
fn only_files_that_are_read_are_fetched() {
    let bench = Bench::new(&[
        (CONFIG, b"{}"),
        (WEIGHTS, b"w"),
        ("tokenizer.json", b"{}"),
        ("student_config.json", b"{}"),
        ("LICENSE", b""),
        ("README.md", b"-"),
        ("pytorch_model.bin", b"-"),
        ("consolidated.safetensors", b"-"),
        ("model.fp16.safetensors", b"-"),
        (INDEX, b"-"),
        ("onnx/model.onnx", b"-"),
        ("original/config.json", b"-"),
    ]);
    let expected = ["LICENSE", CONFIG, WEIGHTS, "student_config.json", "tokenizer.json"];
    assert_eq!(names(&bench.folder()), expected);
}

#[test]
fn a_revision_is_asked_for_by_name() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"new")]);
    bench.server.change(|model| model.commit("v1", 2, &[(CONFIG, b"{}"), (WEIGHTS, b"old")]));
    bench.server.change(|model| model.commit("refs/pr/5", 3, &[(CONFIG, b"{}"), (WEIGHTS, b"pr")]));
    let weights = |id: &str| read(bench.fetch(id).unwrap().join(WEIGHTS));
    assert_eq!(weights(REPO), b"new");
    assert_eq!(weights("owner/tiny@v1"), b"old");
    assert_eq!(weights("owner/tiny@refs/pr/5"), b"pr");
    assert_eq!(weights("owner/tiny@v1"), b"old");
    let found = hub::list(&bench.settings).unwrap();
    let ids: Vec<String> = found.iter().map(|snapshot| snapshot.id.to_string()).collect();
    assert_eq!(ids, [REPO, "owner/tiny@refs/pr/5", "owner/tiny@v1"]);
}

#[test]
fn a_branch_moves_on_when_the_hub_is_asked_again() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"old")]);
    bench.folder();
    bench.server.change(|model| model.commit("main", 2, &[(CONFIG, b"{}"), (WEIGHTS, b"new")]));
    assert_eq!(read(bench.folder().join(WEIGHTS)), b"old");
    let folder = hub::update(&HubId::parse(REPO).unwrap(), &bench.settings, &mut ()).unwrap();
    assert_eq!(read(folder.join(WEIGHTS)), b"new");
    assert_eq!(bench.folder(), folder);
}

#[test]
fn a_file_that_two_commits_share_is_fetched_once() {
    let (bench, weights) = (Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights())]), weights());
    bench.folder();
    bench.server.change(|model| model.commit("v2", 2, &[(CONFIG, b"{ }"), (WEIGHTS, &weights)]));
    bench.fetch("owner/tiny@v2").unwrap();
    assert_eq!(bench.server.n_bytes_of_weights(), weights.len());
}

#[test]
fn shards_are_those_that_the_index_names() {
    let map = br#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#;
    let bench = Bench::new(&[
        (CONFIG, b"{}"),
        (INDEX, map),
        ("m-1.safetensors", b"1"),
        ("m-2.safetensors", b"2"),
        ("m-3.safetensors", b"3"),
    ]);
    let expected = [CONFIG, "m-1.safetensors", "m-2.safetensors", INDEX];
    assert_eq!(names(&bench.folder()), expected);
}

#[test]
fn the_token_goes_to_the_hub_and_no_further() {
    let files: &[(&str, &[u8])] = &[(CONFIG, b"{}"), (WEIGHTS, b"w")];
    let elsewhere = StandIn::start(Model::of(files));
    let mut bench = Bench::new(files);
    bench.server.change(|model| {
        model.token = Some("hf_right".to_owned());
        model.elsewhere = Some(elsewhere.address());
    });
    bench.set_token("hf_right");
    assert_eq!(read(bench.folder().join(WEIGHTS)), b"w");
    let tokens = |server: &StandIn| -> Vec<Option<String>> {
        server.asked().into_iter().map(|asked| asked.authorization).collect()
    };
    assert!(tokens(&bench.server).iter().all(|token| token.as_deref() == Some("Bearer hf_right")));
    assert_eq!(tokens(&elsewhere), [None]);
}

#[test]
fn what_two_ask_for_at_once_arrives_once() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(read(bench.folder().join(WEIGHTS)) == weights));
        }
    });
    assert_eq!(bench.server.n_bytes_of_weights(), weights.len());
}
