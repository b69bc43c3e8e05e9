//! The students of a run at its start, one on each device, and their steps.

use std::thread;

use boomerang_core::distill::{DistillSettings, Distiller, Levers, Rows, StepError};
use burn::tensor::Device;
use serde_json::Value;

use super::DistillArgs;
use super::models::{Models, distiller};
use crate::device::ChosenDevice;
use crate::exit::{Exit, OrExit as _};
use crate::train::interrupt::Interrupt;
use crate::train::ranks::Ranks;
use crate::train::replicas::{ThreadPeer, follow};
use crate::train::rollback::Rollback;
use crate::train::run::{Ending, LoopSettings};
use crate::train::run_folder::{Saved, State};

/// What a student starts from.
pub(super) struct Start<'a> {
    pub(super) args: &'a DistillArgs,
    pub(super) models: &'a Models,
    pub(super) settings: DistillSettings,
    pub(super) levers: Levers,
    /// The checkpoint to resume from.
    pub(super) saved: Option<Saved>,
    /// The processes that share the steps.
    pub(super) ranks: Option<&'a Ranks>,
}

impl Start<'_> {
    /// The progress at the start.
    pub(super) fn state(&self) -> State {
        self.saved.as_ref().map_or_else(State::default, |saved| saved.state)
    }

    /// The metrics of the steps before.
    fn metrics(&self) -> &str {
        self.saved.as_ref().map_or("", |saved| &saved.metrics)
    }

    /// Runs `train` with the student on the first device, while replicas on the others take its steps;
    /// returns what it gave, with the student.
    ///
    /// # Errors
    /// When weights cannot be read, and those of `train` and of the replicas.
    pub(super) fn on_all(
        &self,
        devices: &[ChosenDevice],
        rows: &Rows,
        settings: LoopSettings,
        train: impl FnOnce(&mut Distiller) -> anyhow::Result<Ending>,
    ) -> anyhow::Result<(Ending, Distiller)> {
        if let [device] = devices {
            let mut distiller = self.replica(&device.device)?;
            let ending = train(&mut distiller)?;
            return Ok((ending, distiller.without_peers()));
        }
        thread::scope(|scope| {
            let mut peers = ThreadPeer::all(devices.len()).into_iter().zip(devices);
            let first = peers.next();
            let others: Vec<_> = peers
                .map(|(peer, device)| {
                    scope.spawn(move || {
                        let replica = self.distiller(&device.device)?;
                        let mut replica = replica.with_peers(Box::new(peer));
                        let rollback = self.rollback(&device.device);
                        let before = (self.state(), self.metrics());
                        let interrupt = Interrupt::default();
                        follow(&mut replica, rows, settings, before, &rollback, &interrupt)
                    })
                })
                .collect();
            let outcome = first.map(|(peer, device)| {
                let distiller = self.distiller(&device.device)?;
                let mut distiller = distiller.with_peers(Box::new(peer));
                let ending = train(&mut distiller)?;
                // Ends the others, which would wait for its next step.
                Ok((ending, distiller.without_peers()))
            });
            // Only the replica that failed reports the cause; the others report that it stopped.
            let of_others = others.into_iter().map(|other| {
                other.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a replica has stopped")))
            });
            let failure = of_others.filter_map(Result::err).find(|error| !is_of_a_peer(error));
            match (outcome, failure) {
                (Some(Err(error)), Some(failure)) if is_of_a_peer(&error) => {
                    Err(failure.context(error))
                }
                (Some(outcome), _) => outcome,
                (None, _) => Err(anyhow::anyhow!("no device to train on")),
            }
        })
    }

    /// Takes the steps of a rank that is not the first.
    ///
    /// # Errors
    /// When weights cannot be read, or a step cannot be taken.
    pub(super) fn follow(
        &self,
        device: &Device,
        rows: &Rows,
        settings: LoopSettings,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        let rollback = self.rollback(device);
        let before = (self.state(), self.metrics());
        follow(&mut self.replica(device)?, rows, settings, before, &rollback, interrupt)
    }

    /// How the student on a device goes back to a checkpoint.
    pub(super) fn rollback<'a>(&'a self, device: &'a Device) -> Rollback<'a> {
        let student = Box::new(|saved: &Saved| self.models.saved_student(saved, device));
        Rollback { run: &self.args.out, student, ranks: self.ranks }
    }

    /// The student on a device, among those of the other ranks if there are any.
    ///
    /// # Errors
    /// When weights or a checkpoint cannot be read, or another rank starts from another one.
    pub(super) fn replica(&self, device: &Device) -> anyhow::Result<Distiller> {
        let distiller = self.distiller(device)?;
        let Some(ranks) = self.ranks else { return Ok(distiller) };
        ranks.agree(&self.saved.as_ref().map_or_else(Value::default, Saved::fingerprint))?;
        Ok(distiller.with_peers(Box::new(ranks.clone())))
    }

    /// The student on a device, with its teacher.
    ///
    /// # Errors
    /// When weights or a checkpoint cannot be read.
    fn distiller(&self, device: &Device) -> anyhow::Result<Distiller> {
        let Self { args, models, settings, levers, saved, .. } = self;
        let settings = settings.clone();
        let Some(saved) = saved else {
            return distiller(args, models.read(args, levers, device)?, settings, 0, *levers);
        };
        let student = models.saved_student(saved, device)?;
        let teacher = models.read_teacher(levers, device)?;
        let mut settings = settings;
        settings.update.schedule.peak *= saved.state.rolled_back.rate();
        distiller(args, (teacher, student), settings, saved.state.step, *levers)?
            .with_optimizer_state(&saved.optimizer)
            .or_exit(Exit::Unusable)
    }
}

/// Whether an error only says that another replica has stopped.
fn is_of_a_peer(error: &anyhow::Error) -> bool {
    let is_peers = |error: &StepError| matches!(error, StepError::Peer(_));
    error.chain().any(|cause| cause.downcast_ref::<StepError>().is_some_and(is_peers))
}
