//! Distillation: one training step of a student against its frozen teacher.
//!
//! What a step is stands here, so that a test and the page can take one; how many, when to save
//! and what to print is left to the doors. What takes steps needs the feature `distill`; a door that
//! only runs models leaves it out and is smaller. Losses, batches, settings and reports are there
//! without it.

mod batch;
#[cfg(feature = "distill")]
mod distiller;
#[cfg(all(test, feature = "flex"))]
mod gradient_tests;
#[cfg(feature = "distill")]
mod head;
mod levers;
pub mod loss;
#[cfg(feature = "distill")]
mod loss_scale;
mod memory;
#[cfg(feature = "distill")]
mod micro_batch;
#[cfg(all(feature = "distill", feature = "flex"))]
mod mixed_tests;
#[cfg(feature = "distill")]
mod moments;
mod order;
#[cfg(feature = "distill")]
mod part;
#[cfg(feature = "distill")]
mod passes;
#[cfg(feature = "distill")]
mod patched;
#[cfg(feature = "distill")]
mod peers;
#[cfg(feature = "distill")]
mod pending;
mod prepared;
#[cfg(feature = "distill")]
mod pretrain;
mod report;
mod rows;
mod schedule;
mod settings;
mod stochastic;
#[cfg(feature = "distill")]
mod teacher;
#[cfg(test)]
#[cfg(all(feature = "distill", feature = "flex"))]
mod testing;
mod texts;
#[cfg(feature = "distill")]
mod update;

pub use batch::{Batch, BatchTensors, Labels, Layout, Row};
#[cfg(feature = "distill")]
pub use distiller::{Distiller, StepError};
pub use levers::{Levers, MixedPrecision};
pub use loss::LossTerms;
pub use memory::{Buffer, StepMemory, StepShape, step_flops};
#[cfg(feature = "distill")]
pub use moments::OptimizerStateError;
#[cfg(feature = "distill")]
pub use peers::{PeerError, Peers};
pub use prepared::{PreparedRows, RowShape, Shard, TokenWidth};
#[cfg(feature = "distill")]
pub use pretrain::{Initialization, Pretrainer};
pub use report::StepReport;
pub use rows::{RowError, RowSource, Rows};
pub use schedule::{Decay, Schedule};
pub use settings::{DecayRule, DistillSettings, Part, Reduction, UpdateSettings};
pub use stochastic::{LayerDrop, StochasticPatching};
#[cfg(feature = "distill")]
pub use teacher::{TeacherError, TeacherSource};
pub use texts::{Packer, TextRows, TooShort};
