//! Trials, with the replies of a worker made by the test.

use boomerang_core::checkpoint::Precision;
use boomerang_core::generate::{Guess, Sampling};
use boomerang_engine::messages::{Prompt, RunReport};

use super::*;
use boomerang_client::testing::{card, family};

fn tiny() -> FamilyCard {
    card(&family(true), Precision::F32)
}

fn task(family: &FamilyCard) -> Task {
    let patch = family.path()[0].clone();
    let size = family.size(&patch);
    let prompt = Prompt::Text("a".to_owned());
    Task { patch, size, prompt, n_tokens: 2, sampling: Sampling::Greedy }
}

/// Replies to a request to generate: the prompt is token 1, and two tokens follow.
fn generate(trial: &mut Trial, id: u32, tokens: [u32; 2], ending: Ending) {
    let mut reply = |event| trial.on_text_reply(id, TextReply::Event(event));
    reply(TextEvent::Started { prompt_tokens: vec![1], rendered: None, n_unknown: 0 });
    for token in tokens {
        reply(TextEvent::Token { token, text: token.to_string() });
    }
    let report = RunReport {
        n_tokens: 2,
        n_reused: 0,
        first_millis: 1.0,
        rest_millis: 1.0,
        ending,
        kept: None,
    };
    reply(TextEvent::Done { text: String::new(), report });
}

fn guesses(guesses: [(u32, f64); 3]) -> AnswerReply {
    let guess = |(token, kl)| GuessedToken {
        guess: Guess { token, probability: 0.5, kl },
        text: token.to_string(),
    };
    AnswerReply::Part(Answer::Guesses(guesses.map(guess).into()))
}

#[test]
fn the_teacher_generates_first_and_all_predict_along_its_text() {
    let family = tiny();
    let mut trial = Trial::comparison(&family, &[0, 1], 2, task(&family));
    let shown: Vec<bool> = trial.members.iter().map(|member| member.is_shown).collect();
    assert_eq!(shown, [true, true, false]);
    for (id, stop) in [(1, 2), (2, 0), (3, 1)] {
        let Some(ModelRequest::Generate { patch, .. }) = trial.next_request(id) else {
            panic!("request {id} generates no text")
        };
        assert_eq!(patch, family.path()[stop], "request {id}");
        generate(&mut trial, id, [id + 10, id + 20], Ending::Length);
    }
    let request = trial.next_request(4);
    let Some(ModelRequest::Ask(Question::Guess { patches, tokens, from })) = request else {
        panic!("no predictions are requested: {request:?}")
    };
    assert_eq!((patches.len(), tokens, from), (3, vec![1, 11, 21], 0));
}

#[test]
fn the_agreement_counts_the_tokens_that_both_predict() {
    let family = tiny();
    let mut trial = Trial::sweep(&family, 2, task(&family));
    assert!(trial.next_request(1).is_some());
    generate(&mut trial, 1, [5, 6], Ending::Length);
    assert!(matches!(trial.next_request(2), Some(ModelRequest::Ask(Question::Guess { .. }))));
    trial.on_answer(2, guesses([(5, 0.3), (9, 0.6), (7, 0.0)]));
    assert_eq!(trial.agreement(&trial.members[0]), None, "the teacher has no predictions yet");
    trial.on_answer(2, guesses([(5, 0.1), (6, 0.2), (7, 0.0)]));
    trial.on_answer(2, guesses([(5, 0.0), (6, 0.0), (7, 0.0)]));
    trial.on_answer(2, AnswerReply::Ended { is_stopped: false });
    assert_eq!(trial.state, TrialState::Done);
    let agreement = trial.agreement(&trial.members[0]).unwrap();
    assert_eq!((agreement.n_tokens, agreement.n_agreeing), (3, 2));
    assert!((agreement.kl - 0.3).abs() < 1e-12);
    assert_eq!(trial.next_request(3), None);
}

#[test]
fn where_the_teacher_does_not_fit_the_largest_size_that_does_replaces_it() {
    let family = tiny();
    let mut trial = Trial::comparison(&family, &[0, 2], 1, task(&family));
    assert_eq!((trial.members.len(), trial.reference_name), (2, "largest size that fits"));
    let Some(ModelRequest::Generate { patch, .. }) = trial.next_request(1) else {
        panic!("no text is requested")
    };
    assert_eq!(patch, family.path()[1]);
    let sweep = Trial::sweep(&family, 1, task(&family));
    assert_eq!(sweep.reference().patch, family.path()[1]);
    assert_eq!(Trial::sweep(&family, 2, task(&family)).reference_name, "teacher");
}

#[test]
fn a_stopped_trial_requests_nothing_more() {
    let family = tiny();
    let mut trial = Trial::comparison(&family, &[0], 2, task(&family));
    assert!(trial.next_request(1).is_some());
    generate(&mut trial, 1, [5, 6], Ending::Stopped);
    assert_eq!(trial.state, TrialState::Stopped);
    assert_eq!(trial.next_request(2), None);
}

#[test]
fn replies_to_older_requests_are_ignored() {
    let family = tiny();
    let mut trial = Trial::comparison(&family, &[0], 2, task(&family));
    trial.next_request(7);
    generate(&mut trial, 6, [5, 6], Ending::Length);
    assert!(
        trial
            .members
            .iter()
            .all(|member| member.run.as_ref().is_none_or(|run| run.report.is_none()))
    );
}
