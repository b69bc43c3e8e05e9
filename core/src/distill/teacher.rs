//! The teacher of a run: in memory, or read layer by layer.

use std::error::Error;

use burn::tensor::Tensor;
use thiserror::Error;

use super::batch::BatchTensors;
use super::levers::Levers;
use crate::config::ModelConfig;
use crate::model::backward::Pass;
use crate::model::{DecoderLayer, LanguageModel};
use crate::prune::Teacher;

/// Reads a layer of a teacher, by its number, to the device of the ends.
type ReadLayer = Box<dyn Fn(usize) -> Result<DecoderLayer, Box<dyn Error + Send + Sync>> + Send>;

/// The teacher of a run.
pub struct TeacherSource {
    /// The whole model, or its ends: embedding, final norm and head.
    model: LanguageModel,
    /// Of the whole model.
    config: ModelConfig,
    /// Without it all layers are in the model.
    read: Option<ReadLayer>,
}

/// Why a teacher's layers are not to be had.
#[derive(Debug, Error)]
pub enum TeacherError {
    /// Of a streamed teacher.
    #[error("layer {number} of the teacher cannot be read")]
    Unreadable { number: usize, source: Box<dyn Error + Send + Sync> },
    #[error("stochastic patching needs the teacher in memory; this one is streamed")]
    Streamed,
}

/// The states of a teacher that a micro-batch needs.
pub(super) struct TeacherStates {
    /// By number of the state; `None` for those that are not aligned.
    pub(super) aligned: Vec<Option<Tensor<2>>>,
    /// After the final norm, for the KL divergence.
    pub(super) last: Tensor<2>,
}

impl From<Teacher> for TeacherSource {
    fn from(teacher: Teacher) -> Self {
        let model = teacher.model().clone();
        Self { config: model.config().clone(), model, read: None }
    }
}

impl TeacherSource {
    /// A teacher with this `config`, of which only the `ends` stay in memory: embedding, final norm and
    /// head without any layer. Every pass calls `read` for each layer, in their order.
    pub fn streamed(
        ends: LanguageModel,
        config: ModelConfig,
        read: impl Fn(usize) -> Result<DecoderLayer, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Self {
        Self { model: ends, config, read: Some(Box::new(read)) }
    }

    /// The whole teacher; `None` where its layers are read for every pass.
    pub(super) fn resident(&self) -> Option<Teacher> {
        self.read.is_none().then(|| Teacher::new(self.model.clone()))
    }

    /// For embedding and head; its layers may be missing.
    pub(super) fn ends(&self) -> &LanguageModel {
        &self.model
    }

    fn layer(&self, number: usize) -> Result<DecoderLayer, TeacherError> {
        match &self.read {
            Some(read) => {
                read(number).map_err(|source| TeacherError::Unreadable { number, source })
            }
            None => Ok(self.model.layers()[number].clone()),
        }
    }

    /// The states of each micro-batch, in one pass over the layers; those of the teacher's `aligned`
    /// numbers are kept.
    pub(super) fn states(
        &self,
        batches: &[BatchTensors],
        aligned: &[usize],
        levers: &Levers,
    ) -> Result<Vec<TeacherStates>, TeacherError> {
        let (model, n_layers) = (&self.model, self.config.n_layers());
        let is_aligned = |state: usize| aligned.contains(&state);
        let begin = |tensors: &BatchTensors| {
            let dims = tensors.tokens.dims();
            let dtype = levers.mixed_precision.dtype();
            let pass = Pass::new(&self.config, dims, &tensors.mask, levers.query_block, dtype);
            (pass, model.embed_rows(&tensors.tokens), vec![None; n_layers + 1])
        };
        let mut walks: Vec<(Pass, Tensor<2>, Vec<Option<Tensor<2>>>)> =
            batches.iter().map(begin).collect();
        for number in 0..n_layers {
            let layer = self.layer(number)?;
            walks = walks
                .into_iter()
                .map(|(pass, x, mut aligned)| {
                    aligned[number] = is_aligned(number).then(|| x.clone());
                    let x = layer.forward_rows(x, &pass);
                    (pass, x, aligned)
                })
                .collect();
        }
        let end = |(_, x, mut aligned): (Pass, Tensor<2>, Vec<Option<Tensor<2>>>)| {
            let last = model.normalize_rows(&x);
            aligned[n_layers] = is_aligned(n_layers).then(|| last.clone());
            TeacherStates { aligned, last }
        };
        Ok(walks.into_iter().map(end).collect())
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::super::{
        Batch, Distiller, Layout, Row, Schedule, StepReport, UpdateSettings, testing,
    };
    use super::*;
    use crate::plan::LayerPlan;

    fn teacher() -> Teacher {
        testing::teacher(&testing::qwen3(true))
    }

    fn batches() -> Vec<Batch> {
        let row = |start: u32| Row::new((start..start + 8).collect(), vec![1; 8]);
        (0..3)
            .map(|number| Batch::new(vec![row(number), row(9 + number)], Layout::Packed))
            .collect()
    }

    fn two_steps(source: TeacherSource, parts_per_pass: usize) -> Vec<StepReport> {
        let student = teacher().prune(&LayerPlan::keep(&[0, 3], 4).unwrap()).unwrap();
        let settings = testing::settings(UpdateSettings::new(Schedule::cosine(1e-2, 2)));
        let levers = Levers { parts_per_pass, ..Levers::default() };
        let mut distiller = Distiller::new(source, student, settings, 0).with_levers(levers);
        (0..2).map(|_| block_on(distiller.step(&batches())).unwrap()).collect()
    }

    fn streamed(
        read: impl Fn(usize) -> Result<DecoderLayer, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> TeacherSource {
        let model = teacher().model().clone();
        TeacherSource::streamed(model.without_layers(), model.config().clone(), read)
    }

    #[test]
    fn a_streamed_teacher_gives_the_steps_of_one_in_memory() {
        let expected = two_steps(teacher().into(), 1);
        for parts_per_pass in [1, 2, 3] {
            let layers = teacher().model().layers().to_vec();
            let source = streamed(move |number| Ok(layers[number].clone()));
            assert_eq!(two_steps(source, parts_per_pass), expected);
        }
    }

    #[test]
    fn a_layer_that_cannot_be_read_is_named() {
        let layers = teacher().model().layers().to_vec();
        let source = streamed(move |number| match number {
            2 => Err("the file changed".into()),
            _ => Ok(layers[number].clone()),
        });
        let tensors = batches()[0].to_device(&Device::flex());
        let Err(error) = source.states(&[tensors], &[4], &Levers::default()) else {
            panic!("the pass went on")
        };
        assert_eq!(error.to_string(), "layer 2 of the teacher cannot be read");
        assert_eq!(error.source().unwrap().to_string(), "the file changed");
    }
}
