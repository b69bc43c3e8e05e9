//! KL divergence of a family's members from their teacher, on some texts.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::distill::Batch;
use crate::estimate::Estimate;
use crate::evaluate::{PrefixTree, ReadBackError, read_finite, walk};
use crate::model::LanguageModel;

/// Divergence of a member from the teacher, per token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// Mean `KL(teacher ‖ member)` of the next-token distributions, in nats; at least 0.
    pub kl: Estimate,
    /// Its maximum over tokens.
    pub kl_max: f64,
    /// The member's own negative log-likelihood of the next token, in nats.
    pub nats: Estimate,
    /// The share of positions at which its most likely next token is not the teacher's.
    pub disagreement: Estimate,
}

/// The divergence of every member of `tree` from `models[teacher]`, with one walk per batch.
///
/// `models` is the list that the tree's stacks index. The logits of one batch are in memory at a
/// time, `[tokens, vocab]` twice; the caller chooses the batch size. Only positions with a next
/// token count.
///
/// # Errors
/// [`ReadBackError`] if the device is lost, or a divergence is not finite.
pub async fn divergences(
    models: &[&LanguageModel],
    tree: &PrefixTree,
    teacher: usize,
    batches: &[Batch],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Divergence>, ReadBackError> {
    let teacher = models[teacher];
    let mut sums = vec![Sums::default(); tree.n_members()];
    for (number, batch) in batches.iter().enumerate() {
        let positions = TargetPositions::new(batch, teacher);
        let tensors = batch.to_device(&teacher.device());
        let context = teacher.context(batch.seq(), &tensors.mask);
        let states = teacher.hidden_states(tensors.tokens.clone(), &tensors.mask);
        let states = states.into_iter().next_back().expect("a model has at least one state");
        let expected = log_softmax(teacher.logits(positions.select(states)), 1);
        let greedy = expected.clone().argmax(1);
        let mut leaves = Vec::new();
        walk(models, tree, &tensors.tokens, &context, &mut |end, x| {
            let states = positions.select(models[end.norm].normalize(x));
            let found = log_softmax(models[end.head].logits(states), 1);
            let kl = (expected.clone().exp() * (expected.clone() - found.clone())).sum_dim(1);
            let differs = found.clone().argmax(1).not_equal(greedy.clone()).float();
            let nats = -found.gather(1, positions.targets.clone());
            leaves.push((end.members.clone(), Tensor::cat(vec![kl, nats, differs], 1)));
        });
        for (members, values) in leaves {
            let values = read_finite(values, "the divergences from the teacher").await;
            let values = values.map_err(|error| error.of_members(&members))?;
            for member in members {
                sums[member].add(&positions.rows, &values);
            }
        }
        progress(number + 1);
    }
    Ok(sums.iter().map(Sums::estimate).collect())
}

/// The positions of a batch that have a next token.
struct TargetPositions {
    /// Indices into `[batch * seq]`.
    indices: Tensor<1, Int>,
    /// The next tokens, `[positions, 1]`.
    targets: Tensor<2, Int>,
    /// The row of each position.
    rows: Vec<usize>,
}

impl TargetPositions {
    fn new(batch: &Batch, model: &LanguageModel) -> Self {
        let (mut indices, mut targets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (number, row) in batch.rows().iter().enumerate() {
            for position in (0..row.tokens.len()).filter(|&position| row.has_target(position)) {
                indices.push((number * batch.seq() + position) as i64);
                targets.push(i64::from(row.tokens[position + 1]));
                rows.push(number);
            }
        }
        let (n_positions, device) = (rows.len(), model.device());
        Self {
            indices: Tensor::from_data(TensorData::new(indices, [n_positions]), &device),
            targets: Tensor::from_data(TensorData::new(targets, [n_positions, 1]), &device),
            rows,
        }
    }

    /// `[batch, seq, d_model]` -> `[positions, d_model]`
    fn select(&self, states: Tensor<3>) -> Tensor<2> {
        let [batch, seq, d_model] = states.dims();
        states.reshape([batch * seq, d_model]).select(0, self.indices.clone())
    }
}

/// The column of the number of tokens in [`Sums::rows`].
const N_TOKENS: usize = 3;

/// Sums over the tokens of each row, from which means and standard errors are computed.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// KL, nats, differing choices and number of tokens of each row so far.
    rows: Vec<[f64; 4]>,
    /// The maximum KL of a single token.
    kl_max: f64,
}

impl Sums {
    /// `values` are KL, nats and whether the choice differs of each position, and `rows` the row of each position.
    fn add(&mut self, rows: &[usize], values: &[f32]) {
        let start = self.rows.len();
        for (&row, &[kl, nats, differs]) in rows.iter().zip(values.as_chunks::<3>().0) {
            self.rows.resize(self.rows.len().max(start + row + 1), [0.0; 4]);
            let sums = &mut self.rows[start + row];
            // KL divergence is not negative; rounding may make it so.
            let kl = f64::from(kl.max(0.0));
            self.kl_max = self.kl_max.max(kl);
            sums[0] += kl;
            sums[1] += f64::from(nats);
            sums[2] += f64::from(differs);
            sums[N_TOKENS] += 1.0;
        }
    }

    fn estimate(&self) -> Divergence {
        Divergence {
            kl: self.ratio(0),
            kl_max: self.kl_max,
            nats: self.ratio(1),
            disagreement: self.ratio(2),
        }
    }

    /// A ratio of two sums over rows, with its standard error (ratio estimator).
    fn ratio(&self, column: usize) -> Estimate {
        let n_tokens: f64 = self.rows.iter().map(|row| row[N_TOKENS]).sum();
        let mean = self.rows.iter().map(|row| row[column]).sum::<f64>() / n_tokens.max(1.0);
        let squares: f64 =
            self.rows.iter().map(|row| (row[column] - mean * row[N_TOKENS]).powi(2)).sum();
        let n_rows = self.rows.len() as f64;
        let correction = if n_rows > 1.0 { n_rows / (n_rows - 1.0) } else { f64::NAN };
        Estimate { mean, stderr: (squares * correction).sqrt() / n_tokens.max(1.0) }
    }
}
