//! What was measured on this machine as points of the curve, beside those of the bundle.

use std::collections::BTreeMap;

use boomerang_core::curve::{CurvePoint, CurveStop, Series, SizeCurve};
use boomerang_core::estimate::Estimate;
use boomerang_core::evaluate::{Accuracy, Score};
use boomerang_core::plan::Patch;
use boomerang_engine::messages::MeasuredMember;

use super::accuracy;
use crate::family::{FamilyCard, MemberSize};

/// A member and its accuracy on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredHere {
    pub patch: Patch,
    pub size: MemberSize,
    pub measured: MeasuredMember,
    /// Of guessing, mean over the questions.
    pub chance: f64,
}

impl MeasuredHere {
    /// Adds it to others, in place of an earlier measurement of the same member.
    pub fn put_into(self, others: &mut Vec<Self>) {
        others.retain(|other| other.patch != self.patch);
        others.push(self);
    }

    fn score(&self) -> Option<Accuracy> {
        let (acc, stderr) = accuracy(&self.measured)?;
        let stderr = stderr.unwrap_or(f64::NAN);
        Some(Accuracy {
            acc,
            acc_norm: acc,
            acc_stderr: stderr,
            acc_norm_stderr: stderr,
            n_questions: self.measured.n_questions,
            chance: self.chance,
        })
    }

    /// The point of a curve for one size.
    pub fn stop(&self) -> CurveStop {
        let accuracy = self.score().map(|it| Estimate { mean: it.acc, stderr: it.acc_stderr });
        CurveStop {
            n_patched: self.patch.layers().len(),
            n_layers: self.size.n_layers,
            n_params: self.size.n_params,
            size_bytes: self.size.n_bytes,
            nats: None,
            accuracy,
        }
    }
}

/// The bundle's curve and what was measured here: the sizes on the dial in one line, each other set of
/// blocks by itself.
pub fn with_measured(family: &FamilyCard, measured: &[MeasuredHere]) -> SizeCurve {
    let bundle = &family.manifest().curve;
    let points = measured.iter().filter_map(|it| {
        let order = match family.stop_of(&it.patch) {
            Some(_) => SizeCurve::ON_THIS_DEVICE.to_owned(),
            None => format!("{} {}", set_name(&it.patch), SizeCurve::ON_THIS_DEVICE),
        };
        let tasks = BTreeMap::from([("questions".to_owned(), it.score()?)]);
        Some(CurvePoint {
            series: Series::Boomerang,
            order,
            seed: 0,
            n_patched: it.patch.layers().len(),
            n_layers: it.size.n_layers,
            n_params: it.size.n_params,
            size_bytes: it.size.n_bytes,
            score: Score { perplexity: None, tasks },
        })
    });
    let mut points: Vec<CurvePoint> = bundle.points.iter().cloned().chain(points).collect();
    // The sizes on the dial are the curve, where the bundle has none.
    points.sort_by_key(|point| is_set(&point.order));
    SizeCurve { points, ..bundle.clone() }
}

/// `set 1-4`, by the student layers that are replaced.
fn set_name(patch: &Patch) -> String {
    let layers: Vec<String> = patch.layers().iter().map(usize::to_string).collect();
    format!("set {}", layers.join("-"))
}

/// Whether an order is that of a single set of blocks, measured here.
fn is_set(order: &str) -> bool {
    order.starts_with("set ") && order.ends_with(SizeCurve::ON_THIS_DEVICE)
}

#[cfg(test)]
mod tests {
    use boomerang_core::chart::{Measure, SizeAxis};
    use boomerang_core::checkpoint::Precision;

    use super::super::measured::tests::sizes;
    use super::*;
    use boomerang_client::testing::{card, family};

    fn here(card: &FamilyCard, patch: Patch) -> MeasuredHere {
        let (size, measured) = (card.size(&patch), sizes()[0].measured);
        MeasuredHere { patch, size, measured, chance: 0.25 }
    }

    #[test]
    fn a_family_without_measurements_gets_the_curve_of_this_device() {
        let card = card(&family(true), Precision::F32);
        let set = Patch::of(&[0], &card.manifest().plan).unwrap();
        let mut measured = vec![here(&card, set)];
        measured.extend(card.path().iter().cloned().map(|patch| here(&card, patch)));
        let curve = with_measured(&card, &measured);
        assert_eq!(curve.order(), Some(SizeCurve::ON_THIS_DEVICE));
        assert_eq!(curve.other_orders(), ["set 0 on this device"]);
        let chart = curve.chart(SizeAxis::Layers, Measure::Accuracy).unwrap();
        let names: Vec<&str> = chart.series.iter().map(|series| &*series.name).collect();
        assert_eq!(names, ["Boomerang", "Boomerang, set 0 on this device"]);
        assert_eq!(chart.series[0].points.len(), card.path().len());
    }

    #[test]
    fn a_second_measurement_replaces_the_first() {
        let card = card(&family(true), Precision::F32);
        let mut measured = Vec::new();
        for _ in 0..2 {
            here(&card, card.path()[0].clone()).put_into(&mut measured);
        }
        assert_eq!(measured.len(), 1);
        let accuracy = measured[0].stop().accuracy.unwrap();
        assert!((accuracy.mean - 0.4).abs() < 1e-9 && accuracy.stderr > 0.0);
    }
}
