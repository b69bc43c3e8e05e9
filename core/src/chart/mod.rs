//! Charts: data → geometry → SVG.
//!
//! One pure module draws for the page, the report and the command line. [`Chart`], [`HeatMap`] and
//! [`Bars`] are the data with their texts, their geometries are the layout at a given size, and the
//! `svg.rs` next to each writes it as a standalone file or as an inline element. The page builds
//! its DOM nodes from the same geometry.

mod axes_svg;
mod bars;
mod bars_svg;
mod frame;
mod geometry;
mod heat_map;
mod heat_map_svg;
mod layers;
mod notes;
mod scale;
mod size_curve;
mod svg;

use serde::{Deserialize, Serialize};

pub use bars::{Bar, BarStyle, Bars, BarsGeometry, PlacedBar};
pub use frame::{STYLE, escape};
pub use geometry::{Geometry, LegendItem, PlacedLine, PlacedPoint, PlacedSeries, Rect, Tick};
pub use heat_map::{HeatGeometry, HeatLegend, HeatMap, PlacedCell};
pub use notes::PlacedNote;
pub use scale::{Format, Scale, Steps};
pub use size_curve::{Measure, SizeAxis, describe_series};

/// A line chart: points in named series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// The finding, as a sentence; the chart's title.
    pub title: String,
    /// Text alternative for screen readers.
    pub description: String,
    pub x: Axis,
    pub y: Axis,
    /// The first one is the chart's subject; it is drawn last, on top.
    pub series: Vec<Series>,
    pub reference: Option<Reference>,
    pub here: Option<Here>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    pub label: String,
    pub format: Format,
}

/// Points joined by a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub style: SeriesStyle,
    /// Sorted by ascending `x`.
    pub points: Vec<Point>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    /// Standard error of `y`.
    pub stderr: Option<f64>,
    /// Annotation next to the point.
    pub note: Option<String>,
}

/// Hue, marker and dash together: no meaning depends on color alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeriesStyle {
    First,
    Second,
    Third,
    Fourth,
    Fifth,
    Sixth,
    Seventh,
    Eighth,
    Ninth,
    Tenth,
    Eleventh,
    Twelfth,
}

/// What the vertical axis covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every point of every series.
    All,
    /// The first series, and what lies near it; lines that go further are cut at the plot's edge.
    Subject,
}

/// A reference level, such as chance accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub y: f64,
    pub label: String,
}

/// The "you are here" mark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Here {
    pub x: f64,
    /// `None` where nothing was measured.
    pub y: Option<f64>,
}

impl SeriesStyle {
    pub const ALL: [Self; 12] = [
        Self::First,
        Self::Second,
        Self::Third,
        Self::Fourth,
        Self::Fifth,
        Self::Sixth,
        Self::Seventh,
        Self::Eighth,
        Self::Ninth,
        Self::Tenth,
        Self::Eleventh,
        Self::Twelfth,
    ];

    /// The style of the series at an index; styles repeat after the last one.
    pub fn at(index: usize) -> Self {
        Self::ALL[index % Self::ALL.len()]
    }

    /// CSS class that sets the hue.
    pub fn class(self) -> &'static str {
        const HUES: [&str; N_HUES] =
            ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6"];
        HUES[self as usize % N_HUES]
    }

    /// `stroke-dasharray`.
    pub fn dash(self) -> &'static str {
        const DASHES: [&str; N_HUES] = ["none", "7 4", "1.5 4", "10 3 2 3", "4 2", "14 4"];
        DASHES[self.shape()]
    }

    /// Which dash and marker: from the seventh series on, hues return with those of another.
    fn shape(self) -> usize {
        let index = self as usize;
        (index + index / N_HUES) % N_HUES
    }

    /// The outline of a marker around `(x, y)`, as an SVG path.
    pub fn marker(self, x: f64, y: f64, radius: f64) -> String {
        match self.shape() {
            // Two half circles, so that every marker is a path.
            0 => format!(
                "M{left:.1} {y:.1}a{radius} {radius} 0 1 0 {width} 0a{radius} {radius} 0 1 0 -{width} 0z",
                left = x - radius,
                width = 2.0 * radius,
            ),
            1 => {
                let half = radius * 0.9;
                let (left, top, side) = (x - half, y - half, 2.0 * half);
                format!("M{left:.1} {top:.1}h{side:.1}v{side:.1}h-{side:.1}z")
            }
            2 => {
                let (half, up, down) = (radius * 1.1, radius * 1.15, radius * 0.8);
                format!(
                    "M{x:.1} {top:.1}L{right:.1} {base:.1}H{left:.1}z",
                    top = y - up,
                    right = x + half,
                    base = y + down,
                    left = x - half,
                )
            }
            // A diamond, a triangle on its tip, and a cross.
            3 => {
                let half = radius * 1.2;
                let (top, left) = (y - half, x - half);
                format!(
                    "M{x:.1} {top:.1}l{half:.1} {half:.1}l-{half:.1} {half:.1}L{left:.1} {y:.1}z"
                )
            }
            4 => {
                let (half, up, down) = (radius * 1.1, radius * 0.8, radius * 1.15);
                let (left, top, width, tip) = (x - half, y - up, 2.0 * half, y + down);
                format!("M{left:.1} {top:.1}h{width:.1}L{x:.1} {tip:.1}z")
            }
            _ => {
                let (long, arm) = (radius * 1.1, radius * 0.4);
                let (left, top, side) = (x - arm, y - long, long - arm);
                format!(
                    "M{left:.1} {top:.1}h{width:.1}v{side:.1}h{side:.1}v{width:.1}h-{side:.1}v{side:.1}\
                     h-{width:.1}v-{side:.1}h-{side:.1}v-{width:.1}h{side:.1}z",
                    width = 2.0 * arm,
                )
            }
        }
    }
}

/// Hues, dashes and markers: as many of each.
const N_HUES: usize = 6;

#[cfg(test)]
pub(in crate::chart) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(in crate::chart) fn two_series() -> Chart {
        let point = |x: f64, y: f64| Point { x, y, stderr: Some(0.02), note: None };
        let series = |name: &str, style, ys: [f64; 2]| Series {
            name: name.to_owned(),
            style,
            points: vec![point(10.0, ys[0]), point(20.0, ys[1])],
        };
        Chart {
            title: "Ours grows & theirs < ours".to_owned(),
            description: "Two lines.".to_owned(),
            x: Axis { label: "size".to_owned(), format: Format::Count },
            y: Axis { label: "accuracy".to_owned(), format: Format::Percent },
            series: vec![
                series("ours", SeriesStyle::First, [0.5, 0.7]),
                series("theirs", SeriesStyle::Second, [0.3, 0.7]),
            ],
            reference: Some(Reference { y: 0.25, label: "random guessing".to_owned() }),
            here: Some(Here { x: 20.0, y: Some(0.7) }),
        }
    }

    #[test]
    fn no_two_series_look_the_same() {
        let looks: BTreeSet<_> = SeriesStyle::ALL
            .map(|style| (style.class(), style.dash(), style.marker(0.0, 0.0, 4.0)))
            .into_iter()
            .collect();
        assert_eq!(looks.len(), SeriesStyle::ALL.len());
    }
}
