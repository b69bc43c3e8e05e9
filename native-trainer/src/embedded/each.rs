//! Runs of the same kind on all cores, with one progress bar.

use std::sync::{Mutex, PoisonError};

use super::EmbeddedFamily;
use crate::parallel::{in_parallel, n_workers};
use crate::progress::Progress;

/// What each run gives. A run calls its second argument after every one of the `n_steps` that all take
/// together; `task` and `things` are what the bar shows.
///
/// # Errors
/// The first error of a run.
pub(super) fn each<R: Sync, T: Send>(
    embedded: &EmbeddedFamily,
    (task, things): (&str, &str),
    (runs, n_steps): (&[R], usize),
    run: impl Fn(&R, &dyn Fn()) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let progress = Mutex::new((0, Progress::new(task, n_steps)));
    let stepped = || {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.0 += 1;
        let done = progress.0;
        progress.1.set(done, || format!("{} {things}", runs.len()));
    };
    let n_workers = n_workers(runs.len(), &embedded.teacher.model().device());
    let results = in_parallel(runs.len(), n_workers, |number| run(&runs[number], &stepped))?;
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).1.finish();
    Ok(results)
}
