//! What this machine has, computes and takes: in words, as files and as a report.

mod check;
mod measured;
mod report;

use boomerang_engine::messages::CheckedMember;
use leptos::prelude::RwSignal;

pub use check::{disagreement, finding as check_finding, small};
pub use measured::{MeasuredSize, accuracy, chart, csv, finding as measured_finding};
pub use report::{Report, memory, share, to_markdown};

use crate::browser::machine::Machine;
use crate::state::request_status::Asked;

/// What the view has found; it outlives the view, so that a reader who comes back finds it again.
#[derive(Clone, Copy)]
pub struct DeviceState {
    pub machine: RwSignal<Option<Machine>>,
    pub checks: RwSignal<Vec<CheckedMember>>,
    pub checked: RwSignal<Asked>,
    /// Smallest size first.
    pub sizes: RwSignal<Vec<MeasuredSize>>,
    pub measured: RwSignal<Asked>,
}

impl DeviceState {
    pub fn new() -> Self {
        Self {
            machine: RwSignal::new(None),
            checks: RwSignal::new(Vec::new()),
            checked: RwSignal::new(Asked::NotYet),
            sizes: RwSignal::new(Vec::new()),
            measured: RwSignal::new(Asked::NotYet),
        }
    }
}

impl Default for DeviceState {
    fn default() -> Self {
        Self::new()
    }
}
