//! A chart as SVG.

use std::fmt::{self, Write};

use super::axes_svg::{write_axis_names, write_column_name, write_grid};
use super::frame::{SvgTarget, escape, frame};
use super::{Chart, Coverage, Geometry, LegendItem, PlacedNote, PlacedSeries, SeriesStyle};

const MARKER_RADIUS: f64 = 4.5;

impl Chart {
    /// The chart as a file: `width` by `height` pixels, title, description and data included.
    pub fn to_svg(&self, width: f64, height: f64) -> String {
        self.draw(SvgTarget::File, Coverage::All, width, height)
    }

    /// The same, with a choice of what the vertical axis covers.
    pub fn to_svg_of(&self, coverage: Coverage, width: f64, height: f64) -> String {
        self.draw(SvgTarget::File, coverage, width, height)
    }

    /// The chart as an element of a page that includes [`STYLE`](super::STYLE).
    pub fn to_element(&self, id: &str, width: f64, height: f64) -> String {
        self.draw(SvgTarget::Page { id }, Coverage::All, width, height)
    }

    fn draw(&self, target: SvgTarget<'_>, coverage: Coverage, width: f64, height: f64) -> String {
        let (inner_width, inner_height) = (target.inner_length(width), target.inner_length(height));
        let geometry = self.geometry_of(coverage, inner_width, inner_height);
        let size = (geometry.width, geometry.height);
        frame(target, (&self.title, &self.description), self, size, |svg| {
            write_chart(svg, self, &geometry)
        })
    }
}

fn write_chart(svg: &mut String, chart: &Chart, geometry: &Geometry) -> fmt::Result {
    let Geometry { height, plot, .. } = geometry;
    for item in &geometry.legend {
        write_legend_item(svg, item)?;
    }
    write_grid(svg, *plot, &geometry.y_ticks)?;
    writeln!(
        svg,
        "<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>",
        plot.left, plot.bottom, plot.right
    )?;
    for tick in &geometry.x_ticks {
        write!(svg, "<path class=\"axis\" d=\"M{:.1} {:.1}v5\"/>", tick.at, plot.bottom)?;
        write_column_name(svg, plot.bottom + 19.0, tick)?;
    }
    let (above, below) = ((geometry.y_label_at, &*chart.y.label), (height - 4.0, &*chart.x.label));
    write_axis_names(svg, *plot, above, below)?;
    if let Some(reference) = &geometry.reference {
        writeln!(
            svg,
            "<path class=\"reference\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\
             <text class=\"quiet\" x=\"{right:.1}\" y=\"{above:.1}\" text-anchor=\"end\">{text}</text>",
            left = plot.left,
            right = plot.right,
            y = reference.y,
            above = reference.y - 5.0,
            text = escape(&reference.label),
        )?;
    }
    if let Some(note) = &geometry.start_note {
        let (y, note) = (height - 4.0, escape(note));
        writeln!(svg, "<text class=\"quiet\" x=\"0\" y=\"{y:.1}\">{note}</text>")?;
    }
    // A viewer that ignores the clip shows more, not less.
    let is_cut = !geometry.cut.is_empty();
    if is_cut {
        writeln!(
            svg,
            "<clipPath id=\"plot\"><path d=\"{}\"/></clipPath>\n<g clip-path=\"url(#plot)\">",
            geometry.clip_path()
        )?;
    }
    for series in &geometry.series {
        write_series(svg, series)?;
    }
    if is_cut {
        writeln!(svg, "</g>")?;
    }
    for note in &geometry.notes {
        let PlacedNote { x, y, text, .. } = note;
        let anchor = if note.is_left { "end" } else { "start" };
        let text = escape(text);
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")?;
    }
    if let Some(here) = chart.here {
        let (x, y) = geometry.place_here(here);
        writeln!(svg, "<circle class=\"here\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>")?;
    }
    Ok(())
}

fn write_legend_item(svg: &mut String, item: &LegendItem) -> fmt::Result {
    let LegendItem { style, x, y, .. } = item;
    writeln!(
        svg,
        "<g class=\"{class}\"><path class=\"line\" stroke-dasharray=\"{dash}\" d=\"M{x:.1} {y:.1}h{sample}\"/>\
         <path class=\"marker\" d=\"{marker}\"/></g>\
         <text x=\"{text_x:.1}\" y=\"{y:.1}\" dy=\".35em\">{name}</text>",
        class = style.class(),
        dash = style.dash(),
        sample = LegendItem::SAMPLE,
        marker = style.marker(x + LegendItem::SAMPLE / 2.0, *y, MARKER_RADIUS),
        text_x = item.text_x(),
        name = escape(&item.name),
    )
}

fn write_series(svg: &mut String, series: &PlacedSeries) -> fmt::Result {
    let style: SeriesStyle = series.style;
    writeln!(svg, "<g class=\"{}\">", style.class())?;
    let (path, dash) = (series.path(), style.dash());
    writeln!(svg, "<path class=\"line\" stroke-dasharray=\"{dash}\" d=\"{path}\"/>")?;
    for point in &series.points {
        let error = point.error_path();
        if !error.is_empty() {
            writeln!(svg, "<path class=\"error\" d=\"{error}\"/>")?;
        }
        let marker = style.marker(point.x, point.y, MARKER_RADIUS);
        writeln!(svg, "<path class=\"marker\" d=\"{marker}\"/>")?;
    }
    writeln!(svg, "</g>")
}

#[cfg(test)]
mod tests {
    use super::super::STYLE;
    use super::super::tests::two_series;
    use super::*;

    /// Everything except the style sheet; a change here is visible to users.
    const GOLDEN: &str = include_str!("golden.svg");

    #[test]
    fn a_small_chart_is_drawn_as_before() {
        let svg = two_series().to_svg(320.0, 240.0).replace(STYLE, "");
        assert_eq!(svg, GOLDEN, "if this is meant, write the left side to golden.svg:\n{svg}");
    }

    #[test]
    fn text_cannot_leave_its_element() {
        let svg = two_series().to_svg(320.0, 240.0);
        assert!(svg.contains("<title id=\"title\">Ours grows &amp; theirs &lt; ours</title>"));
        assert!(!svg.contains("theirs < ours"));
    }

    #[test]
    fn the_file_carries_its_data() {
        let chart = two_series();
        let svg = chart.to_svg(320.0, 240.0);
        let (_, rest) = svg.split_once("<metadata>").unwrap();
        let (data, _) = rest.split_once("</metadata>").unwrap();
        let data = data.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
        let read: Chart = serde_json::from_str(&data.replace("&amp;", "&")).unwrap();
        assert_eq!(read, chart);
    }
}
