//! The size curve of a family while its student is trained: the held-out loss of a few members.

use std::cell::Cell;

use boomerang_core::distill::{Batch, Distiller};
use boomerang_core::plan::{LayerPlan, Patch, PatchOrder, PlanError};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use super::interval::Interval;

/// Which members are measured, and when.
pub struct CurveProbe {
    /// From the student to the teacher: the patch and the number of layers.
    members: Vec<(Patch, usize)>,
    interval: Interval,
    /// It never changes, so it is measured once.
    of_teacher: Cell<Option<f64>>,
}

/// The losses of some members, from the student to the teacher.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Number of layers and cross-entropy in nats/token.
    pub points: Vec<(usize, f64)>,
}

impl CurveProbe {
    /// As many as `n_sizes` members of the family, spread evenly over its sizes, measured every `every`
    /// steps and after the last.
    ///
    /// # Errors
    /// When the order does not fit the plan.
    pub fn new(
        plan: &LayerPlan,
        order: &PatchOrder,
        n_sizes: usize,
        every: usize,
    ) -> Result<Self, PlanError> {
        let path = order.path(plan)?;
        let n_sizes = n_sizes.clamp(1, path.len());
        let last = path.len() - 1;
        let indices =
            (0..n_sizes).map(|size| (size * last + (n_sizes - 1) / 2) / (n_sizes - 1).max(1));
        let members = indices.map(|index| {
            let patch = path[index].clone();
            let n_layers = plan.recipe(&patch).layers.len();
            (patch, n_layers)
        });
        Ok(Self {
            members: members.collect(),
            interval: Interval::new(every),
            of_teacher: Cell::new(None),
        })
    }

    /// Whether the curve is measured after so many of `n_total` steps.
    pub fn is_due(&self, n_steps: usize, n_total: usize) -> bool {
        self.interval.is_due(n_steps, n_total)
    }

    /// The curve of the student as it is; `None` when the teacher is not in memory.
    pub fn measure(&self, distiller: &Distiller, batches: &[Batch]) -> Option<Curve> {
        let last = self.members.len() - 1;
        let point = |(index, (patch, n_layers)): (usize, &(Patch, usize))| {
            let known = self.of_teacher.get().filter(|_| index == last);
            let loss = match known {
                Some(loss) => loss,
                None => block_on(distiller.member_loss(patch, batches))?,
            };
            if index == last {
                self.of_teacher.set(Some(loss));
            }
            Some((*n_layers, loss))
        };
        let points = self.members.iter().enumerate().map(point).collect::<Option<_>>()?;
        Some(Curve { points })
    }
}

impl Curve {
    /// The mean loss over the sizes.
    pub fn area(&self) -> f64 {
        let sum: f64 = self.points.iter().map(|(_, loss)| loss).sum();
        sum / self.points.len().max(1) as f64
    }

    /// As a line of `metrics.jsonl` has it.
    pub fn entry(&self) -> Value {
        let point = |(layers, loss): &(usize, f64)| json!({"layers": layers, "loss": loss});
        self.points.iter().map(point).collect()
    }

    /// In a sentence.
    pub fn describe(&self) -> String {
        let points = self.points.iter().map(|(layers, loss)| format!("{loss:.3} ({layers})"));
        format!("loss by layers {}, mean {:.4}", points.collect::<Vec<_>>().join(", "), self.area())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(n_sizes: usize) -> Vec<usize> {
        // Five student layers of a teacher of 12: sizes 5, 7, 9, 11 and 12.
        let plan = LayerPlan::keep(&[0, 3, 6, 9, 11], 12).unwrap();
        let probe = CurveProbe::new(&plan, &PatchOrder::First, n_sizes, 10).unwrap();
        probe.members.iter().map(|(_, n_layers)| *n_layers).collect()
    }

    #[test]
    fn members_are_spread_evenly_from_the_student_to_the_teacher() {
        let all = sizes(99);
        assert_eq!((all.first(), all.last()), (Some(&5), Some(&12)));
        assert_eq!(sizes(2), [5, 12]);
        let three = sizes(3);
        assert_eq!((three.len(), three[0], three[2]), (3, 5, 12));
        assert!(three[1] > 5 && three[1] < 12, "{three:?}");
    }

    #[test]
    fn the_area_is_the_mean_loss_over_the_sizes() {
        let curve = Curve { points: vec![(5, 3.0), (7, 2.5), (12, 2.0)] };
        assert_eq!(curve.area(), 2.5);
        assert_eq!(curve.entry()[1], json!({"layers": 7, "loss": 2.5}));
    }
}
