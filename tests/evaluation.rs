use boomerang_core::evaluate::{
    Examination, Likelihood, PrefixTree, Request, Stack, TextDoc, answer,
};
use boomerang_core::model::{AttentionMask, LanguageModel};
use boomerang_native_trainer::device::cpu;
use boomerang_tests::{block_on, ids, patches_of_both_orders, stacks, tiny_family, values};

fn requests() -> Vec<Request> {
    let request =
        |tokens: &[u32], start| Request::new(tokens.to_vec(), start..tokens.len()).unwrap();
    vec![
        request(&[3, 1, 4, 1, 5, 9, 2, 6], 1),
        request(&[2, 7, 1], 2),
        request(&[2, 7, 8], 2),
        request(&[30, 30, 30, 30], 3),
    ]
}

/// Log-likelihood of a request from a plain forward pass of one model.
fn alone(model: &LanguageModel, request: &Request) -> f64 {
    let input = request.input();
    let mask = AttentionMask::causal(input.len(), 0, &cpu());
    let logits = values(model.trace(ids(input, &cpu()), &mask).logits);
    let vocab = model.config().vocab;
    request
        .positions()
        .zip(request.targets())
        .map(|(position, &target)| {
            let row = &logits[position * vocab..(position + 1) * vocab];
            let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
            f64::from(row[target as usize]) - sum.ln()
        })
        .sum()
}

#[test]
fn the_walk_gives_every_member_what_it_would_answer_alone() {
    let family = tiny_family(&cpu());
    let patches = patches_of_both_orders(&family);
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(&stacks(&family, &patches));
    assert!(tree.n_layer_calls() < tree.n_layer_calls_alone());

    let together = block_on(answer(&models, &tree, &requests())).unwrap();
    for (patch, likelihoods) in patches.iter().zip(&together) {
        let member = family.member(patch);
        let one = PrefixTree::new(&[Stack::whole(0, &member)]);
        let by_itself = block_on(answer(&[&member], &one, &requests())).unwrap();
        assert_eq!(*likelihoods, by_itself[0], "the same layers on the same input");
        for (request, likelihood) in requests().iter().zip(likelihoods) {
            let expected = alone(&member, request);
            assert!((likelihood.log_likelihood - expected).abs() < 1e-4);
        }
    }
}

#[test]
fn a_score_does_not_depend_on_the_size_of_a_batch() {
    let family = tiny_family(&cpu());
    let model = family.teacher().model();
    let texts: Vec<TextDoc> = (0..9)
        .map(|text| TextDoc::new((0..3 + text * 2).map(|i| (i * 3 + text) % 31).collect(), 10))
        .collect();
    let examination = Examination::new(&texts, &[], None, 8).unwrap();
    let tree = PrefixTree::new(&[Stack::whole(0, model)]);
    let nats = |tokens_per_batch| {
        let scores =
            block_on(examination.score(&[model], &tree, tokens_per_batch, &mut |_| {})).unwrap();
        scores[0].perplexity.unwrap().nats_per_token
    };
    assert!((nats(1) - nats(10_000)).abs() < 1e-5);
}

#[test]
fn a_greedy_continuation_is_known_as_such() {
    let family = tiny_family(&cpu());
    let model = family.teacher().model();
    let tree = PrefixTree::new(&[Stack::whole(0, model)]);
    let ask = |target: u32| -> Likelihood {
        let request = Request::new(vec![5, 6, target], 2..3).unwrap();
        block_on(answer(&[model], &tree, &[request])).unwrap()[0][0].clone()
    };
    let answers: Vec<Likelihood> = (0..31).map(ask).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_greedy).count(), 1);
    let total: f64 = answers.iter().map(|answer| answer.log_likelihood.exp()).sum();
    assert!((total - 1.0).abs() < 1e-5);
}
