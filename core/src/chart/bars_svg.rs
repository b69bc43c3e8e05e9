//! Bars as SVG.

use std::fmt::{self, Write};

use super::axes_svg::{write_axis_names, write_column_name, write_grid};
use super::bars::{Bars, BarsGeometry, SAMPLE};
use super::frame::{Place, escape, frame};
use super::geometry::Rect;

impl Bars {
    /// The bars as a file: `width` by `height` pixels, title, description and data included.
    pub fn to_svg(&self, width: f64, height: f64) -> String {
        self.draw(Place::File, width, height)
    }

    /// The bars as an element of a page that has [`STYLE`](super::STYLE).
    pub fn to_element(&self, id: &str, width: f64, height: f64) -> String {
        self.draw(Place::Page { id }, width, height)
    }

    fn draw(&self, place: Place<'_>, width: f64, height: f64) -> String {
        let geometry = self.geometry(place.inside(width), place.inside(height));
        let size = (geometry.width, geometry.height);
        frame(place, (&self.title, &self.description), self, size, |svg| {
            write_bars(svg, self, &geometry)
        })
    }
}

fn write_bars(svg: &mut String, bars: &Bars, geometry: &BarsGeometry) -> fmt::Result {
    let plot = geometry.plot;
    for ((style, name), (x, y)) in bars.legend.iter().zip(&geometry.legend) {
        let half = SAMPLE / 2.0;
        let place = Rect { left: *x, top: y - half, right: x + SAMPLE, bottom: y + half };
        write_bar(svg, style.class(), place, "")?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" dy=\".35em\">{}</text>",
            x + SAMPLE + 8.0,
            escape(name)
        )?;
    }
    write_grid(svg, plot, &geometry.y_ticks)?;
    for tick in &geometry.x_ticks {
        write_column_name(svg, plot.bottom + 19.0, tick)?;
    }
    for (bar, placed) in bars.bars.iter().zip(&geometry.bars) {
        let words = format!("{} {}: {:.4}", bars.x_label, bar.label, bar.value);
        write_bar(svg, bar.style.class(), placed.place, &words)?;
        if let Some(text) = &placed.text {
            writeln!(
                svg,
                "<text class=\"quiet small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>",
                x = (placed.place.left + placed.place.right) / 2.0,
                y = placed.place.top - 4.0,
                text = escape(text),
            )?;
        }
    }
    writeln!(
        svg,
        "<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>",
        plot.left, geometry.zero, plot.right
    )?;
    let above = (geometry.y_label_at, &*bars.y.label);
    write_axis_names(svg, plot, above, (geometry.height - 6.0, &bars.x_label))
}

fn write_bar(svg: &mut String, class: &str, place: Rect, words: &str) -> fmt::Result {
    let words =
        if words.is_empty() { String::new() } else { format!("<title>{}</title>", escape(words)) };
    writeln!(
        svg,
        "<g class=\"{class}\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\">{words}</rect></g>",
        place.left,
        place.top,
        place.right - place.left,
        (place.bottom - place.top).max(0.0)
    )
}

#[cfg(test)]
mod tests {
    use super::super::bars::tests::bars;

    #[test]
    fn every_bar_says_its_number() {
        let svg = bars(&[0.1, 0.25]).to_svg(480.0, 240.0);
        assert!(svg.contains("<title>teacher layer 1: 0.2500</title>"), "{svg}");
        assert!(!svg.contains("<1>"));
    }
}
