//! Evaluates every request on every member.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::prefix_tree::PrefixTree;
use super::read_back::{ReadBackError, read_finite};
use super::request::{Likelihood, Request};
use super::rows::{Batching, Row, Rows};
use super::walk::walk;
use crate::config::ModelConfig;
use crate::model::{AttentionMask, Context, LanguageModel};

/// The answers of every member to every request, and the number of tokens computed.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// One list per member.
    pub likelihoods: Vec<Vec<Likelihood>>,
    /// Tokens run through the models; shared prefixes are counted once.
    pub n_tokens: usize,
}

/// The answers of every member of `tree` to every request, with one walk of the tree per batch.
///
/// `models` is the list that the tree's stacks index. Requests may have any length; common prefixes
/// are computed once. `progress` receives the number of answered requests.
///
/// # Errors
/// [`ReadBackError`] if the device is lost, or a log-likelihood is not finite.
pub async fn answers(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    requests: &[Request],
    batching: Batching,
    progress: &mut dyn FnMut(usize),
) -> Result<Answers, ReadBackError> {
    let mut likelihoods = vec![vec![Likelihood::default(); requests.len()]; tree.n_members()];
    let Some(first) = models.first() else { return Ok(Answers { likelihoods, n_tokens: 0 }) };
    let rows = Rows::new(requests, first.config(), batching);
    let mut n_answered = 0;
    for batch in &rows.batches {
        let inputs = Inputs::new(batch, requests, first.config(), &first.device());
        let mut leaves = Vec::new();
        walk(models, tree, &inputs.tokens, &inputs.context(), &mut |end, x| {
            let scored = inputs.scored_states(x);
            let scores = inputs.score(scored, models[end.norm], models[end.head]);
            leaves.push((end.members.clone(), scores));
        });
        for (members, scores) in leaves {
            let batch = inputs.collect(scores).await.map_err(|error| error.of_members(&members))?;
            for member in members {
                for (number, likelihood) in &batch {
                    likelihoods[member][*number] = likelihood.clone();
                }
            }
        }
        n_answered += inputs.n_requests();
        progress(n_answered);
    }
    Ok(Answers { likelihoods, n_tokens: rows.n_tokens() })
}

/// As [`answers`], in a single batch: one list per member.
///
/// # Errors
/// [`ReadBackError`] if the device is lost, or a log-likelihood is not finite.
pub async fn answer(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    requests: &[Request],
) -> Result<Vec<Vec<Likelihood>>, ReadBackError> {
    let answers = answers(models, tree, requests, Batching::of(usize::MAX), &mut |_| {}).await?;
    Ok(answers.likelihoods)
}

/// Maximum number of logits in memory, unless those of a single position exceed it.
const MOST_LOGITS: usize = 1 << 26;

/// A batch of rows on the device.
pub(super) struct Inputs<'a> {
    rows: &'a [Row],
    config: &'a ModelConfig,
    /// `[batch, seq]`
    pub(super) tokens: Tensor<2, Int>,
    /// Indices into `[batch * seq]` of the positions whose prediction is scored.
    positions: Tensor<1, Int>,
    /// The scored tokens, one per position.
    targets: Tensor<1, Int>,
    /// The answered requests, with their numbers of scored tokens.
    requests: Vec<(usize, usize)>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(
        rows: &'a [Row],
        requests: &[Request],
        config: &'a ModelConfig,
        device: &Device,
    ) -> Self {
        let (n_rows, seq) = (rows.len(), width(rows));
        let mut tokens = vec![0_i64; n_rows * seq];
        let (mut positions, mut targets, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            for (column, &token) in row.tokens.iter().enumerate() {
                tokens[number * seq + column] = i64::from(token);
            }
            for (request, scored) in &row.requests {
                positions.extend(scored.iter().map(|column| (number * seq + column) as i64));
                let scored = requests[*request].targets();
                targets.extend(scored.iter().map(|&token| i64::from(token)));
                answered.push((*request, scored.len()));
            }
        }
        let n_scored = positions.len();
        let one = |values, n_values| Tensor::from_data(TensorData::new(values, [n_values]), device);
        Self {
            rows,
            config,
            tokens: Tensor::from_data(TensorData::new(tokens, [n_rows, seq]), device),
            positions: one(positions, n_scored),
            targets: one(targets, n_scored),
            requests: answered,
        }
    }

    /// Attention mask and positions of the batch.
    pub(super) fn context(&self) -> Context {
        context(self.rows, width(self.rows), self.config, &self.tokens.device())
    }

    pub(super) fn n_requests(&self) -> usize {
        self.requests.len()
    }

    /// The hidden states at the scored positions. Shapes: `[batch, seq, d_model]` -> `[n_scored,
    /// d_model]`
    pub(super) fn scored_states(&self, x: Tensor<3>) -> Tensor<2> {
        let [n_rows, seq, d_model] = x.dims();
        x.reshape([n_rows * seq, d_model]).select(0, self.positions.clone())
    }

    /// Log-probabilities of each scored token and of the most likely one: `[n_scored, 2]`.
    ///
    /// The head runs at scored positions only, in chunks that bound the memory for logits.
    pub(super) fn score(
        &self,
        scored: Tensor<2>,
        norm: &LanguageModel,
        head: &LanguageModel,
    ) -> Tensor<2> {
        let [n_scored, d_model] = scored.dims();
        let states = norm.normalize(scored.unsqueeze::<3>()).reshape([n_scored, d_model]);
        let at_once = (MOST_LOGITS / self.config.vocab.max(1)).max(1);
        let parts = (0..n_scored).step_by(at_once).map(|start| {
            let len = at_once.min(n_scored - start);
            let log_probs = log_softmax(head.logits(states.clone().narrow(0, start, len)), 1);
            let best = log_probs.clone().max_dim(1);
            let targets = self.targets.clone().narrow(0, start, len);
            Tensor::cat(vec![log_probs.gather(1, targets.unsqueeze_dim(1)), best], 1)
        });
        Tensor::cat(parts.collect(), 0)
    }

    /// The likelihood of each request of the batch; `scores` is `[n_scored, 2]`.
    pub(super) async fn collect(
        &self,
        scores: Tensor<2>,
    ) -> Result<Vec<(usize, Likelihood)>, ReadBackError> {
        let scores = read_finite(scores, "the log-likelihoods").await?;
        let mut scores = scores.as_chunks::<2>().0.iter();
        let take = |&(request, n_scored): &(usize, usize)| {
            let mut likelihood = Likelihood { is_greedy: true, ..Likelihood::default() };
            for &[target, best] in scores.by_ref().take(n_scored) {
                likelihood.log_likelihood += f64::from(target);
                likelihood.n_tokens += 1;
                likelihood.is_greedy &= target >= best;
            }
            (request, likelihood)
        };
        Ok(self.requests.iter().map(take).collect())
    }
}

/// Length of the longest row, at least 1.
pub(super) fn width(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0).max(1)
}

/// Attention mask and positions of rows padded to `seq`.
fn context(rows: &[Row], seq: usize, config: &ModelConfig, device: &Device) -> Context {
    let shape = [rows.len(), seq];
    let padded = |of: &dyn Fn(&Row) -> Vec<usize>, padding: &dyn Fn(usize) -> usize| {
        let values = rows.iter().flat_map(|row| {
            let values = of(row);
            let padding: Vec<usize> = (values.len()..seq).map(padding).collect();
            values.into_iter().chain(padding).map(|value| value as i64)
        });
        Tensor::<2, Int>::from_data(TensorData::new(values.collect::<Vec<i64>>(), shape), device)
    };
    if config.is_masked() {
        let valid = padded(&|row| vec![1; row.tokens.len()], &|_| 0);
        return Context::new(config, seq, &AttentionMask::both_ways(valid), device);
    }
    if rows.iter().all(Row::is_single) {
        // Padding is on the right, so that one causal mask works for all rows.
        return Context::new(config, seq, &AttentionMask::causal(seq, 0, device), device);
    }
    let depths = padded(&|row| row.depths.clone(), &|_| 0);
    let ends = padded(&Row::ends, &|position| position + 1);
    let n_positions = rows.iter().flat_map(|row| &row.depths).max().map_or(1, |depth| depth + 1);
    let mask = AttentionMask::branching(ends, depths.clone());
    Context::at(config, depths, n_positions, &mask)
}
