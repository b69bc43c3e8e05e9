//! Annotations above or below points, wherever the lines leave more space.

use super::Series;
use super::geometry::{FONT_SIZE, PlacedSeries, Rect, text_width};

/// An annotation at a point of the first series.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedNote {
    pub x: f64,
    pub y: f64,
    pub text: String,
    /// Whether the text ends at `x` instead of starting there.
    pub is_left: bool,
}

/// Half the height of a marker, and the distance between a text and other elements.
const MARK: f64 = 5.0;
const APART: f64 = 7.0;
/// A text above the highest point may stand on the upper edge of the plot.
const OVERHANG: f64 = 2.0;

/// The annotations of `first`, the series that `lines` draw last.
pub(super) fn notes(first: &Series, lines: &[PlacedSeries], plot: Rect) -> Vec<PlacedNote> {
    let Some(placed) = lines.last() else { return Vec::new() };
    // Distance of the nearest line from a text on this base line between `left` and `right`.
    let space = |base_line: f64, (left, right): (f64, f64)| {
        let middle = base_line - FONT_SIZE * 0.35;
        let samples = [left, (left + right) / 2.0, right];
        let heights = lines.iter().flat_map(|line| samples.map(|x| height_at(line, x)));
        heights.flatten().map(|y| (y - middle).abs()).fold(f64::INFINITY, f64::min)
    };
    let noted = first.points.iter().zip(&placed.points);
    noted
        .filter_map(|(point, at)| Some((at, point.note.clone()?)))
        .map(|(at, text)| {
            let width = text_width(&text);
            let is_left = at.x + 10.0 + width > plot.right;
            let x = if is_left { at.x + 4.0 } else { at.x - 4.0 };
            let x = x.clamp(plot.left, plot.right);
            let span = if is_left { (x - width, x) } else { (x, x + width) };
            let (error_top, error_bottom) = at.error.unwrap_or((at.y, at.y));
            let above = error_top.min(at.y - MARK) - APART;
            let below = error_bottom.max(at.y + MARK) + APART + FONT_SIZE * 0.7;
            let fits_above = above > plot.top - OVERHANG;
            let fits_below = below < plot.bottom;
            // Above, where one looks first, unless there is clearly more space below.
            let is_above =
                fits_above && (!fits_below || space(above, span) + FONT_SIZE >= space(below, span));
            PlacedNote { x, y: if is_above { above } else { below }, text, is_left }
        })
        .collect()
}

/// The line's height at `x`; `None` outside of its ends.
fn height_at(line: &PlacedSeries, x: f64) -> Option<f64> {
    line.points.windows(2).find_map(|pair| {
        let (start, end) = (pair[0], pair[1]);
        let is_between = start.x <= x && x <= end.x && start.x < end.x;
        is_between.then(|| start.y + (x - start.x) / (end.x - start.x) * (end.y - start.y))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_series;

    #[test]
    fn a_note_stands_on_the_side_away_from_the_lines() {
        let mut chart = two_series();
        chart.series[0].points[0].note = Some("here".to_owned());
        // The other line starts just below.
        chart.series[1].points[0].y = 0.45;
        let geometry = chart.geometry(640.0, 400.0);
        assert!(geometry.notes[0].y < geometry.series[1].points[0].y);
    }
}
