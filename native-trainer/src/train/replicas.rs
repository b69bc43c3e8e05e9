//! Replicas of a student on several devices of this machine, a thread for each.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use boomerang_core::distill::{Distiller, PeerError, Peers, Rows};
use futures_lite::future::block_on;

use super::guard::{Guard, Verdict};
use super::interrupt::Interrupt;
use super::rollback::Rollback;
use super::run::LoopSettings;
use super::run_folder::State;
use crate::exit::{Exit, OrExit as _};

/// A replica among threads of this program.
pub struct ThreadPeer {
    rank: usize,
    n_ranks: usize,
    shared: Arc<Shared>,
}

struct Shared {
    round: Mutex<Round>,
    changed: Condvar,
}

/// One sum.
#[derive(Default)]
struct Round {
    /// By rank, until all are there.
    given: Vec<Option<Vec<f32>>>,
    sum: Arc<Vec<f32>>,
    /// How many still have to take the sum; none may give before all have taken it.
    n_waiting: usize,
    /// Sums so far.
    number: u64,
    /// A replica that has stopped.
    stopped: Option<usize>,
}

impl ThreadPeer {
    /// As many as there are replicas, by rank.
    pub fn all(n_ranks: usize) -> Vec<Self> {
        let round = Round { given: vec![None; n_ranks], ..Round::default() };
        let shared = Arc::new(Shared { round: Mutex::new(round), changed: Condvar::new() });
        (0..n_ranks).map(|rank| Self { rank, n_ranks, shared: Arc::clone(&shared) }).collect()
    }
}

impl Shared {
    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the round is as it should be.
    fn wait<'a>(
        &self,
        mut round: MutexGuard<'a, Round>,
        is_ready: impl Fn(&Round) -> bool,
    ) -> Result<MutexGuard<'a, Round>, PeerError> {
        while !is_ready(&round) {
            if let Some(rank) = round.stopped {
                return Err(PeerError(format!("replica {rank} has stopped")));
            }
            round = self.changed.wait(round).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(round)
    }
}

impl Peers for ThreadPeer {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_ranks(&self) -> usize {
        self.n_ranks
    }

    fn sum(&mut self, numbers: &mut [f32]) -> Result<(), PeerError> {
        let shared = &*self.shared;
        let mut round = shared.wait(shared.round(), |round| round.n_waiting == 0)?;
        let own = round.number + 1;
        round.given[self.rank] = Some(numbers.to_vec());
        if round.given.iter().all(Option::is_some) {
            let mut given = round.given.iter_mut().filter_map(Option::take);
            // In the order of ranks, so that a run can be repeated to the bit.
            let mut sum = given.next().unwrap_or_default();
            given.for_each(|numbers| sum.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += x));
            round.sum = Arc::new(sum);
            round.number = own;
            round.n_waiting = self.n_ranks;
            shared.changed.notify_all();
        }
        let mut round = shared.wait(round, |round| round.number >= own)?;
        let sum = Arc::clone(&round.sum);
        round.n_waiting -= 1;
        drop(round);
        shared.changed.notify_all();
        numbers.copy_from_slice(&sum);
        Ok(())
    }
}

/// The others must not wait for one that has ended.
impl Drop for ThreadPeer {
    fn drop(&mut self) {
        self.shared.round().stopped.get_or_insert(self.rank);
        self.shared.changed.notify_all();
    }
}

/// Takes the steps of a replica that neither logs nor saves, until the first one ends the run, which it
/// does when this one is interrupted, too. `metrics` are the lines of the steps before.
///
/// # Errors
/// When a step cannot be taken, or another replica has stopped.
pub fn follow(
    distiller: &mut Distiller,
    rows: &Rows,
    settings: LoopSettings,
    (state, metrics): (State, &str),
    rollback: &Rollback<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut rolled_back = state.rolled_back;
    let mut guard = Guard::after_lines(settings.guard, metrics, rolled_back.to_step);
    while distiller.agree(!interrupt.is_asked())? {
        let number = distiller.n_steps() + rolled_back.skipped_steps;
        let batches = settings.micro_batches_of(rows, number).or_exit(Exit::Unusable)?;
        let report = block_on(distiller.step_if(&batches, |report| guard.accepts(report)))?;
        if guard.after(&report) == Verdict::TooMany {
            match rollback.go_back(distiller, settings.guard, rolled_back)? {
                Some(returned) => {
                    rolled_back = returned.state.rolled_back;
                    guard = returned.guard;
                }
                None => return Ok(()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn all_get_the_same_sums_round_after_round() {
        let threads = ThreadPeer::all(3).into_iter().map(|mut peer| {
            thread::spawn(move || {
                let mut all = Vec::new();
                for round in 0..50 {
                    let mut numbers = [peer.rank() as f32, round as f32];
                    peer.sum(&mut numbers).unwrap();
                    all.extend(numbers);
                }
                all
            })
        });
        let threads: Vec<_> = threads.collect();
        let expected: Vec<f32> = (0..50).flat_map(|round| [3.0, 3.0 * round as f32]).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    }

    #[test]
    fn nobody_waits_for_a_replica_that_has_stopped() {
        let mut peers = ThreadPeer::all(2);
        let mut waits = peers.remove(0);
        let thread = thread::spawn(move || waits.sum(&mut [1.0]));
        drop(peers);
        let error = thread.join().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "replica 1 has stopped");
    }
}
