//! Data ↔ pixels along one axis, with ticks at round numbers.

use serde::{Deserialize, Serialize};

/// A linear map from `domain` to `range`; the range may be descending, as for heights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
}

/// Round numbers that cover a data range in equal steps.
///
/// Invariant: `step` is 1, 2 or 5 times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    step: f64,
    /// The first and the last tick, in steps.
    first: i64,
    last: i64,
}

/// Number format of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Fractions, as percent.
    Percent,
    /// Counts, with K, M or B.
    Count,
    Plain,
}

impl Scale {
    pub fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range }
    }

    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let (start, end) = self.range;
        if high == low {
            return (start + end) / 2.0;
        }
        start + (value - low) / (high - low) * (end - start)
    }
}

impl Steps {
    /// At most `n_steps` steps that cover `low..=high`; a single value gets a margin on both sides.
    pub fn covering(low: f64, high: f64, n_steps: usize, format: Format) -> Self {
        let (low, high) = if high > low { (low, high) } else { widened(low, format) };
        let mut step = round_up((high - low) / n_steps.max(1) as f64).max(format.least_step());
        loop {
            // A value on a tick must not add another step because of rounding.
            let first = (low / step + 1e-9).floor() as i64;
            let last = (high / step - 1e-9).ceil() as i64;
            if last - first <= n_steps.max(1) as i64 {
                return Self { step, first, last };
            }
            step = round_up(step * 1.5);
        }
    }

    /// About `n_steps` steps of which at least two ticks lie within `low..=high`, if the format allows.
    pub fn within(low: f64, high: f64, n_steps: usize, format: Format) -> Self {
        let n_inside =
            |steps: &Self| steps.ticks().filter(|tick| (low..=high).contains(tick)).take(2).count();
        // One more, since the steps at both ends are shown only in part.
        let finer =
            (n_steps + 1..=4 * n_steps).map(|n_steps| Self::covering(low, high, n_steps, format));
        let mut finer = finer.peekable();
        let usual = finer.peek().copied();
        let found = finer.find(|steps| n_inside(steps) == 2);
        found.or(usual).unwrap_or_else(|| Self::covering(low, high, n_steps, format))
    }

    pub fn domain(&self) -> (f64, f64) {
        (self.first as f64 * self.step, self.last as f64 * self.step)
    }

    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let step = self.step;
        (self.first..=self.last).map(move |tick| tick as f64 * step)
    }

    /// The ticks' labels, all with the same unit and number of decimals.
    pub fn labels(&self, format: Format) -> Vec<String> {
        let (low, high) = self.domain();
        let (factor, unit) = match format {
            Format::Percent => (100.0, " %"),
            Format::Count => count_unit(low.abs().max(high.abs())),
            Format::Plain => (1.0, ""),
        };
        let decimals = decimals_of(self.step * factor);
        self.ticks().map(|tick| format!("{:.decimals$}{unit}", tick * factor + 0.0)).collect()
    }
}

impl Format {
    /// Counts have no fractional ticks.
    fn least_step(self) -> f64 {
        match self {
            Self::Count => 1.0,
            Self::Percent | Self::Plain => 0.0,
        }
    }

    /// A single value, with about three digits.
    pub fn value(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.1} %", value * 100.0),
            Self::Count => {
                let (factor, unit) = count_unit(value.abs());
                let scaled = value * factor;
                let decimals = match scaled.abs() {
                    _ if unit.is_empty() => 0,
                    size if size < 10.0 => 2,
                    size if size < 100.0 => 1,
                    _ => 0,
                };
                format!("{scaled:.decimals$}{unit}")
            }
            Self::Plain => format!("{value:.3}"),
        }
    }
}

fn widened(value: f64, format: Format) -> (f64, f64) {
    let margin = if value == 0.0 { 1.0 } else { value.abs() * 0.1 };
    let margin = margin.max(format.least_step());
    (value - margin, value + margin)
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `size`.
fn round_up(size: f64) -> f64 {
    let power = 10_f64.powi(size.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= size * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Decimals needed to distinguish multiples of `step`.
fn decimals_of(step: f64) -> usize {
    (-(step * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 12.0) as usize
}

fn count_unit(size: f64) -> (f64, &'static str) {
    match size {
        size if size >= 999.5e6 => (1e-9, " B"),
        size if size >= 999.5e3 => (1e-6, " M"),
        size if size >= 10_000.0 => (1e-3, " K"),
        _ => (1.0, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let steps = Steps::covering(0.233, 0.71, 6, Format::Percent);
        assert_eq!(
            steps.labels(Format::Percent),
            ["20 %", "30 %", "40 %", "50 %", "60 %", "70 %", "80 %"]
        );
        let steps = Steps::covering(1.11e9, 1.66e9, 4, Format::Count);
        assert_eq!(steps.labels(Format::Count), ["1.0 B", "1.2 B", "1.4 B", "1.6 B", "1.8 B"]);
    }

    #[test]
    fn a_single_value_gets_a_margin_on_both_sides() {
        let (low, high) = Steps::covering(3.0, 3.0, 5, Format::Plain).domain();
        assert!(low < 3.0 && 3.0 < high);
    }

    #[test]
    fn a_range_between_two_round_numbers_has_ticks_inside() {
        let inside = Steps::within(266e3, 427e3, 3, Format::Count);
        let n_inside = inside.ticks().filter(|tick| (266e3..=427e3).contains(tick)).count();
        assert!(n_inside >= 2, "{:?}", inside.labels(Format::Count));
        assert_eq!(Steps::within(2.0, 2.0, 8, Format::Count).ticks().count(), 3);
    }

    #[test]
    fn counts_have_no_halves() {
        let steps = Steps::covering(5.0, 8.0, 8, Format::Count);
        assert_eq!(steps.labels(Format::Count), ["5", "6", "7", "8"]);
        assert_eq!(
            Steps::covering(2.0, 2.0, 8, Format::Count).labels(Format::Count),
            ["1", "2", "3"]
        );
    }

    #[test]
    fn a_single_value_keeps_three_digits() {
        assert_eq!(Format::Count.value(5_243_904.0), "5.24 M");
        assert_eq!(Format::Count.value(999_600.0), "1.00 M");
        assert_eq!(Format::Count.value(142.0), "142");
        assert_eq!(Format::Percent.value(0.6128), "61.3 %");
    }

    proptest! {
        #[test]
        fn ticks_cover_the_data_in_no_more_steps_than_allowed(
            low in -1e6..1e6_f64,
            span in 1e-6..1e9_f64,
            n_steps in 2..12_usize,
        ) {
            let steps = Steps::covering(low, low + span, n_steps, Format::Plain);
            let (first, last) = steps.domain();
            let slack = span * 1e-6 + low.abs() * 1e-12;
            prop_assert!(first <= low + slack && low + span <= last + slack);
            prop_assert!(steps.ticks().count() <= n_steps + 1);
            let mut labels = steps.labels(Format::Plain);
            labels.dedup();
            prop_assert_eq!(labels.len(), steps.ticks().count());
        }

        #[test]
        fn a_scale_keeps_order_and_ends(low in -1e3..1e3_f64, span in 1e-3..1e3_f64, part in 0.0..1.0_f64) {
            let scale = Scale::new((low, low + span), (300.0, 20.0));
            prop_assert!((scale.place(low) - 300.0).abs() < 1e-9);
            prop_assert!((scale.place(low + span) - 20.0).abs() < 1e-6);
            prop_assert!((20.0 - 1e-6..=300.0 + 1e-6).contains(&scale.place(low + part * span)));
        }
    }
}
