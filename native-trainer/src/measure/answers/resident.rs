//! Members whose weights are in memory.

use std::sync::Mutex;

use anyhow::Context as _;
use boomerang_core::evaluate::{self, Answers, Batching, Likelihood, PrefixTree, Request};
use boomerang_core::model::LanguageModel;
use futures_lite::future::block_on;

use super::pieces::pieces;
use crate::parallel::{in_parallel, n_workers};

/// Parameters of a layer up to which one batch does not use all cores of a CPU.
const SMALL_LAYER: u64 = 8 << 20;

/// Tokens of a piece of work; independent of the machine, so that results are, too.
const TOKENS_PER_PIECE: usize = 4096;

/// The answers of every member of `tree` to every request; `models` is what its stacks index.
///
/// Small models on a CPU answer several pieces of the requests in parallel.
///
/// # Errors
/// When the device is lost.
pub(super) fn answers(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    requests: &[Request],
    batching: Batching,
    progress: &mut (dyn FnMut(usize) + Send),
) -> anyhow::Result<Answers> {
    let teacher = models.first().context("a family has a teacher")?;
    let most = n_workers(usize::MAX, &teacher.device());
    if most == 1 || teacher.config().n_layer_params() > SMALL_LAYER {
        return Ok(block_on(evaluate::answers(models, tree, requests, batching, progress))?);
    }
    let pieces = pieces(requests, 0..requests.len(), TOKENS_PER_PIECE, shares_most);
    let reported = Mutex::new((0, progress));
    let answered = in_parallel(pieces.len(), most.min(pieces.len()), |piece| {
        let own: Vec<Request> =
            pieces[piece].iter().map(|&index| requests[index].clone()).collect();
        let answers = block_on(evaluate::answers(models, tree, &own, batching, &mut |_| {}))?;
        if let Ok(mut reported) = reported.lock() {
            reported.0 += own.len();
            let n_answered = reported.0;
            (reported.1)(n_answered);
        }
        Ok(answers)
    })?;
    let mut all = Answers {
        likelihoods: vec![vec![Likelihood::default(); requests.len()]; tree.n_members()],
        n_tokens: 0,
    };
    for (indices, answers) in pieces.iter().zip(answered) {
        all.n_tokens += answers.n_tokens;
        for (member, likelihoods) in answers.likelihoods.into_iter().enumerate() {
            for (&index, likelihood) in indices.iter().zip(likelihoods) {
                all.likelihoods[member][index] = likelihood;
            }
        }
    }
    Ok(all)
}

/// Whether a text shares a prefix of more than half of its tokens with the one before it.
fn shares_most(last: &[u32], input: &[u32]) -> bool {
    2 * last.iter().zip(input).take_while(|(a, b)| a == b).count() > input.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_in_one_piece_and_its_choices_stay_together() {
        let request = |question: u32, choice: u32| {
            let mut tokens = vec![question; 1000];
            tokens.push(choice);
            tokens.push(0);
            Request::new(tokens, 1000..1002).unwrap()
        };
        let requests: Vec<Request> =
            (0..24).map(|number| request(number % 6, number / 6)).collect();
        let pieces = pieces(&requests, 0..requests.len(), TOKENS_PER_PIECE, shares_most);
        assert!(pieces.len() > 2);
        let mut all: Vec<usize> = pieces.concat();
        all.sort_unstable();
        assert_eq!(all, (0..24).collect::<Vec<_>>());
        for question in 0..6 {
            let holds = |piece: &&Vec<usize>| piece.iter().any(|index| index % 6 == question);
            assert_eq!(pieces.iter().filter(holds).count(), 1);
        }
    }
}
