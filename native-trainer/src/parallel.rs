//! Independent pieces of work on all cores: models this small leave cores idle one after another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use burn::tensor::Device;

use crate::device;

/// How many pieces of work run at once on this device.
pub(crate) fn n_workers(n_pieces: usize, device: &Device) -> usize {
    // Another device is busy with one.
    let n_cores = thread::available_parallelism().map_or(1, usize::from);
    if *device == device::cpu() { n_cores.min(n_pieces).max(1) } else { 1 }
}

/// The results of `work(0)` to `work(n_pieces - 1)`, in this order.
///
/// # Errors
/// The first error of a piece; pieces that no one has begun by then are left.
pub(crate) fn in_parallel<T: Send>(
    n_pieces: usize,
    n_workers: usize,
    work: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let worker = || -> anyhow::Result<Vec<(usize, T)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= n_pieces {
                return Ok(done);
            }
            match work(index) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    next.store(n_pieces, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..n_workers.max(1)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_by_key(|&(index, _)| index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        let squares = in_parallel(20, 3, |index| Ok(index * index)).unwrap();
        assert_eq!(squares, (0..20).map(|index| index * index).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_ends_the_work() {
        let outcome = in_parallel(20, 2, |index| {
            anyhow::ensure!(index != 3, "the third is bad");
            Ok(index)
        });
        assert_eq!(outcome.unwrap_err().to_string(), "the third is bad");
    }
}
