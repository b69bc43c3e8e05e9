use boomerang_tests::hub::REPO;
use boomerang_tests::read;

use super::{Bench, CONFIG, WEIGHTS, weights};

#[test]
fn a_cut_connection_goes_on_where_it_ended() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| model.cuts = vec![500_000, 300_000]);
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
    assert_eq!(bench.ranges(), ["bytes=500000-", "bytes=800000-"]);
    assert_eq!(bench.server.n_bytes_of_weights(), weights.len());
}

#[test]
fn any_number_of_cuts_is_borne_while_something_arrives() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| model.cuts = vec![100_000; 15]);
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
}

#[test]
fn when_nothing_arrives_any_more_what_did_is_kept() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| model.cuts = [&[500_000][..], &[0; 20]].concat());
    let (sentence, code) = bench.refusal(REPO);
    assert!(sentence.contains("run the same command to resume it"), "{sentence}");
    assert_eq!(code, 7);
    bench.server.change(|model| model.cuts.clear());
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
    assert_eq!(bench.server.n_bytes_of_weights(), weights.len());
}

#[test]
fn a_part_that_is_already_whole_is_not_fetched_again() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.leave_part(&weights, &weights);
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
    assert_eq!(bench.server.n_bytes_of_weights(), 0);
}

#[test]
fn a_part_of_something_else_is_begun_anew() {
    let weights = weights();
    for n_bytes in [1000, weights.len(), weights.len() + 1] {
        let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
        bench.leave_part(&weights, &vec![7; n_bytes]);
        assert!(read(bench.folder().join(WEIGHTS)) == weights, "{n_bytes}");
    }
}

#[test]
fn a_server_that_cannot_go_on_begins_anew() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| {
        model.cuts = vec![500_000];
        model.ignores_ranges = true;
    });
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
    // One that also ends early each time is given up.
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.server.change(|model| {
        model.cuts = vec![500_000; 100];
        model.ignores_ranges = true;
    });
    assert_eq!(bench.refusal(REPO).1, 7);
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.server.change(|model| model.n_busy = 4);
    assert_eq!(read(bench.folder().join(WEIGHTS)), b"w");
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    bench.server.change(|model| model.n_busy = 5);
    assert!(bench.refusal(REPO).0.contains("status 503"));
}

#[test]
fn a_page_in_place_of_the_rest_costs_nothing_that_has_arrived() {
    let weights = weights();
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, &weights)]);
    bench.leave_part(&weights, &weights[..1_000_000]);
    bench.server.change(|model| {
        model.instead.insert(WEIGHTS.to_owned(), b"<!doctype html>".to_vec());
        model.ignores_ranges = true;
    });
    assert!(bench.refusal(REPO).0.contains("has 15 bytes; expected 1600000"));
    bench.server.change(|model| {
        model.instead.clear();
        model.ignores_ranges = false;
    });
    assert!(read(bench.folder().join(WEIGHTS)) == weights);
    assert_eq!(bench.ranges().last().map(String::as_str), Some("bytes=1000000-"));
}
