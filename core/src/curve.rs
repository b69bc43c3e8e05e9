//! Model size against quality: one point per member of a series.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::evaluate::Score;

/// The size curve of a family, together with its baselines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeCurve {
    /// Version of this format.
    pub version: u32,
    pub points: Vec<CurvePoint>,
}

/// One model, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub series: Series,
    /// Name of the patch order: `first`, `last`, or the layers that a search found (`3-0-2-1`).
    pub order: String,
    /// Seed of the distillation run.
    pub seed: u64,
    /// Number of patched student layers.
    pub n_patched: usize,
    pub n_layers: usize,
    pub n_params: u64,
    /// Size of the weights as stored.
    pub size_bytes: u64,
    pub score: Score,
}

/// Which method produced a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Series {
    /// The distilled student, patched with teacher layers.
    Boomerang,
    /// Naive layer pruning: teacher layers removed, no training.
    Naive,
    /// A randomly initialized student, distilled with the same budget and patched.
    Random,
}

impl Series {
    pub const ALL: [Self; 3] = [Self::Boomerang, Self::Naive, Self::Random];

    pub fn name(self) -> &'static str {
        match self {
            Self::Boomerang => "boomerang",
            Self::Naive => "naive",
            Self::Random => "random",
        }
    }
}

/// The points of one series and size, aggregated over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveStop {
    pub n_patched: usize,
    pub n_layers: usize,
    pub n_params: u64,
    pub size_bytes: u64,
    /// Nats/token.
    pub nats: Option<Estimate>,
    /// Mean accuracy over tasks.
    pub accuracy: Option<Estimate>,
}

impl SizeCurve {
    pub const VERSION: u32 = 1;
    /// How the name of an order ends whose points were measured on the machine that shows the curve.
    pub const ON_THIS_DEVICE: &str = "on this device";

    pub fn new(points: Vec<CurvePoint>) -> Self {
        Self { version: Self::VERSION, points }
    }

    /// The order of patching that the curve is about: that of its first point.
    pub fn order(&self) -> Option<&str> {
        self.points.first().map(|point| &*point.order)
    }

    /// The orders that were measured beside it, each once.
    pub fn other_orders(&self) -> Vec<&str> {
        let mut orders = Vec::new();
        for point in &self.points {
            if Some(&*point.order) != self.order() && !orders.contains(&&*point.order) {
                orders.push(&*point.order);
            }
        }
        orders
    }

    /// The curve without the orders that were measured beside its own.
    pub fn in_own_order(&self) -> Self {
        let is_own = |point: &&CurvePoint| Some(&*point.order) == self.order();
        Self { version: self.version, points: self.points.iter().filter(is_own).cloned().collect() }
    }

    /// The stops of a series in the curve's order, from the smallest to the largest, averaged over
    /// seeds.
    pub fn stops(&self, series: Series) -> Vec<CurveStop> {
        self.order().map_or_else(Vec::new, |order| self.stops_in(series, order))
    }

    /// As [`SizeCurve::stops`], in one of the orders.
    pub fn stops_in(&self, series: Series, order: &str) -> Vec<CurveStop> {
        let points =
            || self.points.iter().filter(|point| point.series == series && point.order == order);
        let mut sizes: Vec<(usize, usize)> =
            points().map(|point| (point.n_layers, point.n_patched)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
            .into_iter()
            .filter_map(|size| {
                let points: Vec<&CurvePoint> =
                    points().filter(|point| (point.n_layers, point.n_patched) == size).collect();
                CurveStop::of(&points)
            })
            .collect()
    }

    /// `curve.csv`: one row per point; empty cells where nothing was measured.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from(
            "series,order,n_patched,n_layers,n_params,size_bytes,perplexity,accuracy,\
             accuracy_stderr,seed,nats_per_token,nats_stderr,bits_per_byte\n",
        );
        for point in &self.points {
            let perplexity = point.score.perplexity;
            let accuracy = point.score.mean_accuracy();
            let number = |value: Option<f64>| {
                value.filter(|value| value.is_finite()).map(|value| format!("{value:.6}"))
            };
            let cells = [
                Some(point.series.name().to_owned()),
                Some(point.order.clone()),
                Some(point.n_patched.to_string()),
                Some(point.n_layers.to_string()),
                Some(point.n_params.to_string()),
                Some(point.size_bytes.to_string()),
                number(perplexity.map(|perplexity| perplexity.perplexity())),
                number(accuracy.map(|accuracy| accuracy.0)),
                number(accuracy.map(|accuracy| accuracy.1)),
                Some(point.seed.to_string()),
                number(perplexity.map(|perplexity| perplexity.nats_per_token)),
                number(perplexity.map(|perplexity| perplexity.nats_stderr)),
                number(perplexity.and_then(|perplexity| perplexity.bits_per_byte)),
            ];
            let cells = cells.map(Option::unwrap_or_default).join(",");
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{cells}");
        }
        csv
    }
}

impl CurveStop {
    fn of(points: &[&CurvePoint]) -> Option<Self> {
        let first = points.first()?;
        let nats = points
            .iter()
            .filter_map(|point| point.score.perplexity)
            .map(|perplexity| (perplexity.nats_per_token, perplexity.nats_stderr));
        let accuracy = points.iter().filter_map(|point| point.score.mean_accuracy());
        Some(Self {
            n_patched: first.n_patched,
            n_layers: first.n_layers,
            n_params: first.n_params,
            size_bytes: first.size_bytes,
            nats: Estimate::over_seeds(&nats.collect::<Vec<_>>()),
            accuracy: Estimate::over_seeds(&accuracy.collect::<Vec<_>>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::evaluate::Perplexity;

    fn point(n_layers: usize, seed: u64, nats: f64) -> CurvePoint {
        let perplexity = Perplexity {
            nats_per_token: nats,
            nats_stderr: 0.0,
            bits_per_byte: Some(1.0),
            n_tokens: 10,
        };
        CurvePoint {
            series: Series::Boomerang,
            order: "first".to_owned(),
            seed,
            n_patched: 0,
            n_layers,
            n_params: 100,
            size_bytes: 200,
            score: Score { perplexity: Some(perplexity), tasks: BTreeMap::new() },
        }
    }

    #[test]
    fn seeds_of_one_size_are_averaged() {
        let curve = SizeCurve::new(vec![point(4, 0, 1.0), point(3, 0, 2.0), point(3, 1, 4.0)]);
        let stops = curve.stops(Series::Boomerang);
        assert_eq!(stops.iter().map(|stop| stop.n_layers).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(stops[0].nats, Some(Estimate { mean: 3.0, stderr: 1.0 }));
    }

    #[test]
    fn each_order_has_stops_of_its_own() {
        let other = CurvePoint { order: "last".to_owned(), ..point(3, 0, 9.0) };
        let curve = SizeCurve::new(vec![point(3, 0, 1.0), other]);
        assert_eq!((curve.order(), curve.other_orders()), (Some("first"), vec!["last"]));
        assert_eq!(curve.in_own_order(), SizeCurve::new(vec![point(3, 0, 1.0)]));
        let nats = |stops: Vec<CurveStop>| stops[0].nats.unwrap().mean;
        assert_eq!(nats(curve.stops(Series::Boomerang)), 1.0);
        assert_eq!(nats(curve.stops_in(Series::Boomerang, "last")), 9.0);
    }

    #[test]
    fn a_missing_score_is_an_empty_cell() {
        let csv = SizeCurve::new(vec![point(3, 0, 0.0)]).to_csv();
        let row = csv.lines().nth(1).unwrap();
        assert!(row.starts_with("boomerang,first,0,3,100,200,1.000000,,,0,"), "{row}");
    }
}
