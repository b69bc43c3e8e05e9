use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::evaluate::{PrefixTree, Request, Stack, answer};
use boomerang_core::generate::{
    GenerateError, Generation, Guess, Sampling, TextComparison, certainties, retrace,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::PatchOrder;
use boomerang_core::search::divergences;
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{block_on, tiny_family};

/// Longer than the places whose logits are held at a time.
fn text() -> Vec<u32> {
    (0..45_u32).map(|place| (place * place + 3) % 31).collect()
}

fn guesses(teacher: &LanguageModel, member: &LanguageModel, from: usize) -> Vec<Guess> {
    block_on(TextComparison::new(teacher, &text(), from).unwrap().guesses(member)).unwrap()
}

#[test]
fn a_guess_is_the_token_that_the_member_would_write() {
    let family = tiny_family(&cpu());
    let member = family.member(&PatchOrder::Last.path(family.plan()).unwrap()[1]);
    let guesses = guesses(family.teacher().model(), &member, 30);
    assert_eq!(guesses.len(), 15);
    for (guess, end) in guesses.iter().zip(31..) {
        let mut generation = Generation::new(&member, &text()[..end], 1, Sampling::Greedy).unwrap();
        assert_eq!(block_on(generation.next()).unwrap(), Some(guess.token), "after {end} tokens");
        assert!(guess.probability > 1.0 / 31.0 && guess.probability <= 1.0, "{guess:?}");
    }
}

#[test]
fn the_teacher_is_no_distance_from_itself() {
    let family = tiny_family(&cpu());
    let teacher = family.teacher().model();
    assert!(guesses(teacher, teacher, 0).iter().all(|guess| guess.kl < 1e-6));
    assert!(guesses(teacher, family.student().model(), 0).iter().any(|guess| guess.kl > 1e-3));
}

#[test]
fn the_mean_distance_is_that_which_a_search_measures() {
    let family = tiny_family(&cpu());
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(&[Stack::whole(1, models[1])]);
    let batch = Batch::new(vec![Row::padded(&text(), 45, 0)], Layout::Padded);
    let divergence = block_on(divergences(&models, &tree, 0, &[batch], &mut |_| {})).unwrap()[0];
    // The last place has no next token in the text; a search leaves it out.
    let guesses = guesses(models[0], models[1], 0);
    let known = &guesses[..guesses.len() - 1];
    let mean = known.iter().map(|guess| guess.kl).sum::<f64>() / known.len() as f64;
    assert!((mean - divergence.kl.mean).abs() < 1e-5, "{mean} {}", divergence.kl.mean);
    let of_teacher = self::guesses(models[0], models[0], 0);
    let n_other = known.iter().zip(&of_teacher).filter(|(a, b)| a.token != b.token).count();
    assert!(n_other > 0);
    let share = n_other as f64 / known.len() as f64;
    assert!((share - divergence.disagreement.mean).abs() < 1e-9, "{share} {divergence:?}");
}

#[test]
fn the_log_probabilities_of_a_text_are_those_of_an_evaluation() {
    let family = tiny_family(&cpu());
    let member = family.student().model();
    for from in [1, 10, 44] {
        let places = block_on(retrace(member, &text()[..from], &text()[from..])).unwrap();
        assert_eq!(places.len(), 45 - from);
        let request = Request::new(text(), from..45).unwrap();
        let tree = PrefixTree::new(&[Stack::whole(0, member)]);
        let answers = block_on(answer(&[member], &tree, &[request])).unwrap();
        let sum: f64 = places.iter().map(|place| place.log_prob).sum();
        let expected = answers[0][0].log_likelihood;
        assert!((sum - expected).abs() < 1e-3, "from {from}: {sum} {expected}");
    }
}

#[test]
fn a_text_beyond_the_window_is_refused() {
    let family = tiny_family(&cpu());
    let error = TextComparison::new(family.teacher().model(), &[1; 65], 0).err();
    assert!(matches!(error, Some(GenerateError::PromptTooLong { n_tokens: 65, max_seq: 64 })));
}

#[test]
fn certainty_is_that_of_the_guesses_at_the_same_places() {
    let family = tiny_family(&cpu());
    let teacher = family.teacher().model();
    let certain = block_on(certainties(teacher, &text(), 1, 3)).unwrap();
    let guesses = guesses(teacher, teacher, 0);
    assert_eq!(certain.len(), text().len() - 1);
    for ((certainty, guess), token) in certain.iter().zip(&guesses).zip(&text()[1..]) {
        let (most_likely, probability) = certainty.most_likely[0];
        assert_eq!(most_likely, guess.token);
        assert!((probability - guess.probability).abs() < 1e-5);
        assert!(certainty.probability <= probability + 1e-9);
        let is_most_likely = most_likely == *token;
        assert_eq!(is_most_likely, (certainty.probability - probability).abs() < 1e-12);
    }
}
