//! Ranks through MPI.
//!
//! Only the thread that joined calls MPI. An error of MPI ends the program, as its standard has it.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Root as _};

use super::{Link, Place};
use crate::exit::Exit;

/// MPI between its start and its end.
static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

/// Elements of one message: MPI counts in 32 bits, and its buffers stay small.
const PER_MESSAGE: usize = 1 << 24;

/// All ranks of the job.
pub(super) struct World {
    place: Place,
}

impl World {
    /// # Errors
    /// When MPI was started before and has ended.
    pub(super) fn join() -> anyhow::Result<Self> {
        let mut universe = UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner);
        if universe.is_none() {
            let (started, _) = mpi::initialize_with_threading(Threading::Funneled)
                .context("MPI cannot be started a second time")?;
            *universe = Some(started);
        }
        let world = SimpleCommunicator::world();
        let machine = world.split_shared(world.rank());
        let [rank, n_ranks] = [world.rank(), world.size()].map(|number| number as usize);
        let [local, n_local] = [machine.rank(), machine.size()].map(|number| number as usize);
        Ok(Self { place: Place { rank, n_ranks, local, n_local } })
    }
}

impl Link for World {
    fn place(&self) -> Place {
        self.place
    }

    fn broadcast(&self, bytes: &mut Vec<u8>, from: usize) {
        let world = SimpleCommunicator::world();
        let root = world.process_at_rank(from as i32);
        let mut len = bytes.len() as u64;
        root.broadcast_into(&mut len);
        bytes.resize(len as usize, 0);
        for piece in bytes.chunks_mut(PER_MESSAGE) {
            root.broadcast_into(piece);
        }
    }

    fn sum(&self, numbers: &mut [f32]) {
        let world = SimpleCommunicator::world();
        let root = world.process_at_rank(0);
        let mut given = Vec::new();
        for piece in numbers.chunks_mut(PER_MESSAGE) {
            given.clear();
            given.extend_from_slice(piece);
            // MPI does not promise the same bits to all in an all-reduce.
            match self.place.rank {
                0 => root.reduce_into_root(&given[..], piece, SystemOperation::sum()),
                _ => root.reduce_into(&given[..], SystemOperation::sum()),
            }
            root.broadcast_into(piece);
        }
    }
}

/// Ends MPI; a rank that failed ends the whole job.
pub(super) fn leave(exit: Exit) {
    let universe = UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if universe.is_some() && exit != Exit::Success {
        SimpleCommunicator::world().abort(i32::from(exit.code()));
    }
}

/// Its name and version.
pub(super) fn library() -> String {
    let text = mpi::environment::library_version().unwrap_or_default();
    text.trim_end_matches('\0').split(',').next().unwrap_or_default().trim().to_owned()
}
