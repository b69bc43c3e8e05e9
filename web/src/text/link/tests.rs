//! Links that survive a round trip, and invalid links.

use proptest::option::of;
use proptest::prelude::*;

use super::*;
use boomerang_client::testing::{card, chat_card, family};

fn tiny() -> FamilyCard {
    card(&family(true), boomerang_core::checkpoint::Precision::F32)
}

#[test]
fn what_is_left_out_is_not_in_the_address() {
    assert_eq!(Link::default().query(), "");
    let link = Link { stop: Some(3), seed: Some(7), ..Link::default() };
    assert_eq!(link.query(), "?k=3&s=7");
}

#[test]
fn a_prompt_can_be_read_in_the_address() {
    let link = Link { prompt: Some("sort 7 2 9 4 :".to_owned()), ..Link::default() };
    assert_eq!(link.query(), "?p=sort+7+2+9+4+:");
}

#[test]
fn a_value_that_means_nothing_is_told() {
    let link = Link::parse("?k=seven&s=-1&t=NaN&b=012&h=<b>&n=0&p=a");
    let keys: Vec<&str> = link.invalid.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["k", "s", "t", "b", "h", "n"]);
    assert_eq!(link.prompt.as_deref(), Some("a"));
    assert_eq!(link.problems(&tiny()).len(), 6);
}

#[test]
fn parameters_of_others_stay() {
    let link = Link::parse("?device=cpu&k=2");
    assert_eq!(Link { stop: Some(1), ..link }.query(), "?device=cpu&k=1");
}

#[test]
fn a_broken_escape_is_kept() {
    assert_eq!(Link::parse("p=100%&x=%zz").prompt.as_deref(), Some("100%"));
    assert_eq!(decode("%zz %+1 %4"), "%zz % 1 %4");
}

#[test]
fn a_stop_that_is_not_there_is_told_and_not_taken() {
    let family = tiny();
    let link = Link::parse("?k=9");
    assert_eq!(link.patch(&family), None);
    assert!(link.problems(&family)[0].contains("stop 9"), "{:?}", link.problems(&family));
    assert!(Link::parse("?k=1").problems(&family).is_empty());
}

#[test]
fn blocks_of_another_family_are_not_taken() {
    let family = tiny();
    assert_eq!(Link::parse("?b=0100").patch(&family).unwrap().layers(), [1]);
    let link = Link::parse("?b=01000");
    assert_eq!(link.patch(&family), None);
    assert!(link.problems(&family)[0].contains("5 blocks"));
}

#[test]
fn a_link_of_another_model_says_so() {
    let family = tiny();
    let ours = Link { fingerprint: Some(family.fingerprint().to_owned()), ..Link::default() };
    assert!(ours.is_of(&family) && ours.problems(&family).is_empty());
    let theirs = Link::parse("?h=0123456789ab");
    assert!(!theirs.is_of(&family));
    assert!(theirs.problems(&family)[0].contains("another model"));
}

#[test]
fn a_conversation_needs_a_chat_template() {
    let link = Link::parse("?turns=%5B%22a%22%5D");
    assert!(link.problems(&tiny())[0].contains("no chat template"));
    assert!(link.problems(&chat_card()).is_empty());
}

#[test]
fn a_link_says_which_size_wrote_which_span() {
    let family = tiny();
    let link = Link::parse("?spans=0000:12,0011:5");
    let members = link.span_members(&family).unwrap();
    let layers = members.iter().map(|(patch, n)| (patch.layers(), *n)).collect::<Vec<_>>();
    assert_eq!(layers, [(vec![], 12), (vec![2, 3], 5)]);
    assert!(link.problems(&family).is_empty());
    assert_eq!(Link::parse("?k=1").span_members(&family), None);
}

#[test]
fn spans_of_another_family_are_not_taken() {
    let family = tiny();
    let link = Link::parse("?spans=0000:12,00111:5");
    assert_eq!(link.span_members(&family), None);
    assert!(link.problems(&family)[0].contains("other blocks than the 4"));
    for wrong in ["", "0000", "0000:0", "0000:x", ":4", "0000:4,"] {
        let link = Link::parse(&format!("?spans={wrong}"));
        assert_eq!((link.spans, link.invalid.len()), (None, 1), "{wrong}");
    }
}

#[test]
fn only_sizes_that_are_there_are_compared() {
    let family = tiny();
    assert_eq!(Link::parse("?c=2-0-0").compared(&family), [0, 2]);
    let link = Link::parse("?c=2-7");
    assert_eq!(link.compared(&family), [0, 1, 2]);
    assert!(link.problems(&family)[0].contains('7'));
}

prop_compose! {
    fn links()(
        bundle in of(".*"),
        order in of(prop::sample::select(vec![
            OrderChoice::First, OrderChoice::Last, OrderChoice::LeastSimilar, OrderChoice::Bundle,
        ])),
        stop in of(any::<usize>()),
        blocks in of(prop::collection::vec(any::<bool>(), 1..40)),
        compared in of(prop::collection::vec(any::<usize>(), 1..5)),
        prompt in of(".*"),
        is_chat in of(any::<bool>()),
        turns in of(prop::collection::vec(".*", 1..4)),
        n_tokens in of(1..usize::MAX),
        spans in of(prop::collection::vec(
            (prop::collection::vec(any::<bool>(), 1..9), 1..usize::MAX), 1..4,
        )),
        seed in of(any::<u64>()),
        temperature in of(0.0..100.0),
        fingerprint in of("[0-9a-f]{12}"),
        hidden in of(prop::sample::subsequence(Control::ALL.to_vec(), 0..=Control::ALL.len())),
        locked in of(prop::sample::subsequence(Control::ALL.to_vec(), 0..=Control::ALL.len())),
        others in prop::collection::vec(("x[a-z]{1,5}", ".*"), 0..4),
    ) -> Link {
        Link {
            is_without_prompt: false,
            bundle, order, stop, blocks, compared, prompt, is_chat, turns, n_tokens, spans, seed,
            temperature, fingerprint, hidden, locked, others, invalid: Vec::new(),
        }
    }
}

proptest! {
    #[test]
    fn a_link_comes_back_as_it_went(link in links()) {
        prop_assert_eq!(Link::parse(&link.query()), link);
    }

    #[test]
    fn no_address_is_too_odd_to_read(query in ".*") {
        let link = Link::parse(&query);
        let again = Link { invalid: Vec::new(), ..link.clone() };
        prop_assert_eq!(Link::parse(&link.query()), again);
    }
}

#[test]
fn a_long_prompt_is_not_in_the_address_and_the_address_says_so() {
    let prompt = |n_bytes: usize| Link { prompt: Some("a".repeat(n_bytes)), ..Link::default() };
    let fits = prompt(MOST_PROMPT_BYTES);
    assert_eq!(fits.clone().for_address(), fits);
    assert_eq!(prompt(MOST_PROMPT_BYTES + 1).for_address().query(), "?noprompt=1");
    // Three bytes, nine when they are encoded.
    let encoded = Link { prompt: Some("€".repeat(MOST_PROMPT_BYTES / 6)), ..Link::default() };
    assert!(Link::parse(&encoded.for_address().query()).is_without_prompt);
}
