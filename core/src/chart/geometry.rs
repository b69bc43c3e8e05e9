//! Layout of a chart at a given size.

use super::notes::{PlacedNote, notes};
use super::scale::{Scale, Steps};
use super::{Chart, Coverage, Here, Series, SeriesStyle};

/// Layout of a chart, in pixels from the top left corner.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    pub width: f64,
    pub height: f64,
    /// The plot area.
    pub plot: Rect,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// Base line of the vertical axis title, above the axis.
    pub y_label_at: f64,
    pub legend: Vec<LegendItem>,
    /// `None` if it lies outside of the plot.
    pub reference: Option<PlacedLine>,
    /// `axis from 60 %`, if the vertical axis does not start at 0.
    pub start_note: Option<String>,
    /// Names of the series that leave the plot, with the value that lies furthest outside.
    pub cut: Vec<(String, f64)>,
    /// In drawing order: the most important comes last.
    pub series: Vec<PlacedSeries>,
    pub notes: Vec<PlacedNote>,
    x: Scale,
    y: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub label: String,
}

/// A series name next to a sample of its line.
#[derive(Clone, Debug, PartialEq)]
pub struct LegendItem {
    pub name: String,
    pub style: SeriesStyle,
    /// Left edge of the sample and vertical center of the row.
    pub x: f64,
    pub y: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlacedLine {
    pub y: f64,
    pub label: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlacedSeries {
    pub name: String,
    pub style: SeriesStyle,
    /// In the order of the data.
    pub points: Vec<PlacedPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedPoint {
    pub x: f64,
    pub y: f64,
    /// Upper and lower end of the error bar, one standard error each way.
    pub error: Option<(f64, f64)>,
}

impl LegendItem {
    /// Length of the line sample.
    pub const SAMPLE: f64 = 30.0;
    pub(super) const GAP: f64 = 8.0;

    /// Horizontal position of the name.
    pub fn text_x(&self) -> f64 {
        self.x + Self::SAMPLE + Self::GAP
    }
}

pub(super) const FONT_SIZE: f64 = 14.0;
const ROW: f64 = 24.0;
/// Height of the axis titles above and below the plot.
const AXIS_LABEL: f64 = 26.0;
const TICK_LABEL: f64 = 24.0;
/// Left and right of the data, as a part of its range.
const X_MARGIN: f64 = 0.03;
/// A zoom that shows less than this much more is not worth a choice.
const LEAST_ZOOM: f64 = 1.5;
/// Space above the plot for the label of the "you are here" mark.
const HERE_LABEL: f64 = 22.0;

impl Chart {
    /// Computes the layout; `width` should be 240 or more, `height` 200 or more.
    pub fn geometry(&self, width: f64, height: f64) -> Geometry {
        self.geometry_of(Coverage::All, width, height)
    }

    /// The same, with a choice of what the vertical axis covers.
    pub fn geometry_of(&self, coverage: Coverage, width: f64, height: f64) -> Geometry {
        let (x_range, y_range) = (self.x_range(), self.y_range(coverage));
        let n_steps = |pixels: f64, apart: f64| (pixels / apart).clamp(2.0, 8.0) as usize;
        // The data from edge to edge, wherever the ticks are.
        let margin = (x_range.1 - x_range.0) * X_MARGIN;
        let x_domain = (x_range.0 - margin, x_range.1 + margin);
        let x_steps = Steps::within(x_domain.0, x_domain.1, n_steps(width, 90.0), self.x.format);
        let x_domain = if margin > 0.0 { x_domain } else { x_steps.domain() };
        let y_steps = Steps::covering(y_range.0, y_range.1, n_steps(height, 50.0), self.y.format);
        let y_labels = y_steps.labels(self.y.format);
        let y_label_width = y_labels.iter().map(|label| text_width(label)).fold(0.0, f64::max);

        let legend = self.legend(width);
        let legend_height = legend.last().map_or(0.0, |item| item.y + ROW / 2.0);
        let plot = Rect {
            // A label of hundreds of digits is clipped, so that the plot remains visible.
            left: (y_label_width + 12.0).round().min(width / 2.0),
            top: legend_height + AXIS_LABEL + HERE_LABEL,
            right: width - 16.0,
            bottom: height - TICK_LABEL - AXIS_LABEL,
        };
        let x = Scale::new(x_domain, (plot.left, plot.right));
        let y = Scale::new(y_steps.domain(), (plot.bottom, plot.top));
        let ticks = |steps: Steps, labels: Vec<String>, scale: Scale| -> Vec<Tick> {
            let ticks = steps.ticks().zip(labels);
            ticks.map(|(tick, label)| Tick { at: scale.place(tick), label }).collect()
        };
        let mut x_ticks = ticks(x_steps, x_steps.labels(self.x.format), x);
        x_ticks.retain(|tick| plot.left - 0.5 <= tick.at && tick.at <= plot.right + 0.5);
        // Drawn in reverse, so that the first series of the data is on top.
        let series: Vec<_> = self.series.iter().rev().map(|series| place(series, x, y)).collect();
        let (lowest, highest) = y_steps.domain();
        let covers = |value: f64| lowest <= value && value <= highest;
        Geometry {
            width,
            height,
            plot,
            x_ticks,
            y_ticks: ticks(y_steps, y_labels.clone(), y),
            y_label_at: plot.top - HERE_LABEL - 3.0,
            legend,
            reference: self.reference.as_ref().filter(|it| covers(it.y)).map(|reference| {
                PlacedLine { y: y.place(reference.y), label: reference.label.clone() }
            }),
            start_note: (lowest > 0.0).then(|| format!("axis from {}", y_labels[0])),
            cut: self.series.iter().filter_map(|series| cut(series, (lowest, highest))).collect(),
            notes: self.series.first().map_or_else(Vec::new, |first| notes(first, &series, plot)),
            series,
            x,
            y,
        }
    }

    fn x_range(&self) -> (f64, f64) {
        let points = self.series.iter().flat_map(|series| &series.points);
        range(points.map(|point| point.x))
    }

    /// Whether the vertical axis of [`Coverage::Subject`] shows clearly more than that of all series.
    pub fn can_zoom(&self) -> bool {
        let span = |coverage| {
            let (low, high) = self.y_range(coverage);
            high - low
        };
        span(Coverage::All) > LEAST_ZOOM * span(Coverage::Subject)
    }

    /// Points with their error bars, and the reference where it costs little of the plot.
    fn y_range(&self, coverage: Coverage) -> (f64, f64) {
        let ends = |series: &Series| {
            let ends = series.points.iter().flat_map(|point| {
                let stderr = point.stderr.unwrap_or(0.0);
                [point.y - stderr, point.y + stderr]
            });
            ends.collect::<Vec<_>>()
        };
        let subject = self.series.first().filter(|_| coverage == Coverage::Subject);
        let main = match subject {
            Some(subject) => ends(subject),
            None => self.series.iter().flat_map(ends).collect(),
        };
        let main = range(main.into_iter());
        let margin = (main.1 - main.0) / 2.0;
        let near = |value: &f64| main.0 - margin <= *value && *value <= main.1 + margin;
        let others = self.series.iter().flat_map(|series| &series.points).map(|point| point.y);
        let others = others.chain(self.reference.iter().map(|reference| reference.y)).filter(near);
        range(others.chain([main.0, main.1]))
    }

    /// Series names in rows, as many per row as fit.
    fn legend(&self, width: f64) -> Vec<LegendItem> {
        let (mut x, mut y) = (0.0, ROW / 2.0);
        let items = self.series.iter().map(|series| {
            let advance = LegendItem::SAMPLE + LegendItem::GAP + text_width(&series.name) + 20.0;
            if x > 0.0 && x + advance > width {
                (x, y) = (0.0, y + ROW);
            }
            let item = LegendItem { name: series.name.clone(), style: series.style, x, y };
            x += advance;
            item
        });
        items.collect()
    }
}

impl Geometry {
    /// Position of the mark for `here`; on the axis if nothing was measured there.
    pub fn place_here(&self, here: Here) -> (f64, f64) {
        let x = self.x.place(here.x).clamp(self.plot.left, self.plot.right);
        let y = |y| self.y.place(y).clamp(self.plot.top, self.plot.bottom);
        (x, here.y.map_or(self.plot.bottom, y))
    }

    /// The outline of what series may cover, as an SVG path: the plot, with a margin for markers.
    pub fn clip_path(&self) -> String {
        const MARGIN: f64 = 6.0;
        let Rect { left, top, right, bottom } = self.plot;
        format!(
            "M{:.1} {:.1}H{:.1}V{:.1}H{:.1}z",
            left - MARGIN,
            top - MARGIN,
            right + MARGIN,
            bottom + MARGIN,
            left - MARGIN
        )
    }
}

impl PlacedSeries {
    /// The line through the points, as an SVG path.
    pub fn path(&self) -> String {
        let corners = self.points.iter().map(|point| format!("{:.1} {:.1}", point.x, point.y));
        let corners: Vec<String> = corners.collect();
        if corners.is_empty() { String::new() } else { format!("M{}", corners.join("L")) }
    }
}

impl PlacedPoint {
    /// The error bar with its caps, as an SVG path; empty if the error is not visible.
    pub fn error_path(&self) -> String {
        const CAP: f64 = 3.0;
        match self.error {
            Some((top, bottom)) if bottom - top > 0.5 => format!(
                "M{x:.1} {top:.1}V{bottom:.1}M{left:.1} {top:.1}h{width}M{left:.1} {bottom:.1}h{width}",
                x = self.x,
                left = self.x - CAP,
                width = 2.0 * CAP,
            ),
            _ => String::new(),
        }
    }
}

/// The series' name and its value furthest outside of `limits`; `None` if all are inside.
fn cut(series: &Series, limits: (f64, f64)) -> Option<(String, f64)> {
    // A point on the edge may be outside by rounding.
    let slack = (limits.1 - limits.0) * 1e-9;
    let beyond = |value: f64| (limits.0 - value).max(value - limits.1);
    let values = series.points.iter().map(|point| point.y).filter(|value| value.is_finite());
    let furthest = values.max_by(|one, other| beyond(*one).total_cmp(&beyond(*other)))?;
    (beyond(furthest) > slack).then(|| (series.name.clone(), furthest))
}

fn place(series: &Series, x: Scale, y: Scale) -> PlacedSeries {
    let points = series.points.iter().map(|point| PlacedPoint {
        x: x.place(point.x),
        y: y.place(point.y),
        error: point
            .stderr
            .map(|stderr| (y.place(point.y + stderr), y.place(point.y - stderr)))
            .map(|(one, other)| (one.min(other), one.max(other))),
    });
    PlacedSeries { name: series.name.clone(), style: series.style, points: points.collect() }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// Estimated text width in a plain typeface; there are no font metrics here.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT_SIZE * 0.56
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_series;
    use super::*;

    #[test]
    fn every_point_lies_in_the_plot() {
        for (width, height) in [(240.0, 200.0), (640.0, 360.0), (1600.0, 900.0)] {
            let geometry = two_series().geometry(width, height);
            let Rect { left, top, right, bottom } = geometry.plot;
            for point in geometry.series.iter().flat_map(|series| &series.points) {
                let (error_top, error_bottom) = point.error.unwrap_or((point.y, point.y));
                assert!(left <= point.x && point.x <= right);
                assert!(top <= error_top && error_bottom <= bottom);
            }
        }
    }

    #[test]
    fn a_label_of_hundreds_of_digits_leaves_space_for_the_plot() {
        let mut chart = two_series();
        chart.series[0].points[0].y = 1e300;
        let geometry = chart.geometry(640.0, 360.0);
        assert!(geometry.plot.left < geometry.plot.right);
        assert!(!chart.to_svg(640.0, 360.0).is_empty());
    }

    #[test]
    fn the_first_series_is_drawn_last() {
        let geometry = two_series().geometry(640.0, 360.0);
        assert_eq!(geometry.series.last().unwrap().name, "ours");
    }

    #[test]
    fn the_legend_breaks_into_rows_when_it_is_narrow() {
        let rows = |width: f64| {
            let legend = two_series().geometry(width, 360.0).legend;
            legend.last().unwrap().y
        };
        assert!(rows(110.0) > rows(640.0));
    }

    #[test]
    fn an_unmeasured_size_is_marked_on_the_axis() {
        let geometry = two_series().geometry(640.0, 360.0);
        let (_, y) = geometry.place_here(Here { x: 15.0, y: None });
        assert_eq!(y, geometry.plot.bottom);
    }

    /// The second series far below the first.
    fn far_apart() -> Chart {
        let mut chart = two_series();
        chart.series[1].points.iter_mut().for_each(|point| point.y -= 0.25);
        chart
    }

    #[test]
    fn zoomed_the_first_series_fills_the_plot_and_the_others_are_cut() {
        let chart = far_apart();
        assert!(chart.can_zoom());
        let span = |geometry: &Geometry| {
            let points = &geometry.series.last().unwrap().points;
            points[0].y - points[1].y
        };
        let [all, zoomed] = [Coverage::All, Coverage::Subject]
            .map(|coverage| chart.geometry_of(coverage, 640.0, 400.0));
        assert!(span(&zoomed) > 1.5 * span(&all));
        assert_eq!(all.cut, []);
        assert_eq!(zoomed.cut, [("theirs".to_owned(), 0.3 - 0.25)]);
    }

    #[test]
    fn lines_that_are_close_offer_no_zoom() {
        let mut chart = Chart { reference: None, ..two_series() };
        chart.series[1].points[0].y = 0.45;
        assert!(!chart.can_zoom());
    }

    #[test]
    fn an_axis_that_does_not_start_at_0_says_so() {
        let note = |chart: &Chart| chart.geometry(640.0, 360.0).start_note;
        assert_eq!(note(&two_series()).as_deref(), Some("axis from 20 %"));
        let mut chart = two_series();
        chart.series[0].points[0].y = 0.0;
        assert_eq!(note(&chart), None);
    }

    #[test]
    fn a_reference_far_from_the_data_does_not_stretch_the_axis() {
        let mut chart = two_series();
        let near = chart.geometry(640.0, 360.0);
        chart.reference = Some(super::super::Reference { y: -3.0, label: "far".to_owned() });
        let far = chart.geometry(640.0, 360.0);
        assert!(near.reference.is_some() && far.reference.is_none());
        assert_eq!(far.y_ticks.len(), near.y_ticks.len());
    }

    #[test]
    fn a_chart_without_points_still_has_axes() {
        let chart = Chart { series: Vec::new(), reference: None, ..two_series() };
        assert!(chart.geometry(320.0, 240.0).x_ticks.len() > 1);
    }
}
