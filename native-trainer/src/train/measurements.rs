//! What is measured of a run while it trains.

use boomerang_core::distill::{Distiller, TeacherError};
use serde_json::{Value, json};

use super::best::BestSettings;
use super::curve::CurveProbe;
use super::held_out::{self, HeldOut};
use super::status::Status;
use crate::progress::note;

/// What is measured on the held-out sequences, and what follows from it.
pub struct Measurements {
    pub held_out: HeldOut,
    pub curve: Option<CurveProbe>,
    pub best: BestSettings,
}

impl Measurements {
    /// Measures what is due after so many of `n_total` steps; adds it to the line of the last step, and
    /// to what is shown.
    ///
    /// # Errors
    /// When the teacher cannot be read.
    pub fn after_step(
        &self,
        distiller: &Distiller,
        n_total: usize,
        line: &mut Value,
        status: &mut Status,
    ) -> Result<(), TeacherError> {
        let step = distiller.n_steps();
        if self.held_out.is_due(step, n_total) {
            let terms = self.held_out.measure(distiller)?;
            line["held_out"] = held_out::entry(&terms);
            status.held_out(terms.total);
            note(&format!("step {step}: held-out loss {:.4}", terms.total));
        }
        let due = self.curve.as_ref().filter(|curve| curve.is_due(step, n_total));
        if let Some(curve) = due.and_then(|probe| probe.measure(distiller, self.held_out.batches()))
        {
            line["curve"] = curve.entry();
            line["curve_area"] = json!(curve.area());
            status.curve_area(curve.area());
            note(&format!("step {step}: {}", curve.describe()));
        }
        Ok(())
    }
}
