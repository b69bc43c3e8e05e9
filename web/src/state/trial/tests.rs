//! Trials, with the worker's part spoken by the test.

use boomerang_core::checkpoint::Precision;
use boomerang_core::generate::{Guess, Sampling};
use boomerang_engine::messages::RunReport;

use super::*;
use crate::family::tests::{card, family};

fn tiny() -> FamilyCard {
    card(&family(true), Precision::F32)
}

fn task(family: &FamilyCard) -> Task {
    let patch = family.path()[0].clone();
    let size = family.size(&patch);
    Task { patch, size, prompt: "a".to_owned(), n_tokens: 2, sampling: Sampling::Greedy }
}

/// Answers a request to write: the prompt is token 1, and two tokens follow.
fn write(trial: &mut Trial, id: u32, tokens: [u32; 2], ending: Ending) -> bool {
    trial.hear(Reply::Started { id, prompt_tokens: vec![1] });
    for token in tokens {
        trial.hear(Reply::Token { id, token, text: token.to_string() });
    }
    let report =
        RunReport { n_tokens: 2, n_reused: 0, first_millis: 1.0, rest_millis: 1.0, ending };
    trial.hear(Reply::Done { id, text: String::new(), report })
}

fn guessed(id: u32, guesses: [(u32, f64); 3]) -> Reply {
    let told = |(token, kl)| ToldGuess {
        guess: Guess { token, probability: 0.5, kl },
        text: token.to_string(),
    };
    Reply::Guessed { id, guesses: guesses.map(told).into() }
}

#[test]
fn the_teacher_writes_first_and_all_read_what_it_wrote() {
    let family = tiny();
    let mut trial = Trial::of_writers(&family, &[0, 1], 2, task(&family));
    let shown: Vec<bool> = trial.parts.iter().map(|part| part.is_shown).collect();
    assert_eq!(shown, [true, true, false]);
    for (id, stop) in [(1, 2), (2, 0), (3, 1)] {
        let Some(Request::Generate { patch, .. }) = trial.next_request(id) else {
            panic!("request {id} is no text")
        };
        assert_eq!(patch, family.path()[stop], "request {id}");
        assert!(write(&mut trial, id, [id + 10, id + 20], Ending::Length));
    }
    let Some(Request::Guess { patches, tokens, from, .. }) = trial.next_request(4) else {
        panic!("nobody guesses")
    };
    assert_eq!((patches.len(), tokens, from), (3, vec![1, 11, 21], 0));
}

#[test]
fn nearness_counts_the_places_where_both_expect_the_same() {
    let family = tiny();
    let mut trial = Trial::of_readers(&family, 2, task(&family));
    assert!(trial.next_request(1).is_some());
    write(&mut trial, 1, [5, 6], Ending::Length);
    assert!(matches!(trial.next_request(2), Some(Request::Guess { .. })));
    trial.hear(guessed(2, [(5, 0.3), (9, 0.6), (7, 0.0)]));
    assert_eq!(trial.nearness(&trial.parts[0]), None, "the teacher has not guessed");
    trial.hear(guessed(2, [(5, 0.1), (6, 0.2), (7, 0.0)]));
    trial.hear(guessed(2, [(5, 0.0), (6, 0.0), (7, 0.0)]));
    assert!(trial.hear(Reply::Ended { id: 2, is_stopped: false }));
    assert_eq!(trial.state, TrialState::Whole);
    let nearness = trial.nearness(&trial.parts[0]).unwrap();
    assert_eq!((nearness.n_places, nearness.n_agreeing), (3, 2));
    assert!((nearness.kl - 0.3).abs() < 1e-12);
    assert_eq!(trial.next_request(3), None);
}

#[test]
fn where_the_teacher_has_no_room_the_largest_that_has_stands_for_it() {
    let family = tiny();
    let mut trial = Trial::of_writers(&family, &[0, 2], 1, task(&family));
    assert_eq!((trial.parts.len(), trial.reference_name), (2, "largest size here"));
    let Some(Request::Generate { patch, .. }) = trial.next_request(1) else { panic!("no text") };
    assert_eq!(patch, family.path()[1]);
    let sweep = Trial::of_readers(&family, 1, task(&family));
    assert_eq!(sweep.reference().patch, family.path()[1]);
    assert_eq!(Trial::of_readers(&family, 2, task(&family)).reference_name, "teacher");
}

#[test]
fn a_trial_that_is_stopped_asks_for_nothing_more() {
    let family = tiny();
    let mut trial = Trial::of_writers(&family, &[0], 2, task(&family));
    assert!(trial.next_request(1).is_some());
    assert!(write(&mut trial, 1, [5, 6], Ending::Stopped));
    assert_eq!(trial.state, TrialState::Stopped);
    assert_eq!(trial.next_request(2), None);
}

#[test]
fn replies_to_older_requests_are_not_taken_for_its_own() {
    let family = tiny();
    let mut trial = Trial::of_writers(&family, &[0], 2, task(&family));
    trial.next_request(7);
    assert!(!write(&mut trial, 6, [5, 6], Ending::Length));
    assert!(
        trial.parts.iter().all(|part| part.run.as_ref().is_none_or(|run| run.report.is_none()))
    );
}
