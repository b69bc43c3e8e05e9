//! Arguments that several commands share. Commands import these, and these import no command.

mod config;
mod dtype;
mod family;
mod keep;
mod levers;
mod loss;
pub mod numbers;
mod output;
mod tasks;

use clap::{Args, ValueEnum};

pub use config::ConfigArgs;
pub use dtype::{Dtype, parse_dtype};
pub use family::{FamilyArgs, OrderChoice, parse_order};
pub use keep::KeepArgs;
pub use levers::{Chosen, Demand, LeverArgs, Recompute, TeacherWeights};
pub use loss::LossArgs;
pub use output::{OutputArgs, OverwriteArgs};
pub use tasks::TaskArgs;

use crate::device::DeviceChoice;

/// Where to compute.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Correct layer alignment, averaged gradients, packed documents
    Default,
    /// The reference implementation in every detail, quirks included
    Paper,
}
