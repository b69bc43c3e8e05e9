//! From lines to models, and from models to measured points.

use std::cell::LazyCell;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use boomerang_core::baselines::{block_influence, without_least_influential};
use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::estimate::mean;
use boomerang_core::evaluate::{Examination, PrefixTree, Stack};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::{Family, Student};
use boomerang_core::search::Metric;
use futures_lite::future::block_on;

use super::design::{Design, Kind, Line};
use super::models::{Models, collapsed, individual};
use super::sample::{Point, Sample};
use super::searched::{LayerCalls, Searched};
use crate::embedded::{DistillRun, EmbeddedFamily, distill_each};
use crate::measure::order::Method;
use crate::parallel::{in_parallel, n_workers};
use crate::progress::{Progress, note};

/// Parts of the examination, for standard errors over questions.
const PARTS: usize = 10;
/// Tokens in a batch of requests, padding included.
pub(super) const TOKENS_PER_BATCH: usize = 8192;

/// Seed of the calibration texts, on which orders are searched and layers ranked; neither training
/// nor the examination uses it.
const CALIBRATION_SEED: u64 = 2_000_003;
const CALIBRATION_ROWS: usize = 64;
const ROWS_PER_BATCH: usize = 16;

/// Seed and number of the texts on which corrections are fitted, which nothing else uses.
const CORRECTION_SEED: u64 = 3_000_017;
const CORRECTION_ROWS: usize = 256;

/// Makes and measures models.
pub(super) struct Bench<'a> {
    embedded: &'a EmbeddedFamily,
    n_seeds: u64,
    parts: Vec<Examination>,
    calibration: Vec<Batch>,
}

/// A student with its seed and the index of its model.
type Seeded = (u64, usize, Student);

/// The results of an experiment.
pub(super) struct Results {
    pub(super) sample: Sample,
    /// Accuracy of random guessing.
    pub(super) chance: f64,
    pub(super) cost: LayerCalls,
    /// Orders that were searched, one sentence each.
    pub(super) remarks: Vec<String>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        embedded: &'a EmbeddedFamily,
        n_seeds: u64,
        n_questions: usize,
    ) -> anyhow::Result<Self> {
        let calibration = batches(embedded, CALIBRATION_SEED, CALIBRATION_ROWS);
        Ok(Self { embedded, n_seeds, parts: embedded.parts(PARTS, n_questions)?, calibration })
    }

    /// Distills the students of every line, builds its models and measures them.
    pub(super) fn run(&self, design: &Design) -> anyhow::Result<Results> {
        let runs = self.runs(design)?;
        self.print_estimate(design, &runs)?;
        let students = distill_each(self.embedded, &runs)?;
        let teacher = self.embedded.teacher.model().clone();
        let mut all = Models { models: vec![teacher], members: Vec::new() };
        let model_indices: Vec<usize> = students
            .iter()
            .map(|student| {
                all.models.push(student.model().clone());
                all.models.len() - 1
            })
            .collect();
        let for_corrections =
            LazyCell::new(|| batches(self.embedded, CORRECTION_SEED, CORRECTION_ROWS));
        let mut remarks = Vec::new();
        for (number, line) in design.lines.iter().enumerate() {
            let n_remarks = remarks.len();
            match &line.kind {
                Kind::Patched { run, order, metric } => {
                    let of_seeds = self.of_seeds(run, &runs).into_iter();
                    let of_line: Vec<Seeded> = of_seeds
                        .map(|(seed, number)| {
                            (seed, model_indices[number], students[number].clone())
                        })
                        .collect();
                    remarks.extend(self.patch(&mut all, number, line, &of_line, *order, *metric)?);
                }
                Kind::Given { students, order, metric } => {
                    let of_line: Vec<Seeded> = (0..)
                        .zip(students)
                        .map(|(seed, student)| {
                            all.models.push(student.model().clone());
                            (seed, all.models.len() - 1, student.clone())
                        })
                        .collect();
                    remarks.extend(self.patch(&mut all, number, line, &of_line, *order, *metric)?);
                }
                Kind::Individual { run, order } => {
                    for run in individual(run, *order)? {
                        for (seed, student) in self.of_seeds(&run, &runs) {
                            let model = students[student].model();
                            let stack = Stack::whole(model_indices[student], model);
                            all.add(number, seed, None, model.n_params(), stack);
                        }
                    }
                }
                Kind::Naive { plan, order } => all.add_naive(number, plan, *order)?,
                Kind::LeastInfluential => {
                    let influence = block_influence(&all.models[0], &self.calibration);
                    let influence = block_on(influence)?;
                    for n_layers in self.sizes()? {
                        let n_dropped = influence.len() - n_layers;
                        let kept = without_least_influential(&influence, n_dropped);
                        if n_dropped > 0 {
                            remarks.push(format!("{} at {n_layers} layers: {kept:?}", line.name));
                        }
                        all.add_kept(number, &kept);
                    }
                }
                Kind::Collapsed => {
                    let smallest = self.sizes()?.into_iter().min().unwrap_or(1);
                    let teacher = self.embedded.teacher.model();
                    let few = &self.calibration[..1];
                    for (model, remark) in collapsed(teacher, smallest, few)? {
                        let index = all.models.len();
                        let (n_params, stack) = (model.n_params(), Stack::whole(index, &model));
                        all.models.push(model);
                        all.add(number, 0, None, n_params, stack);
                        remarks.push(remark);
                    }
                    all.add_kept(number, &(0..teacher.n_layers()).collect::<Vec<_>>());
                }
            }
            if let Some(correction) = line.correction {
                // How the models were chosen is stated for the line without a correction.
                remarks.truncate(n_remarks);
                let sentence = all.correct(number, correction, &for_corrections)?;
                remarks.extend(sentence.map(|sentence| format!("{}: {sentence}", line.name)));
            }
        }
        self.measure(all, remarks)
    }

    /// Adds the families of a line's students; returns a sentence on the orders where they were searched.
    fn patch(
        &self,
        all: &mut Models,
        number: usize,
        line: &Line,
        students: &[Seeded],
        order: Method,
        metric: Metric,
    ) -> anyhow::Result<Option<String>> {
        let mut searched = Searched::new(order, metric);
        let families = students
            .iter()
            .map(|(_, _, student)| Family::new(self.embedded.teacher.clone(), student.clone()));
        let families = families.collect::<Result<Vec<_>, _>>()?;
        let orders = searched.orders(&families, &self.calibration)?;
        for (&(seed, index, _), (family, order)) in
            students.iter().zip(families.iter().zip(&orders))
        {
            all.add_family(number, seed, family, index, order)?;
        }
        Ok(searched.sentence(&line.name))
    }

    /// Every student that some line needs, once.
    fn runs(&self, design: &Design) -> anyhow::Result<Vec<DistillRun>> {
        let mut runs: Vec<DistillRun> = Vec::new();
        for line in &design.lines {
            let needed = match &line.kind {
                Kind::Patched { run, .. } => vec![run.clone()],
                Kind::Individual { run, order } => individual(run, *order)?,
                Kind::Given { .. }
                | Kind::Naive { .. }
                | Kind::LeastInfluential
                | Kind::Collapsed => Vec::new(),
            };
            for run in needed {
                for seed in 0..self.n_seeds {
                    let run = DistillRun { seed, ..run.clone() };
                    if !runs.contains(&run) {
                        runs.push(run);
                    }
                }
            }
        }
        Ok(runs)
    }

    /// The run's students by seed, as indices among all students.
    fn of_seeds(&self, run: &DistillRun, runs: &[DistillRun]) -> Vec<(u64, usize)> {
        (0..self.n_seeds)
            .filter_map(|seed| {
                let run = DistillRun { seed, ..run.clone() };
                Some((seed, runs.iter().position(|other| *other == run)?))
            })
            .collect()
    }

    /// Sizes of the family, in layers.
    fn sizes(&self) -> anyhow::Result<Vec<usize>> {
        let plan = &self.embedded.plan;
        let path = PatchOrder::Last.path(plan)?;
        Ok(path.iter().map(|patch| plan.recipe(patch).layers.len()).collect())
    }

    fn measure(&self, all: Models, remarks: Vec<String>) -> anyhow::Result<Results> {
        let Models { models, members } = all;
        let models: Vec<&LanguageModel> = models.iter().collect();
        let stacks: Vec<Stack> = members.iter().map(|member| member.stack.clone()).collect();
        let tree = PrefixTree::new(&stacks);
        let n_requests = self.parts.iter().map(Examination::n_requests).sum();
        let progress = Mutex::new((0, Progress::new("evaluate", n_requests)));
        let device = self.embedded.teacher.model().device();
        let scores = in_parallel(PARTS, n_workers(PARTS, &device), |part| {
            let mut before = 0;
            let mut answered = |n_requests| {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.0 += n_requests - before;
                before = n_requests;
                let done = progress.0;
                progress.1.set(done, || format!("{} models", stacks.len()));
            };
            let part = &self.parts[part];
            Ok(block_on(part.score(&models, &tree, TOKENS_PER_BATCH, &mut answered))?)
        })?;
        progress.into_inner().unwrap_or_else(PoisonError::into_inner).1.finish();
        let chances = scores.iter().flatten().flat_map(|score| score.tasks.values());
        let chances: Vec<f64> = chances.map(|task| task.chance).collect();
        let points = members.iter().enumerate().map(|(number, member)| {
            let scores = || scores.iter().map(|part| &part[number]);
            let accuracy = scores().filter_map(|score| Some(score.mean_accuracy()?.0));
            let by_task = scores().map(|score| {
                score.tasks.iter().map(|(name, task)| (name.clone(), task.acc)).collect()
            });
            let nats = scores().filter_map(|score| Some(score.perplexity?.nats_per_token));
            Point {
                line: member.line,
                seed: member.seed,
                n_patched: member.n_patched,
                n_layers: member.stack.layers.len(),
                n_params: member.n_params,
                accuracy: accuracy.collect(),
                by_task: by_task.collect(),
                nats: nats.collect(),
            }
        });
        Ok(Results {
            sample: Sample { points: points.collect() },
            chance: mean(&chances),
            cost: LayerCalls {
                n_layer_calls: tree.n_layer_calls(),
                n_layer_calls_alone: tree.n_layer_calls_alone(),
            },
            remarks,
        })
    }

    /// Prints an estimate of the time, from that of one step and of one model.
    fn print_estimate(&self, design: &Design, runs: &[DistillRun]) -> anyhow::Result<()> {
        let n_steps: usize = runs.iter().map(DistillRun::n_steps).sum();
        let mut seconds = 0.0;
        if let Some(run) = runs.first() {
            let started = Instant::now();
            distill_each(self.embedded, &[DistillRun { steps: 1, block_wise: 0, ..run.clone() }])?;
            seconds += started.elapsed().as_secs_f64() * n_steps as f64;
        }
        let teacher = self.embedded.teacher.model();
        let tree = PrefixTree::new(&[Stack::whole(0, teacher)]);
        let started = Instant::now();
        block_on(self.parts[0].score(&[teacher], &tree, TOKENS_PER_BATCH, &mut |_| {}))?;
        let n_sizes = self.sizes()?.len();
        let n_models: usize = design
            .lines
            .iter()
            .map(|line| {
                n_sizes * if line.kind.depends_on_seed() { self.n_seeds as usize } else { 1 }
            })
            .sum();
        // Shared prefixes save about a third.
        seconds += started.elapsed().as_secs_f64() * (PARTS * n_models) as f64 * 2.0 / 3.0;
        let device = teacher.device();
        let seconds = seconds / n_workers(PARTS, &device) as f64;
        note(&format!(
            "{} students, {n_steps} optimizer steps, about {n_models} models to evaluate: about \
             {:.0} s, not counting searches",
            runs.len(),
            seconds.ceil()
        ));
        Ok(())
    }
}

/// Rows of the corpus from this seed, 16 to a batch.
pub(super) fn batches(embedded: &EmbeddedFamily, seed: u64, n_rows: usize) -> Vec<Batch> {
    let rows = embedded.corpus.rows(seed, embedded.made.seq_len).take(n_rows);
    let rows: Vec<Row> = rows.map(Row::from).collect();
    rows.chunks(ROWS_PER_BATCH).map(|rows| Batch::new(rows.to_vec(), Layout::Packed)).collect()
}
