//! Arguments that several commands share. Commands import these, and these import no command.

mod config;
mod dtype;
mod family;
mod keep;
mod levers;
mod loss;
pub mod numbers;
mod output;
mod preset;
mod tasks;
mod weights;

use clap::Args;

pub use config::ConfigArgs;
pub use dtype::{Dtype, parse_dtype};
pub use family::{FamilyArgs, OrderChoice, parse_order};
pub use keep::KeepArgs;
pub use levers::{Chosen, Demand, LeverArgs, Recompute, TeacherWeights};
pub use loss::LossArgs;
pub use output::{OutputArgs, OverwriteArgs};
pub use preset::{Preset, with_presets};
pub use tasks::TaskArgs;
pub use weights::{WeightArgs, WeightChoice};

use crate::device::DeviceChoice;

/// Where to compute.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
}
