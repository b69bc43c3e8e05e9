//! The gradients of one micro-batch, without a graph: forward, head, and back layer by layer.

use burn::tensor::Tensor;

use super::batch::BatchTensors;
use super::head::{HeadRows, head_losses};
use super::levers::Levers;
use super::loss::{LossTerm, LossWeights};
use super::part::Part;
use super::pending::PendingTerms;
use super::teacher::TeacherStates;
use crate::model::LanguageModel;
use crate::model::backward::{Gradients, KeptLayer, Pass, cosine_distance};

/// What a micro-batch imitates.
pub(super) struct Imitated<'a> {
    /// The teacher, for its head.
    pub(super) head: &'a LanguageModel,
    pub(super) states: TeacherStates,
    /// The states to align: student's, teacher's.
    pub(super) pairs: &'a [(usize, usize)],
}

/// Each term that is on, with its parts.
type Parts = Vec<(LossTerm, Vec<Tensor<1>>)>;

/// Adds the gradients of a micro-batch, times `scale`; returns its loss terms.
pub(super) fn backward(
    student: &LanguageModel,
    imitated: Option<&Imitated<'_>>,
    (part, tensors): (&Part, &BatchTensors),
    weights: &LossWeights,
    scale: f64,
    levers: &Levers,
    gradients: &mut Gradients,
) -> PendingTerms {
    let of_gradients = weights.times(scale);
    let pass = pass(student, tensors, levers);

    // Forward, keeping the input of each layer, and with the lever off all that it needs to go back.
    let (mut inputs, mut kept) = (Vec::new(), Vec::new());
    let mut x = student.embed_rows(&tensors.tokens);
    for layer in student.layers() {
        inputs.push(x.clone());
        let (y, of_layer) = layer.forward_keeping(x, &pass);
        if !levers.recomputes {
            kept.push(of_layer);
        }
        x = y;
    }
    let states = student.normalize_rows(&x);

    let mut parts = Parts::new();
    let mut of_states = Vec::new();
    head(student, &states, imitated, part, (&of_gradients, levers), &mut parts, |own, of| {
        of_states.push(student.head_backward(own, of, pass.dtype, gradients));
    });
    let mut gradient = match of_states.is_empty() {
        true => states.zeros_like(),
        false => Tensor::cat(of_states, 0),
    };
    let aligning = Aligning::new(&of_gradients, imitated, part);
    let mut distances = Vec::new();
    gradient = aligning.add(student.n_layers(), &states, gradient, &mut distances);
    gradient = student.normalize_backward(&x, gradient, gradients);
    drop((x, states));

    // Back, one layer at a time.
    for (index, layer) in student.layers().iter().enumerate().rev() {
        let Some(input) = inputs.pop() else { break };
        let of_layer: KeptLayer =
            kept.pop().unwrap_or_else(|| layer.forward_keeping(input.clone(), &pass).1);
        gradient = layer.backward(of_layer, gradient, &pass, gradients);
        gradient = aligning.add(index, &input, gradient, &mut distances);
    }
    student.embed_backward(&tensors.tokens, gradient, gradients);
    weigh(parts, distances, weights)
}

/// Adds the gradients of each layer trained individually: from the teacher's state before its block to the
/// teacher's state after it, the last one through the final norm. The pairs of what it imitates are those
/// of the student's plan. Embedding and head get no gradient.
pub(super) fn backward_by_block(
    student: &LanguageModel,
    imitated: &Imitated<'_>,
    (part, tensors): (&Part, &BatchTensors),
    weights: &LossWeights,
    scale: f64,
    levers: &Levers,
    gradients: &mut Gradients,
) -> PendingTerms {
    let pass = pass(student, tensors, levers);
    let n_layers = student.n_layers();
    // State 0 is the input of the first layer, which nothing changes here.
    let targets = imitated.pairs.get(1..).unwrap_or_default();
    let targets = Aligning::of_pairs(targets, &weights.times(scale), Some(imitated), part);
    let mut distances = Vec::new();
    for (index, layer) in student.layers().iter().enumerate() {
        let (_, before) = imitated.pairs[index];
        let Some(input) = imitated.states.aligned[before].clone() else { continue };
        let (y, kept) = layer.forward_keeping(input, &pass);
        let none = y.zeros_like();
        let gradient = match index + 1 == n_layers {
            false => targets.add(index + 1, &y, none, &mut distances),
            true => {
                let states = student.normalize_rows(&y);
                let gradient = targets.add(n_layers, &states, none, &mut distances);
                student.normalize_backward(&y, gradient, gradients)
            }
        };
        layer.backward(kept, gradient, &pass, gradients);
    }
    weigh(Parts::new(), distances, weights)
}

/// The loss terms of the student as it is, without gradients.
pub(super) fn forward(
    student: &LanguageModel,
    imitated: Option<&Imitated<'_>>,
    (part, tensors): (&Part, &BatchTensors),
    weights: &LossWeights,
    levers: &Levers,
) -> PendingTerms {
    let pass = pass(student, tensors, levers);
    let aligning = Aligning::new(weights, imitated, part);
    let mut distances = Vec::new();
    let mut align = |state: usize, x: &Tensor<2>| {
        aligning.add(state, x, x.zeros_like(), &mut distances);
    };
    let mut x = student.embed_rows(&tensors.tokens);
    for (index, layer) in student.layers().iter().enumerate() {
        align(index, &x);
        x = layer.forward_rows(x, &pass);
    }
    let states = student.normalize_rows(&x);
    align(student.n_layers(), &states);
    let mut parts = Parts::new();
    let options = (weights, levers);
    head(student, &states, imitated, part, options, &mut parts, |_, _| ());
    weigh(parts, distances, weights)
}

fn pass(student: &LanguageModel, tensors: &BatchTensors, levers: &Levers) -> Pass {
    let dtype = levers.mixed_precision.dtype();
    Pass::new(student.config(), tensors.tokens.dims(), &tensors.mask, levers.query_block, dtype)
}

/// All terms; `distances` are those of alignment, by number of the pair.
fn weigh(
    mut parts: Parts,
    mut distances: Vec<(usize, Tensor<1>)>,
    weights: &LossWeights,
) -> PendingTerms {
    if !distances.is_empty() {
        distances.sort_by_key(|(pair, _)| *pair);
        let distances = distances.into_iter().map(|(_, distance)| distance);
        parts.push((LossTerm::Alignment, distances.collect()));
    }
    PendingTerms::weigh(parts, weights)
}

/// Adds the terms that read logits; `backward` is that of [`head_losses`].
fn head(
    student: &LanguageModel,
    states: &Tensor<2>,
    imitated: Option<&Imitated<'_>>,
    part: &Part,
    (weights, levers): (&LossWeights, &Levers),
    parts: &mut Parts,
    backward: impl FnMut(&Tensor<2>, Tensor<2>),
) {
    let with = |term: LossTerm| term.weight(weights) != 0.0;
    if !with(LossTerm::CrossEntropy) && !with(LossTerm::Kl) {
        return;
    }
    let rows = HeadRows::of(&part.batch, weights.kl_positions).counted_as(part.counts);
    let teacher = imitated.filter(|_| with(LossTerm::Kl));
    let teacher = teacher.map(|imitated| (imitated.head, &imitated.states.last));
    let [cross_entropy, kl] =
        head_losses(student, states, teacher, &rows, weights, levers, backward);
    if with(LossTerm::CrossEntropy) {
        let mean = cross_entropy / rows.n_labels.max(1) as f64;
        parts.push((LossTerm::CrossEntropy, vec![mean]));
    }
    if teacher.is_some() {
        parts.push((LossTerm::Kl, vec![kl / rows.n_rows.max(1) as f64]));
    }
}

/// The alignment of states with those of the teacher.
struct Aligning<'a> {
    pairs: &'a [(usize, usize)],
    teacher: Option<&'a TeacherStates>,
    /// Of the sum over tokens of one pair.
    weight: f64,
    is_token: Vec<bool>,
    n_tokens: usize,
}

impl<'a> Aligning<'a> {
    fn new(weights: &LossWeights, imitated: Option<&'a Imitated<'a>>, part: &Part) -> Self {
        let pairs = match imitated {
            Some(imitated) if weights.alignment != 0.0 => imitated.pairs,
            _ => &[],
        };
        Self::of_pairs(pairs, weights, imitated, part)
    }

    fn of_pairs(
        pairs: &'a [(usize, usize)],
        weights: &LossWeights,
        imitated: Option<&'a Imitated<'a>>,
        part: &Part,
    ) -> Self {
        let n_tokens = part.counts.n_tokens.max(1);
        Self {
            pairs,
            teacher: imitated.map(|imitated| &imitated.states),
            weight: weights.alignment / (pairs.len().max(1) * n_tokens) as f64,
            is_token: part.batch.token_flags(),
            n_tokens,
        }
    }

    /// Adds the gradient of a state's pairs to that of the state, and their distances by number of the
    /// pair.
    fn add(
        &self,
        state: usize,
        student: &Tensor<2>,
        mut gradient: Tensor<2>,
        distances: &mut Vec<(usize, Tensor<1>)>,
    ) -> Tensor<2> {
        for (number, &(own, other)) in self.pairs.iter().enumerate() {
            let teacher = self.teacher.and_then(|states| states.aligned[other].as_ref());
            let (true, Some(teacher)) = (own == state, teacher) else { continue };
            let counts = &self.is_token;
            let (sum, changed) = cosine_distance(student, teacher, counts, self.weight, gradient);
            gradient = changed;
            distances.push((number, sum / self.n_tokens as f64));
        }
        gradient
    }
}
