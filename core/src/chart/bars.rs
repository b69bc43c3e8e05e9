//! Bar chart: data and geometry.

use serde::{Deserialize, Serialize};

use super::Axis;
use super::geometry::{FONT_SIZE, LegendItem, Rect, Tick, text_width};
use super::scale::{Scale, Steps};

/// Labeled values, drawn from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bars {
    /// The finding, as a sentence; the chart's title.
    pub title: String,
    /// Text alternative for screen readers.
    pub description: String,
    /// Title of the horizontal axis.
    pub x_label: String,
    pub y: Axis,
    pub bars: Vec<Bar>,
    /// Meaning of each style; empty if there is only one.
    pub legend: Vec<(BarStyle, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    pub label: String,
    pub value: f64,
    pub style: BarStyle,
}

/// Hue, fill and outline together: no meaning depends on color alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BarStyle {
    Solid,
    Dashed,
}

/// Layout of a bar chart, in pixels from the top left corner.
#[derive(Clone, Debug, PartialEq)]
pub struct BarsGeometry {
    pub width: f64,
    pub height: f64,
    pub plot: Rect,
    /// One per bar, in the order of the data.
    pub bars: Vec<PlacedBar>,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// Vertical position of 0.
    pub zero: f64,
    pub y_label_at: f64,
    /// Left edge and vertical center of each legend sample.
    pub legend: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlacedBar {
    pub rect: Rect,
    /// The value, if it fits above the bar.
    pub text: Option<String>,
}

const ROW: f64 = 24.0;
const SMALL_FONT_SIZE: f64 = 11.0;
/// Size of a legend's sample.
pub(super) const SAMPLE: f64 = 14.0;

impl BarStyle {
    /// CSS class that sets the hue.
    pub fn class(self) -> &'static str {
        match self {
            Self::Solid => "bar",
            Self::Dashed => "bar-2",
        }
    }
}

impl Bars {
    /// Computes the layout; `width` should be 240 or more, `height` 160 or more.
    pub fn geometry(&self, width: f64, height: f64) -> BarsGeometry {
        let values = self.bars.iter().map(|bar| bar.value).filter(|value| value.is_finite());
        let (low, high) = values
            .fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
        let high = if high > low { high } else { low + 1.0 };
        let n_steps = (height / 50.0).clamp(2.0, 6.0) as usize;
        let steps = Steps::covering(low, high, n_steps, self.y.format);
        let labels = steps.labels(self.y.format);
        let label_width = labels.iter().map(|label| text_width(label)).fold(0.0, f64::max);
        let legend_height = if self.legend.is_empty() { 0.0 } else { ROW };
        let plot = Rect {
            left: (label_width + 12.0).round().min(width / 2.0),
            // Space for the axis title and for a value above the highest bar.
            top: legend_height + FONT_SIZE + 26.0,
            right: width - 16.0,
            bottom: height - 2.0 * ROW,
        };
        let scale = Scale::new(steps.domain(), (plot.bottom, plot.top));
        let slot = (plot.right - plot.left) / self.bars.len().max(1) as f64;
        let gap = (slot * 0.2).min(12.0);
        let zero = scale.place(0.0);
        let bars = self.bars.iter().enumerate().map(|(index, bar)| {
            let left = plot.left + slot * index as f64 + gap / 2.0;
            let value = scale.place(if bar.value.is_finite() { bar.value } else { 0.0 });
            let text = self.y.format.value(bar.value);
            let fits = text.chars().count() as f64 * SMALL_FONT_SIZE * 0.56 <= slot - 2.0;
            PlacedBar {
                rect: Rect {
                    left,
                    top: value.min(zero),
                    right: left + slot - gap,
                    bottom: value.max(zero),
                },
                text: fits.then_some(text),
            }
        });
        let name_width = self.bars.iter().map(|bar| text_width(&bar.label)).fold(0.0, f64::max);
        let every = ((name_width + 6.0) / slot).ceil().max(1.0) as usize;
        let x_ticks = self.bars.iter().enumerate().step_by(every).map(|(index, bar)| Tick {
            at: plot.left + slot * (index as f64 + 0.5),
            label: bar.label.clone(),
        });
        let y_ticks = steps.ticks().zip(labels);
        let mut x = 0.0;
        let legend = self.legend.iter().map(|(_, name)| {
            let at = (x, ROW / 2.0);
            x += SAMPLE + LegendItem::GAP + text_width(name) + 20.0;
            at
        });
        BarsGeometry {
            width,
            height,
            plot,
            bars: bars.collect(),
            x_ticks: x_ticks.collect(),
            y_ticks: y_ticks.map(|(at, label)| Tick { at: scale.place(at), label }).collect(),
            zero,
            y_label_at: legend_height + FONT_SIZE,
            legend: legend.collect(),
        }
    }
}

#[cfg(test)]
pub(in crate::chart) mod tests {
    use super::super::Format;
    use super::*;

    pub(in crate::chart) fn bars(values: &[f64]) -> Bars {
        let bar = |(index, &value): (usize, &f64)| Bar {
            label: index.to_string(),
            value,
            style: if index % 2 == 0 { BarStyle::Solid } else { BarStyle::Dashed },
        };
        Bars {
            title: "Layer <1> changes most".to_owned(),
            description: "Block influence.".to_owned(),
            x_label: "teacher layer".to_owned(),
            y: Axis { label: "block influence".to_owned(), format: Format::Plain },
            bars: values.iter().enumerate().map(bar).collect(),
            legend: vec![
                (BarStyle::Solid, "kept".to_owned()),
                (BarStyle::Dashed, "dropped".to_owned()),
            ],
        }
    }

    #[test]
    fn bars_stand_on_zero_inside_the_plot() {
        for values in [&[0.1, 0.5][..], &[-0.2, 0.3], &[0.0], &[f64::NAN], &[]] {
            let geometry = bars(values).geometry(480.0, 240.0);
            for (bar, value) in geometry.bars.iter().zip(values) {
                let foot = if *value < 0.0 { bar.rect.top } else { bar.rect.bottom };
                assert!((foot - geometry.zero).abs() < 1e-9);
                assert!(geometry.plot.top <= bar.rect.top);
                assert!(bar.rect.bottom <= geometry.plot.bottom + 1e-9);
            }
        }
    }

    #[test]
    fn numbers_stand_above_bars_that_are_wide_enough() {
        let n_texts = |n: usize| {
            let geometry = bars(&vec![0.25; n]).geometry(480.0, 240.0);
            geometry.bars.iter().filter(|bar| bar.text.is_some()).count()
        };
        assert_eq!((n_texts(8), n_texts(60)), (8, 0));
    }
}
