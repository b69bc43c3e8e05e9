//! The results on this machine: in words, as files and as a report.

mod check;
mod here;
mod measured;
mod report;

use boomerang_engine::messages::CheckedMember;
use leptos::prelude::RwSignal;

pub use check::{disagreement, finding as check_finding, small};
pub use here::{MeasuredHere, with_measured};
pub use measured::{MeasuredSize, accuracy, chance, chart, csv, finding as measured_finding};
pub use report::{Report, memory, share, to_markdown};

use crate::browser::machine::Machine;
use crate::state::request_status::RequestStatus;

/// The results of the view; they outlive it, so that they are still there when the user returns.
#[derive(Clone, Copy)]
pub struct DeviceState {
    pub machine: RwSignal<Option<Machine>>,
    pub checks: RwSignal<Vec<CheckedMember>>,
    pub check_status: RwSignal<RequestStatus>,
    /// Smallest size first.
    pub sizes: RwSignal<Vec<MeasuredSize>>,
    pub measure_status: RwSignal<RequestStatus>,
}

impl DeviceState {
    pub fn new() -> Self {
        Self {
            machine: RwSignal::new(None),
            checks: RwSignal::new(Vec::new()),
            check_status: RwSignal::new(RequestStatus::NotStarted),
            sizes: RwSignal::new(Vec::new()),
            measure_status: RwSignal::new(RequestStatus::NotStarted),
        }
    }
}

impl Default for DeviceState {
    fn default() -> Self {
        Self::new()
    }
}
