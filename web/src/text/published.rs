//! A family whose measurements come with the page, without its weights: its curve and some of the texts
//! that its sizes generated.

use std::collections::BTreeMap;

use boomerang_core::bundle::Recordings;
use boomerang_core::curve::{CurvePoint, Series, SizeCurve};
use boomerang_core::evaluate::{Perplexity, Score};
use boomerang_lessons::Facts;

use crate::text::recorded::{Shown, shown};

/// Its teacher.
pub const NAME: &str = "SmolLM2-135M-Instruct";
/// The sizes whose texts are shown: both ends, and some in between.
const N_SHOWN: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub struct PublishedFamily {
    pub curve: SizeCurve,
    /// The texts of every size after some prompts, at least one.
    pub recordings: Recordings,
}

impl PublishedFamily {
    /// From `curve.csv` and `recordings.json` in `assets/families/`; `None` unless they are such files.
    pub fn parse(csv: &str, recordings: &str) -> Option<Self> {
        let curve = curve(csv)?;
        let recordings: Recordings = serde_json::from_str(recordings).ok()?;
        let n_members = recordings.texts.first()?.members.len();
        (n_members > 0).then_some(Self { curve, recordings })
    }

    /// The texts of some sizes after the first prompt, smallest size first.
    pub fn shown(&self) -> Vec<Shown> {
        let Some(first) = self.recordings.texts.first() else { return Vec::new() };
        let last = first.members.len().saturating_sub(1);
        let mut stops: Vec<usize> =
            (0..N_SHOWN).map(|index| index * last / (N_SHOWN - 1)).collect();
        stops.dedup();
        stops.into_iter().filter_map(|stop| shown(&self.recordings, &first.prompt, stop)).collect()
    }

    /// What lessons know of it.
    pub fn facts(&self) -> Facts {
        Facts::of_results(NAME, &self.curve, &self.recordings)
    }
}

/// The columns are found by name. Points of the order of the first row alone.
fn curve(csv: &str) -> Option<SizeCurve> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next()?;
    let column = |name: &str| head.iter().position(|cell| *cell == name);
    let series = column("series")?;
    let order = column("order")?;
    let n_layers = column("n_layers")?;
    let n_params = column("n_params_tied")?;
    let [nats, stderr] = [column("nats_per_token")?, column("nats_stderr")?];
    let mut points: Vec<CurvePoint> = Vec::new();
    for line in lines {
        let cell = |index: usize| line.get(index).copied();
        let number = |index: usize| cell(index)?.parse::<f64>().ok();
        let named = |it: &Series| Some(it.name()) == cell(series);
        let perplexity = Perplexity {
            nats_per_token: number(nats)?,
            nats_stderr: number(stderr)?,
            bits_per_byte: None,
            n_tokens: 0,
        };
        points.push(CurvePoint {
            series: Series::ALL.into_iter().find(named)?,
            order: cell(order)?.to_owned(),
            seed: 0,
            n_patched: 0,
            n_layers: cell(n_layers)?.parse().ok()?,
            n_params: cell(n_params)?.parse().ok()?,
            size_bytes: 0,
            score: Score { perplexity: Some(perplexity), tasks: BTreeMap::new() },
        });
    }
    let first = points.first()?.order.clone();
    points.retain(|point| point.order == first);
    Some(SizeCurve::new(points))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = include_str!("../../../assets/families/smollm2/results/curve.csv");
    const RECORDINGS: &str =
        include_str!("../../../assets/families/smollm2/results/recordings.json");

    #[test]
    fn the_results_of_the_repository_are_shown() {
        let family = PublishedFamily::parse(CSV, RECORDINGS).unwrap();
        let sizes: Vec<usize> = family.shown().iter().map(|text| text.n_layers).collect();
        assert_eq!(sizes, [16, 20, 25, 30]);
        let stops = family.curve.stops(Series::Boomerang);
        assert_eq!([stops[0].n_layers, stops[stops.len() - 1].n_layers], [16, 30]);
        assert!(family.curve.other_orders().is_empty());
    }

    #[test]
    fn other_files_are_not_shown() {
        assert_eq!(PublishedFamily::parse("<!DOCTYPE html>", RECORDINGS), None);
        assert_eq!(PublishedFamily::parse(CSV, "<!DOCTYPE html>"), None);
        assert_eq!(PublishedFamily::parse(&CSV.replace("2.15631", "?"), RECORDINGS), None);
    }
}
