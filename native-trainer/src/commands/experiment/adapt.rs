//! `boomerang experiment adapt`: students of a post-trained teacher.

use boomerang_core::checkpoint::{
    Checkpoint, CheckpointError, DeltaParents, DeltaSizes, Parent, Precision, model_to_bytes,
};
use boomerang_core::corpus::{ItemKind, TASKS};
use boomerang_core::estimate::mean;
use boomerang_core::evaluate::{PrefixTree, Stack};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{Student, Teacher};
use boomerang_core::search::Metric;
use futures_lite::future::block_on;

use super::ExperimentArgs;
use super::bench::{Bench, Results, TOKENS_PER_BATCH};
use super::catalogue::{as_good, better, check};
use super::design::{Design, Kind, Line, Sizes, Test};
use crate::embedded::{DistillRun, EmbeddedFamily, distill_each, post_trained};
use crate::measure::order::Method;

/// What the teacher is post-trained on.
const KIND: ItemKind = ItemKind::Count;
/// Optimizer steps of post-training, of as many tokens as those of a distillation.
const STEPS: usize = 300;

const TWO_PHASES: &str = "two phases";
const DELTA: &str = "delta";
const RAW: &str = "raw text only";
const BASE: &str = "student of the base";
const NAIVE: &str = "naive pruning";

/// The names of the tasks that the teacher is post-trained on.
fn trained_tasks() -> Vec<&'static str> {
    TASKS.iter().filter(|task| task.kind == KIND).map(|task| task.name).collect()
}

/// Post-trains the embedded teacher, makes students of it in four ways, and measures the families.
///
/// # Errors
/// When training diverges, or a result is not finite.
pub(super) fn run(
    args: &ExperimentArgs,
    base: &EmbeddedFamily,
) -> anyhow::Result<(Design, Results)> {
    let family = EmbeddedFamily::with_teacher(post_trained(base, KIND, STEPS)?)?;
    let runs = |second_half| -> Vec<DistillRun> {
        let run = |seed| DistillRun::new(base.plan.clone(), args.steps, seed);
        (0..args.seeds).map(|seed| DistillRun { second_half, ..run(seed) }).collect()
    };
    let of_base = distill_each(base, &runs(None))?;
    let raw = distill_each(&family, &runs(None))?;
    let two_phases = distill_each(&family, &runs(Some(KIND)))?;
    let mut moved = Vec::new();
    let mut remarks = vec![before_and_after(base, &family, args.questions)?];
    for (seed, student) in of_base.iter().enumerate() {
        let (student, sizes) = delta(&base.teacher, student, &family.teacher)?;
        remarks.push(format!(
            "seed {seed}: the change by post-training and that by distillation have a cosine of {:.3}, and \
             their norms a ratio of {:.3}",
            sizes.cosine(),
            sizes.norm_ratio()
        ));
        moved.push(student);
    }
    let students = [(TWO_PHASES, two_phases), (DELTA, moved), (RAW, raw), (BASE, of_base)];
    let design = design(&base.plan, students);
    let mut results = Bench::new(&family, args.seeds, args.questions)?.run(&design)?;
    remarks.append(&mut results.remarks);
    Ok((design, Results { remarks, ..results }))
}

/// The same comparison by the accuracy on the tasks that the teacher was post-trained on.
pub(super) fn on_trained_tasks(design: Design, results: Results) -> (Design, Results) {
    let title = "Students of a post-trained teacher, on the tasks of post-training";
    let sample = results.sample.on_tasks(&trained_tasks());
    (Design { title, ..design }, Results { sample, ..results })
}

/// The student of the base, moved by the change from base to variant, and the sizes of both changes.
fn delta(
    base: &Teacher,
    student: &Student,
    variant: &Teacher,
) -> anyhow::Result<(Student, DeltaSizes)> {
    let bytes = |model: &LanguageModel| model_to_bytes(model, Precision::F32);
    let (base_bytes, student_bytes, variant_bytes) =
        (bytes(base.model())?, bytes(student.model())?, bytes(variant.model())?);
    let (of_base, of_student, of_variant) =
        (open(&base_bytes)?, open(&student_bytes)?, open(&variant_bytes)?);
    let parents = DeltaParents {
        base: Parent { checkpoint: &of_base, config: base.model().config() },
        student: Parent { checkpoint: &of_student, config: student.model().config() },
        variant: Parent { checkpoint: &of_variant, config: variant.model().config() },
    };
    let mut bytes = Vec::new();
    let sizes = parents.delta(student.plan())?.write(Precision::F32, &mut bytes)?;
    let model = open(&bytes)?.read_model(student.model().config(), &base.model().device())?;
    let moved = Student::new(model, student.plan().clone())?;
    Ok((moved, DeltaSizes::total("all", &sizes)))
}

fn open(bytes: &[u8]) -> Result<Checkpoint<'_>, CheckpointError> {
    Checkpoint::parse([("a model in memory".to_owned(), bytes)])
}

/// Accuracy and loss of both teachers, in a sentence.
fn before_and_after(
    base: &EmbeddedFamily,
    post_trained: &EmbeddedFamily,
    n_questions: usize,
) -> anyhow::Result<String> {
    let examination = base.parts(1, n_questions)?.remove(0);
    let measured = [base, post_trained].map(|family| -> anyhow::Result<[f64; 3]> {
        let model = family.teacher.model();
        let tree = PrefixTree::new(&[Stack::whole(0, model)]);
        let mut answered = |_| {};
        let models = [model];
        let scores = examination.score(&models, &tree, TOKENS_PER_BATCH, &mut answered);
        let score = block_on(scores)?.remove(0);
        let of_kind =
            trained_tasks().into_iter().filter_map(|name| Some(score.tasks.get(name)?.acc));
        let on_all = score.mean_accuracy().map_or(f64::NAN, |(accuracy, _)| accuracy);
        let nats = score.perplexity.map_or(f64::NAN, |perplexity| perplexity.nats_per_token);
        Ok([mean(&of_kind.collect::<Vec<_>>()), on_all, nats])
    });
    let [before, after] = measured;
    let ([kind_before, all_before, nats_before], [kind_after, all_after, nats_after]) =
        (before?, after?);
    Ok(format!(
        "{STEPS} steps of post-training on {} change the teacher's accuracy on it from {kind_before:.3} to \
         {kind_after:.3}, on all tasks from {all_before:.3} to {all_after:.3}, and the loss on raw text from \
         {nats_before:.3} to {nats_after:.3}",
        trained_tasks().join(", ")
    ))
}

fn design(plan: &LayerPlan, students: [(&str, Vec<Student>); 4]) -> Design {
    let given = |students: &[Student], order| Kind::Given {
        students: students.to_vec(),
        order,
        metric: Metric::Kl,
    };
    let lines = students.iter().flat_map(|(name, students)| {
        [
            Line::new(*name, given(students, Method::Beam)),
            Line::new(format!("{name}, last to first"), given(students, Method::Last)).hidden(),
        ]
    });
    let naive = Kind::Naive { plan: plan.clone(), order: Method::Last };
    let student =
        |line: &str, than: &str| Test::Better(line.to_owned(), than.to_owned(), Sizes::Student);
    Design {
        title: "Students of a post-trained teacher",
        paper: "ADAPT (arXiv:2608.22854): the student of a post-trained teacher is distilled in two phases, \
                on raw text and then on the data of post-training; or the student of the base is moved by \
                the difference of the two teachers, without training. Both are compared with a student \
                distilled on raw text only, and with the student of the base as it is.",
        lines: lines.chain([Line::new(NAIVE, naive)]).collect(),
        checks: vec![
            check("Two phases are better than raw text only.", better(TWO_PHASES, RAW)),
            check("So they are for the student itself.", student(TWO_PHASES, RAW)),
            check("The delta is as good as two phases.", as_good(DELTA, TWO_PHASES)),
            check("The delta is as good as raw text only.", as_good(DELTA, RAW)),
            check("The delta is better than the student of the base.", better(DELTA, BASE)),
            check("So it is for the student itself.", student(DELTA, BASE)),
            check("With two phases quality climbs.", Test::Climbs(TWO_PHASES.to_owned())),
            check("With the delta quality climbs.", Test::Climbs(DELTA.to_owned())),
            check("The delta is better than naive pruning.", better(DELTA, NAIVE)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::design::tests::assert_consistent;
    use super::*;

    #[test]
    fn claims_are_about_lines_of_their_design() {
        let students = [TWO_PHASES, DELTA, RAW, BASE].map(|name| (name, Vec::new()));
        assert_consistent(&design(&LayerPlan::keep(&[0, 2], 4).unwrap(), students));
    }
}
