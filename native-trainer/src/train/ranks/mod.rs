//! The processes of one job, its *ranks*: started by `mpirun` or `srun`, one for each device.
//!
//! They may be on several machines. All read the same models and data; the first alone prints, and
//! writes the run. What moves between them is moved by MPI, a feature of this crate, since its
//! library has to be there when the program is built.

#[cfg(feature = "mpi")]
mod mpi;

use std::sync::Arc;

use boomerang_core::distill::{PeerError, Peers};
use serde_json::Value;

use super::run_folder::differences;
use crate::exit::Exit;

/// What launchers set for every process they start: Open MPI, MPICH and Intel MPI, and the two
/// interfaces of Slurm.
const NUMBER_OF_RANKS: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// What ranks exchange; all call the same functions in the same order.
pub trait Link: Send + Sync {
    fn place(&self) -> Place;

    /// Gives every rank the bytes of one of them.
    fn broadcast(&self, bytes: &mut Vec<u8>, from: usize);

    /// Replaces the numbers by their sums over all ranks, to the bit the same for each of them.
    fn sum(&self, numbers: &mut [f32]);
}

/// Where a process stands among those of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub rank: usize,
    pub n_ranks: usize,
    /// The number among the ranks of this machine.
    pub local: usize,
    pub n_local: usize,
}

/// This process as one of several.
#[derive(Clone)]
pub struct Ranks {
    link: Arc<dyn Link>,
    place: Place,
}

impl Ranks {
    /// Joins the others; `None` for a process that is alone.
    ///
    /// # Errors
    /// When a launcher has started several, and this program was built without MPI: each would do all
    /// the work, and write to the same folder.
    pub fn join() -> anyhow::Result<Option<Self>> {
        let n_started = n_started(|name| std::env::var(name).ok());
        Self::joined(n_started).map(|ranks| ranks.filter(|ranks| ranks.place.n_ranks > 1))
    }

    #[cfg(feature = "mpi")]
    fn joined(n_started: Option<usize>) -> anyhow::Result<Option<Self>> {
        n_started.map(|_| Ok(Self::new(Arc::new(mpi::World::join()?)))).transpose()
    }

    #[cfg(not(feature = "mpi"))]
    fn joined(n_started: Option<usize>) -> anyhow::Result<Option<Self>> {
        match n_started {
            Some(n) if n > 1 => Err(Exit::Usage.error(format!(
                "this is one of {n} processes of an MPI job, and this program was built without MPI: \
                 rebuild it with `cargo build --release -p boomerang-native-trainer --features mpi`, or \
                 start one process"
            ))),
            _ => Ok(None),
        }
    }

    /// This process by its link to the others.
    pub fn new(link: Arc<dyn Link>) -> Self {
        let place = link.place();
        Self { link, place }
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether this is the rank that prints and writes.
    pub fn is_first(&self) -> bool {
        self.place.rank == 0
    }

    /// Checks that all ranks have the same values.
    ///
    /// # Errors
    /// On all ranks alike: names the first difference, and whose it is.
    pub fn agree(&self, values: &Value) -> anyhow::Result<()> {
        let mut first = values.to_string().into_bytes();
        self.link.broadcast(&mut first, 0);
        let first: Value = serde_json::from_slice(&first)?;
        for rank in 1..self.place.n_ranks {
            let mut own = Vec::new();
            if rank == self.place.rank
                && let Some(found) = differences(&first, values).first()
            {
                own = format!("{} = {}, rank 0 has {}", found.key, found.asked, found.stored)
                    .into_bytes();
            }
            self.link.broadcast(&mut own, rank);
            if !own.is_empty() {
                let found = String::from_utf8_lossy(&own).into_owned();
                return Err(Exit::Usage.error(format!(
                    "rank {rank} has {found}: all ranks need the same command, models, data and \
                     checkpoint"
                )));
            }
        }
        Ok(())
    }
}

impl Peers for Ranks {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn n_ranks(&self) -> usize {
        self.place.n_ranks
    }

    /// Never an error: when a rank is lost, the launcher ends the others.
    fn sum(&mut self, numbers: &mut [f32]) -> Result<(), PeerError> {
        self.link.sum(numbers);
        Ok(())
    }
}

/// How many processes a launcher has started; `None` without a launcher.
fn n_started(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let stated = NUMBER_OF_RANKS.iter().find_map(|name| variable(name)?.parse().ok());
    stated.or_else(|| {
        // Slurm's PMIx and PMI say the number of a process, and Slurm how many there are.
        variable("PMIX_RANK").or_else(|| variable("PMI_RANK"))?;
        Some(variable("SLURM_STEP_NUM_TASKS").and_then(|n| n.parse().ok()).unwrap_or(2))
    })
}

/// Leaves the job: a rank that failed ends all others, which would wait for it. Without a job it does
/// nothing.
pub fn leave(exit: Exit) {
    #[cfg(feature = "mpi")]
    mpi::leave(exit);
    #[cfg(not(feature = "mpi"))]
    let _ = exit;
}

/// The MPI library of this program; `None` when it was built without.
pub fn library() -> Option<String> {
    #[cfg(feature = "mpi")]
    return Some(mpi::library());
    #[cfg(not(feature = "mpi"))]
    None
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use serde_json::json;

    use super::*;
    use crate::exit::code_of;

    /// Threads of a test.
    struct Threads {
        rank: usize,
        slot: Arc<Mutex<Vec<u8>>>,
        barrier: Arc<Barrier>,
        n_ranks: usize,
    }

    impl Link for Threads {
        fn place(&self) -> Place {
            let Self { rank, n_ranks, .. } = *self;
            Place { rank, n_ranks, local: rank, n_local: n_ranks }
        }

        fn broadcast(&self, bytes: &mut Vec<u8>, from: usize) {
            if from == self.rank {
                self.slot.lock().unwrap().clone_from(bytes);
            }
            self.barrier.wait();
            bytes.clone_from(&self.slot.lock().unwrap());
            self.barrier.wait();
        }

        fn sum(&self, _: &mut [f32]) {}
    }

    fn agreements(values: Vec<Value>) -> Vec<anyhow::Result<()>> {
        let (n_ranks, slot) = (values.len(), Arc::default());
        let barrier = Arc::new(Barrier::new(n_ranks));
        let ranks = values.into_iter().enumerate().map(|(rank, values)| {
            let (slot, barrier) = (Arc::clone(&slot), Arc::clone(&barrier));
            let link = Threads { rank, slot, barrier, n_ranks };
            thread::spawn(move || Ranks::new(Arc::new(link)).agree(&values))
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    }

    #[test]
    fn equal_values_are_agreed_on() {
        let values = json!({"lr": 0.1_f32, "data": ["a"]});
        assert!(agreements(vec![values; 3]).iter().all(Result::is_ok));
    }

    #[test]
    fn a_difference_is_named_on_all_ranks() {
        let [first, other] =
            ["aa", "bb"].map(|hash| json!({"steps": 3, "fingerprints": {"data_sha256": [hash]}}));
        for outcome in agreements(vec![first.clone(), first, other]) {
            let error = outcome.unwrap_err();
            let sentence = error.to_string();
            let expected =
                r#"rank 2 has fingerprints.data_sha256 = ["bb"], rank 0 has ["aa"]: all"#;
            assert!(sentence.starts_with(expected), "{sentence}");
            assert_eq!(code_of(&error), Exit::Usage);
        }
    }

    #[test]
    fn the_launchers_name_is_not_asked_for_without_one() {
        assert_eq!(n_started(|_| None), None);
        assert_eq!(n_started(|name| (name == "PMI_SIZE").then(|| "4".to_owned())), Some(4));
        let slurm = |name: &str| match name {
            "PMIX_RANK" => Some("0".to_owned()),
            "SLURM_STEP_NUM_TASKS" => Some("8".to_owned()),
            _ => None,
        };
        assert_eq!(n_started(slurm), Some(8));
    }

    #[test]
    #[cfg(not(feature = "mpi"))]
    fn one_of_several_processes_without_mpi_is_refused() {
        assert!(Ranks::joined(Some(1)).unwrap().is_none());
        let error = Ranks::joined(Some(2)).err().unwrap();
        assert!(error.to_string().contains("--features mpi"), "{error}");
    }
}
