//! The gradients of one micro-batch, without a graph: forward, head, and back layer by layer.

use burn::tensor::Tensor;

use super::batch::{Batch, BatchTensors};
use super::head::{HeadRows, head_backward};
use super::levers::Levers;
use super::loss::{LossTerm, LossWeights};
use super::pending::PendingTerms;
use crate::model::LanguageModel;
use crate::model::backward::{Gradients, KeptLayer, Pass, cosine_distance};

/// The teacher of a micro-batch, and the pairs of states to align.
#[derive(Clone, Copy)]
pub(super) struct Imitated<'a> {
    pub(super) teacher: &'a LanguageModel,
    /// Student state, teacher state.
    pub(super) pairs: &'a [(usize, usize)],
}

/// The states of a teacher that a micro-batch needs.
struct TeacherStates {
    /// By number of the state; `None` for those that are not aligned.
    aligned: Vec<Option<Tensor<2>>>,
    /// After the final norm, for the KL divergence.
    last: Tensor<2>,
}

/// Adds the gradients of a micro-batch; gives its loss terms.
pub(super) fn backward(
    student: &LanguageModel,
    imitated: Option<Imitated<'_>>,
    batch: &Batch,
    weights: &LossWeights,
    levers: &Levers,
    gradients: &mut Gradients,
) -> PendingTerms {
    let tensors = batch.to_device(&student.device());
    let pass = pass_of(student, &tensors, levers);
    let imitated = imitated.map(|imitated| {
        let states = teacher_states(&imitated, &tensors, levers);
        (imitated, states)
    });

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

    let mut parts: Vec<(LossTerm, Vec<Tensor<1>>)> = Vec::new();
    let mut gradient = head(
        student,
        &states,
        imitated.as_ref(),
        batch,
        (weights, levers),
        (&mut parts, gradients),
    );
    let aligning = Aligning::new(weights, imitated.as_ref(), batch, &tensors);
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
    if !distances.is_empty() {
        distances.sort_by_key(|(pair, _)| *pair);
        let distances = distances.into_iter().map(|(_, distance)| distance);
        parts.push((LossTerm::Alignment, distances.collect()));
    }
    PendingTerms::weigh(parts, weights)
}

/// The loss terms of the student as it is, and nothing more.
pub(super) fn forward(
    student: &LanguageModel,
    imitated: Option<Imitated<'_>>,
    batch: &Batch,
    weights: &LossWeights,
    levers: &Levers,
) -> PendingTerms {
    // A backward pass whose gradients nobody takes costs twice as much, and is the same arithmetic.
    backward(student, imitated, batch, weights, levers, &mut Gradients::default())
}

fn pass_of(model: &LanguageModel, tensors: &BatchTensors, levers: &Levers) -> Pass {
    Pass::new(model, tensors.tokens.dims(), &tensors.mask, levers.query_block)
}

fn teacher_states(
    imitated: &Imitated<'_>,
    tensors: &BatchTensors,
    levers: &Levers,
) -> TeacherStates {
    let teacher = imitated.teacher;
    let pass = pass_of(teacher, tensors, levers);
    let is_aligned = |state: usize| imitated.pairs.iter().any(|pair| pair.1 == state);
    let mut aligned = vec![None; teacher.n_layers() + 1];
    let mut x = teacher.embed_rows(&tensors.tokens);
    for (index, layer) in teacher.layers().iter().enumerate() {
        aligned[index] = is_aligned(index).then(|| x.clone());
        x = layer.forward_rows(x, &pass);
    }
    let last = teacher.normalize_rows(&x);
    aligned[teacher.n_layers()] = is_aligned(teacher.n_layers()).then(|| last.clone());
    TeacherStates { aligned, last }
}

/// The gradient of the normalized states by the terms that read logits.
fn head(
    student: &LanguageModel,
    states: &Tensor<2>,
    imitated: Option<&(Imitated<'_>, TeacherStates)>,
    batch: &Batch,
    (weights, levers): (&LossWeights, &Levers),
    (parts, gradients): (&mut Vec<(LossTerm, Vec<Tensor<1>>)>, &mut Gradients),
) -> Tensor<2> {
    let with = |term: LossTerm| term.weight(weights) != 0.0;
    if !with(LossTerm::CrossEntropy) && !with(LossTerm::Kl) {
        return states.zeros_like();
    }
    let rows = HeadRows::of(batch, weights.kl_positions);
    let teacher = imitated.filter(|_| with(LossTerm::Kl));
    let teacher = teacher.map(|(imitated, states)| (imitated.teacher, &states.last));
    let found =
        head_backward(student, states, teacher, &rows, weights, levers.head_chunk, gradients);
    if with(LossTerm::CrossEntropy) {
        let mean = found.cross_entropy / rows.n_labels.max(1) as f64;
        parts.push((LossTerm::CrossEntropy, vec![mean]));
    }
    if teacher.is_some() {
        parts.push((LossTerm::Kl, vec![found.kl / rows.n_rows.max(1) as f64]));
    }
    found.of_states
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
    fn new(
        weights: &LossWeights,
        imitated: Option<&'a (Imitated<'a>, TeacherStates)>,
        batch: &Batch,
        tensors: &BatchTensors,
    ) -> Self {
        let pairs = match imitated {
            Some((imitated, _)) if weights.alignment != 0.0 => imitated.pairs,
            _ => &[],
        };
        let n_tokens = tensors.n_tokens.max(1);
        Self {
            pairs,
            teacher: imitated.map(|(_, states)| states),
            weight: weights.alignment / (pairs.len().max(1) * n_tokens) as f64,
            is_token: batch.token_flags(),
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
