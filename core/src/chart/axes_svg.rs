//! Axes, shared by all charts, as SVG.

use std::fmt::{self, Write};

use super::frame::escape;
use super::geometry::{Rect, Tick};

/// A grid line across the plot at each tick, with its label to the left.
pub(super) fn write_grid(svg: &mut String, plot: Rect, ticks: &[Tick]) -> fmt::Result {
    for tick in ticks {
        write!(
            svg,
            "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>",
            left = plot.left,
            right = plot.right,
            y = tick.at,
        )?;
        write_row_name(svg, plot, tick)?;
    }
    Ok(())
}

/// The label of a tick, left of the plot.
pub(super) fn write_row_name(svg: &mut String, plot: Rect, tick: &Tick) -> fmt::Result {
    writeln!(
        svg,
        "<text class=\"quiet\" x=\"{x:.1}\" y=\"{y:.1}\" dy=\".35em\" text-anchor=\"end\">{text}</text>",
        x = plot.left - 8.0,
        y = tick.at,
        text = escape(&tick.label),
    )
}

/// The label of a tick on this base line, below the plot.
pub(super) fn write_column_name(svg: &mut String, base_line: f64, tick: &Tick) -> fmt::Result {
    writeln!(
        svg,
        "<text class=\"quiet\" x=\"{x:.1}\" y=\"{base_line:.1}\" text-anchor=\"middle\">{text}</text>",
        x = tick.at,
        text = escape(&tick.label),
    )
}

/// The titles of both axes with their base lines: one above the plot, one below it to the right.
pub(super) fn write_axis_names(
    svg: &mut String,
    plot: Rect,
    above: (f64, &str),
    below: (f64, &str),
) -> fmt::Result {
    writeln!(svg, "<text x=\"0\" y=\"{:.1}\">{}</text>", above.0, escape(above.1))?;
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        plot.right,
        below.0,
        escape(below.1)
    )
}
