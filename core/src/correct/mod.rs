//! Corrections in closed form at the [seams](crate::plan::Seam) of a smaller model: where a layer
//! receives a state that only approximates the teacher's, a linear map is fitted to make up for the
//! difference, by least squares on calibration texts, without gradients.
//!
//! A map of the residual stream cannot be folded into the weights of the next layer, because the
//! stream also passes by that layer. The output of the layer before it can be changed exactly by
//! its down projection, in the span of what that projection reads.

mod least_squares;

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use crate::distill::Batch;
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::{Context, DecoderLayer, LanguageModel};
use crate::plan::Seam;
use crate::similarity::residual_states;

pub use least_squares::{LeastSquares, LinearMap};

/// How a seam is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// `ΔW` added to the down projection of the MLP before the seam (and to its bias, if it has
    /// one), fitted to `teacher's state − model's state` from what that projection reads. The
    /// result is a model of the same architecture and size.
    Folded,
    /// The model's state `h` replaced by `h + h·M + b`, fitted to the teacher's state: an additional
    /// matrix, which cannot be folded.
    Affine,
    /// Ghosted Layers (arXiv:2605.15491; written after its abstract and its authors' code): `h +
    /// h·M`, where `M` is fitted from the teacher's state before the dropped layers to what these
    /// layers add to it. An additional matrix.
    ///
    /// For pruned models; `M` does not depend on what the model was pruned to before the seam.
    /// Layers that are dropped in a row share a matrix.
    Ghosted,
}

/// A model whose seams were corrected.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// Shares the weights that were not changed.
    pub model: LanguageModel,
    /// For each seam, the share of the squared difference of states, weighted as in the fit, that its
    /// map explains on the calibration texts, at most 1.
    pub explained: Vec<f64>,
}

/// Why a model is not corrected.
#[derive(Debug, Error)]
pub enum CorrectionError {
    #[error(
        "state {state} is not a seam for teacher layers {start} to {end}: expected a state \
         from 1 to {n_layers}, and layers of a teacher with {n_teacher_layers}"
    )]
    NoSuchSeam { state: usize, start: usize, end: usize, n_layers: usize, n_teacher_layers: usize },
    #[error(
        "layer {layer} normalizes the output of its MLP, so that no correction can be folded into \
         its down projection; add an affine map instead"
    )]
    NormAfterMlp { layer: usize },
    #[error("layer {layer} has been corrected by a map before; correct the original model")]
    CorrectedBefore { layer: usize },
    #[error(
        "{n_rows} calibration tokens do not determine the correction after layer {layer}, of \
         {n_inputs} inputs; expected more, and different, texts"
    )]
    Undetermined { layer: usize, n_rows: usize, n_inputs: usize },
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
}

/// Relative to the mean sum of squares of an input, as in [`LeastSquares::solve`]: small enough to
/// change no well-determined direction, large enough to keep states of almost no variance from
/// giving large weights.
const RIDGE: f64 = 1e-6;

/// Keeps the weight of a state of zeros finite.
const SQUARED_NORM_FLOOR: f64 = 1e-12;

/// Corrects a smaller model at its seams, the first one first: each is fitted on the states that
/// the corrected layers before it compute.
///
/// But for [`Correction::Ghosted`], whose errors count alike, the squared error of a token counts
/// relative to the squared norm of the teacher's state: norms read directions, and the few tokens
/// with massive states would outweigh all others.
///
/// The states of all batches, of the model and of the teacher at every seam, are in memory at once.
///
/// # Errors
/// [`CorrectionError`] names the seam or layer.
pub async fn correct(
    model: &LanguageModel,
    teacher: &LanguageModel,
    seams: &[Seam],
    correction: Correction,
    batches: &[Batch],
) -> Result<Corrected, CorrectionError> {
    let (n_layers, n_teacher_layers) = (model.n_layers(), teacher.n_layers());
    for Seam { state, layers } in seams {
        if !(1..=n_layers).contains(state) || layers.is_empty() || layers.end > n_teacher_layers {
            let (state, start, end) = (*state, layers.start, layers.end);
            let error =
                CorrectionError::NoSuchSeam { state, start, end, n_layers, n_teacher_layers };
            return Err(error);
        }
    }
    let mut texts = Vec::with_capacity(batches.len());
    for batch in batches {
        texts.push(Text::new(model, teacher, seams, batch).await?);
    }
    let last = seams.iter().map(|seam| seam.state).max().unwrap_or(0);
    let mut layers = Vec::with_capacity(n_layers);
    let mut explained = vec![0.0; seams.len()];
    for (index, layer) in model.layers().iter().enumerate() {
        let mut layer = layer.clone();
        if let Some(seam) = seams.iter().position(|seam| seam.state == index + 1) {
            let fit = Fit { layer: &layer, index, seam, correction };
            let map = fit.solve(&texts).await?;
            layer = fit.corrected(&map, &model.device());
            explained[seam] = map.explained;
        }
        // No later state is needed.
        if index < last {
            texts.iter_mut().for_each(|text| text.forward(&layer));
        }
        layers.push(layer);
    }
    Ok(Corrected { model: model.with_layers(layers), explained })
}

/// A batch on its way through the model.
struct Text {
    context: Context,
    /// The model's state, `[batch, seq, d_model]`.
    x: Tensor<3>,
    /// By position, `[batch * seq]`.
    is_token: Vec<bool>,
    /// By seam, the teacher's states before and after its layers, `[batch, seq, d_model]`.
    of_teacher: Vec<[Tensor<3>; 2]>,
    /// By seam and position, the squared norm of the teacher's state, `[batch * seq]`.
    squares: Vec<Vec<f32>>,
}

impl Text {
    async fn new(
        model: &LanguageModel,
        teacher: &LanguageModel,
        seams: &[Seam],
        batch: &Batch,
    ) -> Result<Self, ReadBackError> {
        let tensors = batch.to_device(&model.device());
        let states = residual_states(teacher, &tensors);
        let state = |state: usize| states[state].clone();
        let of_teacher = seams.iter().map(|seam| [seam.layers.start, seam.layers.end].map(state));
        let of_teacher: Vec<[Tensor<3>; 2]> = of_teacher.collect();
        let mut squares = Vec::with_capacity(seams.len());
        for [_, end] in &of_teacher {
            let norms = end.clone().square().sum_dim(2);
            squares.push(read_finite(norms, "the norms of the teacher's states").await?);
        }
        let is_token = read_finite(tensors.is_token.clone(), "the positions of tokens").await?;
        Ok(Self {
            context: model.context(batch.seq(), &tensors.mask),
            x: model.embed(tensors.tokens, 0),
            is_token: is_token.into_iter().map(|is_token| is_token > 0.0).collect(),
            of_teacher,
            squares,
        })
    }

    fn forward(&mut self, layer: &DecoderLayer) {
        self.x = layer.forward(self.x.clone(), &self.context, None);
    }
}

/// The regression after one layer.
struct Fit<'a> {
    layer: &'a DecoderLayer,
    index: usize,
    seam: usize,
    correction: Correction,
}

impl Fit<'_> {
    async fn solve(&self, texts: &[Text]) -> Result<LinearMap, CorrectionError> {
        let layer = self.index;
        if self.layer.has_output_map() {
            return Err(CorrectionError::CorrectedBefore { layer });
        }
        if self.correction == Correction::Folded && !self.layer.adds_down_outputs() {
            return Err(CorrectionError::NormAfterMlp { layer });
        }
        let has_shift = match self.correction {
            Correction::Folded => self.layer.has_down_bias(),
            Correction::Affine => true,
            Correction::Ghosted => false,
        };
        let mut sums: Option<LeastSquares> = None;
        for text in texts {
            let (inputs, targets) = self.regression(text);
            let [n_inputs, n_outputs] = [&inputs, &targets].map(|states| states.dims()[2]);
            let inputs = read_finite(inputs, "the inputs of the correction").await?;
            let targets = read_finite(targets, "the differences from the teacher's states").await?;
            let sums =
                sums.get_or_insert_with(|| LeastSquares::new(n_inputs, n_outputs, has_shift));
            let rows = inputs.chunks_exact(n_inputs).zip(targets.chunks_exact(n_outputs));
            for ((inputs, targets), weight) in rows.zip(self.weights(text)) {
                if weight > 0.0 {
                    sums.add(weight, inputs, targets);
                }
            }
        }
        let (n_rows, n_inputs) = sums.as_ref().map_or((0, 0), LeastSquares::size);
        let map = sums.and_then(|sums| sums.solve(RIDGE));
        map.ok_or(CorrectionError::Undetermined { layer, n_rows, n_inputs })
    }

    /// By position, `[batch * seq]`; 0 for padding.
    fn weights<'t>(&self, text: &'t Text) -> impl Iterator<Item = f64> + use<'t> {
        let is_plain = self.correction == Correction::Ghosted;
        let squares = text.squares[self.seam].iter().zip(&text.is_token);
        squares.map(move |(&squares, &is_token)| match is_plain {
            _ if !is_token => 0.0,
            true => 1.0,
            false => 1.0 / f64::from(squares).max(SQUARED_NORM_FLOOR),
        })
    }

    /// Inputs and targets, `[batch, seq, n_inputs]` and `[batch, seq, d_model]`.
    fn regression(&self, text: &Text) -> (Tensor<3>, Tensor<3>) {
        let [start, end] = text.of_teacher[self.seam].clone();
        if self.correction == Correction::Ghosted {
            return (start.clone(), end - start);
        }
        let output = self.layer.forward(text.x.clone(), &text.context, None);
        let inputs = match self.correction {
            Correction::Folded => self.layer.down_inputs(text.x.clone(), &text.context),
            _ => output.clone(),
        };
        (inputs, end - output)
    }

    fn corrected(&self, map: &LinearMap, device: &Device) -> DecoderLayer {
        let shift = map.shift.as_ref().map(|shift| Tensor::from_floats(&shift[..], device));
        let matrix = Tensor::from_data(TensorData::new(map.matrix.clone(), map.shape), device);
        match self.correction {
            Correction::Folded => self.layer.with_down_changed(matrix, shift),
            Correction::Affine | Correction::Ghosted => {
                self.layer.with_output_map(matrix + Tensor::eye(map.shape[1], device), shift)
            }
        }
    }
}
