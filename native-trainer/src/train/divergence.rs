//! Steps that are not taken, in words: why, and what to do when there are too many.

use boomerang_core::distill::StepReport;

use super::run_folder::RunFolder;

/// Advice for a run that diverged.
pub(super) fn advice(run: &RunFolder) -> String {
    match run.newest_step() {
        Some(saved) => format!(
            "resume from the checkpoint at step {saved} with --resume --allow-mismatch and a smaller \
             --lr, or start over with --force"
        ),
        None => "there is no checkpoint yet; start over with --force and a smaller --lr".to_owned(),
    }
}

/// The error of a run that ends after `step` steps, having rolled back so many times.
pub(super) fn diverged(
    report: &StepReport,
    step: usize,
    n_rolled_back: usize,
    run: &RunFolder,
) -> anyhow::Error {
    let again = match n_rolled_back {
        0 => String::new(),
        1 => ", after 1 roll-back".to_owned(),
        n => format!(", after {n} roll-backs"),
    };
    anyhow::anyhow!("{} at step {}{again}: {}", culprit(report), step + 1, advice(run))
}

/// Why a step was not taken.
pub(super) fn culprit(report: &StepReport) -> String {
    match report.terms.first_not_finite() {
        Some(term) => format!("the {} is NaN or infinite", term.name()),
        None if !report.terms.total.is_finite() => "the loss is NaN or infinite".to_owned(),
        None if !report.grad_norm.is_finite() => "the gradient is NaN or infinite".to_owned(),
        None => format!("the loss of {:.3} is far above those before it", report.terms.total),
    }
}
