//! The bytes of messages, and what they survive.

use boomerang_core::generate::Sampling;
use boomerang_core::plan::Patch;

use super::*;
use crate::parcel::{from_bytes, to_bytes};

#[test]
fn every_build_reads_the_version_of_every_other() {
    let ready = Reply::Ready { protocol: 300 };
    assert_eq!(to_bytes(&ready), [0, 172, 2]);
    assert_eq!(ready.protocol(), Some(300));
    assert_eq!(Reply::Family(FamilyReply::Loaded).protocol(), None);
}

fn generate(prompt: &str, n_tokens: usize, sampling: Sampling) -> Request {
    let patch: Patch = serde_json::from_str("[true, false]").unwrap();
    let prompt = Prompt::Text(prompt.to_owned());
    Request::Model { id: 7, request: ModelRequest::Generate { patch, prompt, n_tokens, sampling } }
}

#[test]
fn the_benchmark_against_other_engines_uses_these_bytes() {
    // What tests/bench/browser_decode.js writes,
    let (manifest_url, manifest) = ("u".to_owned(), "{}".to_owned());
    let load = Request::Family(FamilyRequest::Load { manifest_url, manifest, n_sizes: 1 });
    assert_eq!(to_bytes(&load), [0, 0, 1, b'u', 2, b'{', b'}', 1]);
    let generate = generate("t", 200, Sampling::Greedy);
    assert_eq!(to_bytes(&generate), [1, 7, 0, 2, 1, 0, 0, 1, b't', 200, 1, 0]);
    // and what it reads.
    let notice = Notice::new("a", "b", "c");
    let failed = Reply::Failed { notice: notice.clone() };
    assert_eq!(to_bytes(&failed), [1, 1, b'a', 1, b'b', 1, b'c']);
    assert_eq!(to_bytes(&Reply::Family(FamilyReply::Loaded)), [2, 2]);
    let (notice_of, problem) = (notice.clone(), LoadProblem::Damaged);
    let failed = Reply::Family(FamilyReply::LoadFailed { notice: notice_of, problem });
    assert_eq!(to_bytes(&failed), [2, 3, 1, b'a', 1, b'b', 1, b'c', 3]);
    let text = |reply: TextReply| to_bytes(&Reply::Text { id: 7, reply });
    let event = |event: TextEvent| text(TextReply::Event(event));
    let started = TextEvent::Started { prompt_tokens: vec![300], rendered: None, n_unknown: 0 };
    assert_eq!(event(started), [3, 7, 0, 0, 1, 172, 2, 0, 0]);
    let token = TextEvent::Token { token: 300, text: "x".to_owned() };
    assert_eq!(event(token), [3, 7, 0, 1, 172, 2, 1, b'x']);
    let ending = Ending::Length;
    let (n_tokens, n_reused, first_millis, rest_millis) = (3, 2, 1.0, 2.0);
    let report = RunReport { n_tokens, n_reused, first_millis, rest_millis, ending, kept: None };
    let done = event(TextEvent::Done { text: String::new(), report });
    assert_eq!(done[..7], [3, 7, 0, 2, 0, 3, 2]);
    assert_eq!(done[7..23], [1.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes()].concat());
    let failed = TextReply::Failed { notice };
    assert_eq!(text(failed), [3, 7, 1, 1, b'a', 1, b'b', 1, b'c']);
}

#[test]
fn invalid_bytes_are_refused() {
    assert!(from_bytes::<Reply>(&[]).is_err());
    assert!(from_bytes::<Reply>(&[200, 1, 2]).is_err());
    // A text of four billion bytes, none of which follow.
    assert!(from_bytes::<String>(&[255, 255, 255, 255, 15]).is_err());
}

#[test]
fn a_request_survives_the_way_to_the_worker() {
    let sampling = Sampling::Random { temperature: 0.8, seed: 3 };
    let request = generate("\u{1F600} \"quoted\"", 5, sampling);
    assert_eq!(from_bytes::<Request>(&to_bytes(&request)).unwrap(), request);
}

#[test]
fn the_first_token_does_not_count_towards_the_speed() {
    let report = RunReport {
        n_tokens: 11,
        n_reused: 0,
        first_millis: 5000.0,
        rest_millis: 500.0,
        ending: Ending::Length,
        kept: None,
    };
    assert_eq!(report.tokens_per_second(), Some(20.0));
    assert_eq!(RunReport { n_tokens: 9, ..report }.tokens_per_second(), Some(16.0));
    assert_eq!(RunReport { n_tokens: 1, ..report }.tokens_per_second(), None);
}

#[test]
fn a_few_tokens_have_no_speed() {
    let report = RunReport {
        n_tokens: 8,
        n_reused: 0,
        first_millis: 1.0,
        rest_millis: 3.0,
        ending: Ending::Length,
        kept: None,
    };
    assert_eq!(report.tokens_per_second(), None);
}

#[test]
fn reused_tokens_do_not_count_towards_the_speed() {
    let report = RunReport {
        n_tokens: 31,
        n_reused: 20,
        first_millis: 50.0,
        rest_millis: 500.0,
        ending: Ending::Length,
        kept: None,
    };
    assert_eq!(report.tokens_per_second(), Some(20.0));
    assert_eq!(RunReport { n_reused: 31, ..report }.tokens_per_second(), None);
}
