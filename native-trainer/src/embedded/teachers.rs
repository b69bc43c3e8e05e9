//! Other teachers of the embedded one's shape, pretrained by its recipe.

use boomerang_core::corpus::{ItemKind, pretrain_recipe};
use boomerang_core::distill::{Initialization, LayerDrop, Pretrainer};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::Teacher;
use futures_lite::future::block_on;

use super::each::each;
use super::students::check;
use super::{EmbeddedFamily, Made};
use crate::progress::Progress;

/// How a teacher is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PretrainRun {
    /// Probability with which a layer is dropped in a step.
    pub(crate) layer_drop: f64,
    pub(crate) steps: usize,
    /// Of weights, training lines and dropped layers.
    pub(crate) seed: u64,
}

impl Made {
    /// The run of the embedded teacher, with layers dropped.
    pub(crate) fn pretrain_run(&self, layer_drop: f64) -> PretrainRun {
        PretrainRun { layer_drop, steps: self.steps, seed: self.seed }
    }
}

impl PretrainRun {
    fn run(&self, embedded: &EmbeddedFamily, stepped: &dyn Fn()) -> anyhow::Result<Teacher> {
        let (made, model) = (&embedded.made, embedded.teacher.model());
        let start = Initialization::Scaled;
        let model = LanguageModel::random(model.config(), start, self.seed, &model.device());
        let settings = pretrain_recipe::settings(made.lr, made.tail, self.steps);
        let layer_drop = LayerDrop { rate: self.layer_drop, seed: self.seed };
        let mut pretrainer = Pretrainer::new(model, settings).with_layer_drop(layer_drop);
        let batches = embedded.corpus.pretraining_batches(self.seed, made.seq_len, made.rows);
        for batch in batches.take(self.steps) {
            check(&block_on(pretrainer.step(&[batch])))?;
            stepped();
        }
        Ok(Teacher::new(pretrainer.model()))
    }
}

/// One teacher for each run.
///
/// # Errors
/// When training diverges.
pub(crate) fn pretrain_each(
    embedded: &EmbeddedFamily,
    runs: &[PretrainRun],
) -> anyhow::Result<Vec<Teacher>> {
    let n_steps = runs.iter().map(|run| run.steps).sum();
    each(embedded, ("pretrain", "teachers"), (runs, n_steps), |run, stepped| {
        run.run(embedded, stepped)
    })
}

/// The embedded teacher after `n_steps` more on lines of one kind, which no other seed gives.
///
/// # Errors
/// When training diverges.
pub(crate) fn post_trained(
    embedded: &EmbeddedFamily,
    kind: ItemKind,
    n_steps: usize,
) -> anyhow::Result<Teacher> {
    /// A tenth of that of pretraining. At 1e-3 the teacher forgets most of what it is not trained on, and
    /// changes six times as much as a student by its distillation.
    const LEARNING_RATE: f64 = 3e-4;
    /// Neither that of a student nor that of the examination.
    const SEED: u64 = 500_003;
    let settings = pretrain_recipe::settings(LEARNING_RATE, embedded.made.tail, n_steps);
    let mut pretrainer = Pretrainer::new(embedded.teacher.model().clone(), settings);
    let mut progress = Progress::new("post-train", n_steps);
    for batch in embedded.corpus.batches_of(kind, SEED, embedded.made.seq_len).take(n_steps) {
        check(&block_on(pretrainer.step(&[batch])))?;
        progress.set(pretrainer.n_steps(), || "1 teacher".to_owned());
    }
    progress.finish();
    Ok(Teacher::new(pretrainer.model()))
}
