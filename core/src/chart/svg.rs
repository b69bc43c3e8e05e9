//! A chart as an SVG file of its own: readable by light and by dark, with its data inside.

use std::fmt::{self, Write};

use super::{Chart, Geometry, LegendItem, PlacedNote, PlacedSeries, SeriesStyle};

/// The same hues as on the page; whoever includes the file may set `color-scheme`.
///
/// Without variables and with the ground as a shape, for viewers that know only SVG 1.1's styles.
const STYLE: &str = "\
svg{color-scheme:light dark;font:14px system-ui,sans-serif;fill:#26262b}.ground{fill:#fffdf9}\
.grid{stroke:#e6e1d8}.axis{stroke:#8b877f}.quiet{fill:#63605a}.reference{stroke:#8b877f;stroke-dasharray:2 3}\
.line{fill:none;stroke-width:2;stroke-linejoin:round}.error{fill:none;stroke-width:1.25}\
.marker{stroke-width:1.5;stroke:#fffdf9}.here{fill:none;stroke:#26262b;stroke-width:2}\
.series-1 .line,.series-1 .error{stroke:#17607f}.series-1 .marker{fill:#17607f}\
.series-2 .line,.series-2 .error{stroke:#8a4b16}.series-2 .marker{fill:#8a4b16}\
.series-3 .line,.series-3 .error{stroke:#74508f}.series-3 .marker{fill:#74508f}\
.series-4 .line,.series-4 .error{stroke:#2f6b3a}.series-4 .marker{fill:#2f6b3a}\
.series-5 .line,.series-5 .error{stroke:#a3325a}.series-5 .marker{fill:#a3325a}\
.series-6 .line,.series-6 .error{stroke:#5f5b12}.series-6 .marker{fill:#5f5b12}\
@media(prefers-color-scheme:dark){svg{fill:#ece8e1}.ground{fill:#17181c}\
.grid{stroke:#2e3036}.axis{stroke:#85827c}.quiet{fill:#aaa69e}.reference{stroke:#85827c}\
.marker{stroke:#17181c}.here{stroke:#ece8e1}\
.series-1 .line,.series-1 .error{stroke:#6cbfe0}.series-1 .marker{fill:#6cbfe0}\
.series-2 .line,.series-2 .error{stroke:#e8a066}.series-2 .marker{fill:#e8a066}\
.series-3 .line,.series-3 .error{stroke:#c49be3}.series-3 .marker{fill:#c49be3}\
.series-4 .line,.series-4 .error{stroke:#86c98f}.series-4 .marker{fill:#86c98f}\
.series-5 .line,.series-5 .error{stroke:#f08fae}.series-5 .marker{fill:#f08fae}\
.series-6 .line,.series-6 .error{stroke:#cfc86a}.series-6 .marker{fill:#cfc86a}}";

const MARKER_RADIUS: f64 = 4.5;

/// Around the chart; a page has its own.
const MARGIN: f64 = 14.0;

impl Chart {
    /// The chart as a file: `width` by `height` pixels, title, description and data included.
    pub fn to_svg(&self, width: f64, height: f64) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let geometry = self.geometry(width - 2.0 * MARGIN, height - 2.0 * MARGIN);
        let _ = write_svg(&mut svg, self, &geometry);
        svg
    }
}

fn write_svg(svg: &mut String, chart: &Chart, geometry: &Geometry) -> fmt::Result {
    let Geometry { width, height, plot, .. } = geometry;
    let data = serde_json::to_string(chart).map_err(|_| fmt::Error)?;
    let outer = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-{MARGIN} -{MARGIN} {outer_width} {outer_height}\" \
         width=\"{outer_width}\" height=\"{outer_height}\" role=\"img\" aria-labelledby=\"title desc\">",
        outer_width = outer.0,
        outer_height = outer.1,
    )?;
    writeln!(svg, "<title id=\"title\">{}</title>", escape(&chart.title))?;
    writeln!(svg, "<desc id=\"desc\">{}</desc>", escape(&chart.description))?;
    writeln!(svg, "<metadata>{}</metadata>", escape(&data))?;
    writeln!(svg, "<style>{STYLE}</style>")?;
    writeln!(
        svg,
        "<rect class=\"ground\" x=\"-{MARGIN}\" y=\"-{MARGIN}\" width=\"{}\" height=\"{}\"/>",
        outer.0, outer.1
    )?;

    for item in &geometry.legend {
        write_legend_item(svg, item)?;
    }
    for tick in &geometry.y_ticks {
        writeln!(
            svg,
            "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\
             <text class=\"quiet\" x=\"{label:.1}\" y=\"{y:.1}\" dy=\".35em\" text-anchor=\"end\">{text}</text>",
            left = plot.left,
            right = plot.right,
            y = tick.at,
            label = plot.left - 8.0,
            text = escape(&tick.label),
        )?;
    }
    writeln!(
        svg,
        "<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>",
        plot.left, plot.bottom, plot.right
    )?;
    for tick in &geometry.x_ticks {
        writeln!(
            svg,
            "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v5\"/>\
             <text class=\"quiet\" x=\"{x:.1}\" y=\"{label:.1}\" text-anchor=\"middle\">{text}</text>",
            x = tick.at,
            bottom = plot.bottom,
            label = plot.bottom + 19.0,
            text = escape(&tick.label),
        )?;
    }
    writeln!(
        svg,
        "<text x=\"0\" y=\"{:.1}\">{}</text>",
        geometry.y_label_at,
        escape(&chart.y.label)
    )?;
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        plot.right,
        height - 4.0,
        escape(&chart.x.label)
    )?;
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
    for series in &geometry.series {
        write_series(svg, series)?;
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
    writeln!(svg, "</svg>")
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

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_series;
    use super::*;

    /// Everything but the style sheet; a change here is a change that readers see.
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
