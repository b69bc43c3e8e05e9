use boomerang_tests::hub::{REPO, commit, sha256};
use boomerang_tests::read;

use super::{Bench, CONFIG, INDEX, WEIGHTS, names, weights};

#[test]
fn an_index_that_leads_out_of_the_folder_is_refused() {
    let bench = Bench::new(&[
        (CONFIG, b"{}"),
        (INDEX, br#"{"weight_map": {"a": "../../../../evil.safetensors"}}"#),
        ("../../../../evil.safetensors", b"evil"),
    ]);
    let (sentence, code) = bench.refusal(REPO);
    assert!(sentence.contains("not a plain file name"), "{sentence}");
    assert_eq!(code, 3);
    assert_eq!(names(bench.home.path()), ["hub"]);
}

#[test]
fn names_that_lead_elsewhere_are_not_fetched() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let hostile = ["../config.json", "/tmp/config.json", ".config.json", "a\\config.json", "a\nb"];
    bench.server.change(|model| model.listed_too = hostile.map(str::to_owned).to_vec());
    assert_eq!(names(&bench.folder()), [CONFIG, WEIGHTS]);
    assert_eq!(names(bench.home.path()), ["hub"]);
}

#[test]
fn a_hash_that_is_a_path_is_not_followed() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let target = bench.home.path().join("evil").display().to_string();
    for etag in [target, "../../../evil".to_owned()] {
        bench.server.change(|model| model.etag = Some(etag));
        let (sentence, code) = bench.refusal(REPO);
        assert!(sentence.contains("no hash to check config.json against"), "{sentence}");
        assert_eq!(code, 7);
    }
    assert!(!bench.home.path().join("evil").exists());
}

#[test]
fn a_commit_that_is_a_path_is_not_followed() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.server.change(|model| {
        model.revisions.insert("main".to_owned(), "../../../evil".to_owned());
    });
    assert!(bench.refusal(REPO).0.contains(": no commit"));
}

#[test]
fn a_file_with_another_hash_is_refused_and_removed() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"right")]);
    bench.server.change(|model| {
        model.instead.insert(WEIGHTS.to_owned(), b"wrong".to_vec());
    });
    let (sentence, code) = bench.refusal(REPO);
    let hashes = [b"wrong", b"right"].map(|bytes| sha256(bytes));
    let expected = format!(
        "{WEIGHTS} of {REPO} has hash {}; expected {}; the file was removed, try again",
        hashes[0], hashes[1]
    );
    assert_eq!((sentence, code), (expected, 7));
    assert!(!bench.repo().join("blobs").join(&hashes[1]).exists());
    assert_eq!(names(&bench.repo().join("snapshots").join(commit(1))), [CONFIG]);

    bench.server.change(|model| model.instead.clear());
    assert_eq!(read(bench.folder().join(WEIGHTS)), b"right");
}

#[test]
fn a_small_file_with_another_hash_is_refused() {
    let bench = Bench::new(&[(CONFIG, b"{ }"), (WEIGHTS, b"w")]);
    bench.server.change(|model| {
        model.instead.insert(CONFIG.to_owned(), b"[0]".to_vec());
    });
    assert!(bench.refusal(REPO).0.starts_with("config.json of owner/tiny has hash"));
}

#[test]
fn a_page_in_place_of_weights_is_not_taken_for_weights() {
    let page = b"<!doctype html><title>Please log in to the network</title>";
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| {
        model.instead.insert(WEIGHTS.to_owned(), page.to_vec());
    });
    let expected = "model.safetensors of owner/tiny has 58 bytes; expected 1600000; try again";
    assert_eq!(bench.refusal(REPO), (expected.to_owned(), 7));
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &page[..20])]);
    bench.server.change(|model| {
        let mut other = page[..20].to_vec();
        other.reverse();
        model.instead.insert(WEIGHTS.to_owned(), other);
    });
    assert!(bench.refusal(REPO).0.contains("has hash"));
}
