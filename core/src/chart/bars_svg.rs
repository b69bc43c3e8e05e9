//! Bar chart as SVG.

use std::fmt::{self, Write};

use super::axes_svg::{write_axis_names, write_column_name, write_grid};
use super::bars::{Bars, BarsGeometry, SAMPLE};
use super::frame::{SvgTarget, escape, frame};
use super::geometry::Rect;

impl Bars {
    /// The chart as a file: `width` by `height` pixels, title, description and data included.
    pub fn to_svg(&self, width: f64, height: f64) -> String {
        self.draw(SvgTarget::File, width, height)
    }

    /// The chart as an element of a page that includes [`STYLE`](super::STYLE).
    pub fn to_element(&self, id: &str, width: f64, height: f64) -> String {
        self.draw(SvgTarget::Page { id }, width, height)
    }

    fn draw(&self, target: SvgTarget<'_>, width: f64, height: f64) -> String {
        let geometry = self.geometry(target.inner_length(width), target.inner_length(height));
        let size = (geometry.width, geometry.height);
        frame(target, (&self.title, &self.description), self, size, |svg| {
            write_bars(svg, self, &geometry)
        })
    }
}

fn write_bars(svg: &mut String, bars: &Bars, geometry: &BarsGeometry) -> fmt::Result {
    let plot = geometry.plot;
    for ((style, name), (x, y)) in bars.legend.iter().zip(&geometry.legend) {
        let half = SAMPLE / 2.0;
        let rect = Rect { left: *x, top: y - half, right: x + SAMPLE, bottom: y + half };
        write_bar(svg, style.class(), rect, "")?;
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
        let tooltip = format!("{} {}: {:.4}", bars.x_label, bar.label, bar.value);
        write_bar(svg, bar.style.class(), placed.rect, &tooltip)?;
        if let Some(text) = &placed.text {
            writeln!(
                svg,
                "<text class=\"quiet small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>",
                x = (placed.rect.left + placed.rect.right) / 2.0,
                y = placed.rect.top - 4.0,
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

fn write_bar(svg: &mut String, class: &str, rect: Rect, tooltip: &str) -> fmt::Result {
    let tooltip = if tooltip.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", escape(tooltip))
    };
    writeln!(
        svg,
        "<g class=\"{class}\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
         height=\"{:.1}\">{tooltip}</rect></g>",
        rect.left,
        rect.top,
        rect.right - rect.left,
        (rect.bottom - rect.top).max(0.0)
    )
}

#[cfg(test)]
mod tests {
    use super::super::bars::tests::bars;

    #[test]
    fn every_bar_has_its_value_as_a_tooltip() {
        let svg = bars(&[0.1, 0.25]).to_svg(480.0, 240.0);
        assert!(svg.contains("<title>teacher layer 1: 0.2500</title>"), "{svg}");
        assert!(!svg.contains("<1>"));
    }
}
