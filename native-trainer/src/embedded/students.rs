//! Students of the embedded teacher, each distilled on its own lines of the corpus.

use boomerang_core::corpus::ItemKind;
use boomerang_core::corpus::distill_recipe::{self, LEARNING_RATE};
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{Distiller, Initialization, StepReport, StochasticPatching};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::Student;
use futures_lite::future::block_on;

use super::EmbeddedFamily;
use super::each::each;
use crate::exit::Exit;

/// The student sees half a percent of the tokens that the teacher saw. After much longer training,
/// patching a teacher block into a student that has learnt to compensate for it first lowers
/// quality.
pub(crate) const STEPS: usize = 10;

/// How a student is made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DistillRun {
    pub(crate) plan: LayerPlan,
    pub(crate) start: Start,
    pub(crate) loss: LossWeights,
    pub(crate) steps: usize,
    /// The second half of the steps is on lines of this kind only.
    pub(crate) second_half: Option<ItemKind>,
    /// Steps before these, in which each layer is trained individually.
    pub(crate) block_wise: usize,
    /// Of stochastic patching.
    pub(crate) patch_probability: f64,
    /// Of the training lines, of the random initialization, and of stochastic patching.
    pub(crate) seed: u64,
}

/// How a student is initialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the kept teacher layers.
    Teacher,
    Random,
}

impl DistillRun {
    /// The demo's run, with all three loss terms.
    pub(crate) fn new(plan: LayerPlan, steps: usize, seed: u64) -> Self {
        Self {
            plan,
            start: Start::Teacher,
            loss: distill_recipe::loss_weights(),
            steps,
            second_half: None,
            block_wise: 0,
            patch_probability: 0.0,
            seed,
        }
    }

    fn start(&self, embedded: &EmbeddedFamily) -> anyhow::Result<Student> {
        let student = embedded.teacher.prune(&self.plan)?;
        if self.start == Start::Teacher {
            return Ok(student);
        }
        let (config, device) = (student.model().config(), student.model().device());
        let random = LanguageModel::random(config, Initialization::HuggingFace, self.seed, &device);
        Ok(Student::new(random, self.plan.clone())?)
    }

    fn run(&self, embedded: &EmbeddedFamily, stepped: &dyn Fn()) -> anyhow::Result<Student> {
        let mut batches = embedded.corpus.batches(self.seed, embedded.made.seq_len);
        let student = self.start(embedded)?;
        let student = match self.block_wise {
            0 => student,
            n_steps => {
                let settings = distill_recipe::settings(self.loss, LEARNING_RATE, n_steps);
                let mut distiller = Distiller::new(embedded.teacher.clone(), student, settings, 0);
                for batch in batches.by_ref().take(n_steps) {
                    check(&block_on(distiller.step_by_block(&[batch]))?)?;
                    stepped();
                }
                distiller.student()
            }
        };
        let settings = distill_recipe::settings(self.loss, LEARNING_RATE, self.steps);
        let patching = StochasticPatching { probability: self.patch_probability, seed: self.seed };
        let distiller = Distiller::new(embedded.teacher.clone(), student, settings, 0);
        let mut distiller = distiller.with_patching(patching)?;
        let n_second = if self.second_half.is_some() { self.steps / 2 } else { 0 };
        let of_kind = self.second_half.into_iter().flat_map(|kind| {
            embedded.corpus.batches_of(kind, self.seed, embedded.made.seq_len).take(n_second)
        });
        for batch in batches.take(self.steps - n_second).chain(of_kind) {
            check(&block_on(distiller.step(&[batch]))?)?;
            stepped();
        }
        Ok(distiller.student())
    }

    /// Optimizer steps of all kinds.
    pub(crate) fn n_steps(&self) -> usize {
        self.block_wise + self.steps
    }
}

pub(super) fn check(report: &StepReport) -> anyhow::Result<()> {
    match report.is_finite() {
        true => Ok(()),
        false => Err(Exit::Diverged.error("the loss is NaN or infinite")),
    }
}

/// One student for each run.
///
/// # Errors
/// When a plan does not fit the teacher, or training diverges.
pub(crate) fn distill_each(
    embedded: &EmbeddedFamily,
    runs: &[DistillRun],
) -> anyhow::Result<Vec<Student>> {
    let n_steps = runs.iter().map(DistillRun::n_steps).sum();
    each(embedded, ("distill", "students"), (runs, n_steps), |run, stepped| {
        run.run(embedded, stepped)
    })
}
