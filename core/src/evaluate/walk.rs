//! The walk down a prefix tree with a batch of requests.

use std::collections::BTreeMap;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use thiserror::Error;

use super::prefix_tree::{End, Node, PrefixTree};
use super::request::{Likelihood, Request};
use crate::model::{AttentionMask, Context, LanguageModel};

/// The device stopped answering.
#[derive(Debug, Error)]
#[error("reading results back from the device failed: {0}")]
pub struct ReadBackError(String);

impl ReadBackError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The answers of every member of `tree` to every request: one list for each member.
///
/// `models` is what the tree's stacks index. Requests may have any length; they are padded on the
/// right, which no token sees. Requests with the same input share its computation.
///
/// # Errors
/// [`ReadBackError`] when the device is lost.
pub async fn answer(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    requests: &[Request],
) -> Result<Vec<Vec<Likelihood>>, ReadBackError> {
    let Some(first) = models.first() else { return Ok(Vec::new()) };
    let batch = Inputs::new(requests, first);
    let mut leaves = Vec::new();
    walk(models, tree, &batch.tokens, &batch.context, &mut |end, x| {
        leaves.push((end.members.clone(), score(models, end, x, &batch)));
    });
    let mut answers = vec![Vec::new(); tree.n_members()];
    for (members, scores) in leaves {
        let data = scores.into_data_async().await.map_err(ReadBackError::new)?;
        let scores: Vec<f32> = data.iter::<f32>().collect();
        let likelihoods = collect(requests, &scores);
        for member in members {
            answers[member].clone_from(&likelihoods);
        }
    }
    Ok(answers)
}

/// A batch of requests on the device.
struct Inputs {
    /// `[batch, seq]`
    tokens: Tensor<2, Int>,
    /// Places in `[batch * seq]` whose prediction is scored.
    places: Tensor<1, Int>,
    /// The scored tokens, as many as places.
    targets: Tensor<1, Int>,
    context: Context,
}

impl Inputs {
    fn new(requests: &[Request], model: &LanguageModel) -> Self {
        let device = model.device();
        // Choices of one word differ in their target alone: their common context runs once.
        let mut rows: BTreeMap<&[u32], usize> = BTreeMap::new();
        for request in requests {
            let next = rows.len();
            rows.entry(request.input()).or_insert(next);
        }
        let seq = rows.keys().map(|input| input.len()).max().unwrap_or(0).max(1);
        let mut tokens = vec![0_i64; rows.len() * seq];
        let mut valid = vec![0_i64; rows.len() * seq];
        for (input, row) in &rows {
            for (position, &token) in input.iter().enumerate() {
                tokens[row * seq + position] = i64::from(token);
                valid[row * seq + position] = 1;
            }
        }
        let n_rows = rows.len();
        let mut places = Vec::new();
        let mut targets = Vec::new();
        for request in requests {
            let row = rows[request.input()];
            places.extend(request.positions().map(|position| (row * seq + position) as i64));
            targets.extend(request.targets().iter().map(|&token| i64::from(token)));
        }
        let n_scored = places.len();
        let mask = if model.config().is_masked() {
            AttentionMask::both_ways(Tensor::from_data(
                TensorData::new(valid, [n_rows, seq]),
                &device,
            ))
        } else {
            // Padding lies in the future of every token, so that one mask serves all rows.
            AttentionMask::causal(seq, 0, &device)
        };
        Self {
            tokens: Tensor::from_data(TensorData::new(tokens, [n_rows, seq]), &device),
            places: Tensor::from_data(TensorData::new(places, [n_scored]), &device),
            targets: Tensor::from_data(TensorData::new(targets, [n_scored]), &device),
            context: model.context(seq, &mask),
        }
    }
}

/// Goes down the tree with a batch of tokens, `[batch, seq]`, and shows `visit` the last state of
/// each member, `[batch, seq, d_model]`, before its final norm.
pub fn walk(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    tokens: &Tensor<2, Int>,
    context: &Context,
    visit: &mut dyn FnMut(&End, Tensor<3>),
) {
    for (embedding, root) in &tree.roots {
        let x = models[*embedding].embed(tokens.clone(), 0);
        descend(models, root, x, context, visit);
    }
}

fn descend(
    models: &[&LanguageModel],
    node: &Node,
    x: Tensor<3>,
    context: &Context,
    visit: &mut dyn FnMut(&End, Tensor<3>),
) {
    for end in &node.ends {
        visit(end, x.clone());
    }
    for ((model, layer), child) in &node.children {
        let layer = &models[*model].layers()[*layer];
        let x = layer.forward(x.clone(), context, None);
        descend(models, child, x, context, visit);
    }
}

/// Log-probability of each scored token, and of the model's first choice: `[n_scored, 2]`.
///
/// The head runs at scored places only.
fn score(models: &[&LanguageModel], end: &End, x: Tensor<3>, batch: &Inputs) -> Tensor<2> {
    let [n_rows, seq, d_model] = x.dims();
    let scored = x.reshape([n_rows * seq, d_model]).select(0, batch.places.clone());
    let n_scored = scored.dims()[0];
    let states = models[end.norm].normalize(scored.unsqueeze::<3>()).reshape([n_scored, d_model]);
    let log_probs = log_softmax(models[end.head].logits(states), 1);
    let best = log_probs.clone().max_dim(1);
    let target = log_probs.gather(1, batch.targets.clone().unsqueeze_dim(1));
    Tensor::cat(vec![target, best], 1)
}

/// The scores, `[n_scored, 2]` row-major, request by request.
fn collect(requests: &[Request], scores: &[f32]) -> Vec<Likelihood> {
    let mut rows = scores.as_chunks::<2>().0.iter();
    let take = |request: &Request| {
        let mut likelihood = Likelihood { is_greedy: true, ..Likelihood::default() };
        for &[target, best] in rows.by_ref().take(request.n_scored()) {
            likelihood.log_likelihood += f64::from(target);
            likelihood.n_tokens += 1;
            likelihood.is_greedy &= target >= best;
        }
        likelihood
    };
    requests.iter().map(take).collect()
}
