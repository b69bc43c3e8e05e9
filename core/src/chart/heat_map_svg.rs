//! A heat map as SVG.

use std::fmt::{self, Write};

use super::axes_svg::{write_axis_names, write_column_name, write_row_name};
use super::frame::{SvgTarget, escape, frame};
use super::geometry::Rect;
use super::heat_map::{HeatGeometry, HeatMap};

/// Steps in which the legend shows the scale.
const LEGEND_STEPS: usize = 32;

impl HeatMap {
    /// The map as a file of `width` pixels, title, description and data included.
    pub fn to_svg(&self, width: f64) -> String {
        self.draw(SvgTarget::File, width)
    }

    /// The map as an element of a page that includes [`STYLE`](super::STYLE).
    pub fn to_element(&self, id: &str, width: f64) -> String {
        self.draw(SvgTarget::Page { id }, width)
    }

    fn draw(&self, target: SvgTarget<'_>, width: f64) -> String {
        let geometry = self.geometry(target.inner_length(width));
        let size = (geometry.width, geometry.height);
        frame(target, (&self.title, &self.description), self, size, |svg| {
            write_map(svg, self, &geometry)
        })
    }
}

fn write_map(svg: &mut String, map: &HeatMap, geometry: &HeatGeometry) -> fmt::Result {
    write_legend(svg, map, geometry)?;
    let plot = geometry.plot;
    for tick in &geometry.y_ticks {
        write_row_name(svg, plot, tick)?;
    }
    for tick in &geometry.x_ticks {
        write_column_name(svg, plot.bottom + 17.0, tick)?;
    }
    let (above, below) =
        ((geometry.y_label_at, &*map.y_label), (plot.bottom + 38.0, &*map.x_label));
    write_axis_names(svg, plot, above, below)?;
    for cell in &geometry.cells {
        let tooltip = escape(&cell.tooltip);
        write_rect(svg, cell.rect, cell.strength, &format!("<title>{tooltip}</title>"))?;
        if let Some(text) = &cell.text {
            writeln!(
                svg,
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" dy=\".35em\" text-anchor=\"middle\" \
                 pointer-events=\"none\">{text}</text>",
                class = cell.text_class(),
                x = (cell.rect.left + cell.rect.right) / 2.0,
                y = (cell.rect.top + cell.rect.bottom) / 2.0,
            )?;
        }
    }
    for mark in &geometry.marks {
        writeln!(
            svg,
            "<rect class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            mark.left,
            mark.top,
            mark.right - mark.left,
            mark.bottom - mark.top
        )?;
    }
    Ok(())
}

fn write_legend(svg: &mut String, map: &HeatMap, geometry: &HeatGeometry) -> fmt::Result {
    let legend = &geometry.legend;
    let bar = legend.bar;
    let middle = (bar.top + bar.bottom) / 2.0;
    let step = (bar.right - bar.left) / LEGEND_STEPS as f64;
    for index in 0..LEGEND_STEPS {
        let left = bar.left + step * index as f64;
        let rect = Rect { left, right: left + step, ..bar };
        write_rect(svg, rect, (index as f64 + 0.5) / LEGEND_STEPS as f64, "")?;
    }
    let texts = [
        (legend.label_x, "end", map.value_label.as_str()),
        (bar.left - 8.0, "end", legend.low.as_str()),
        (bar.right + 8.0, "start", legend.high.as_str()),
    ];
    for (x, anchor, text) in texts {
        writeln!(
            svg,
            "<text class=\"quiet\" x=\"{x:.1}\" y=\"{middle:.1}\" dy=\".35em\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        )?;
    }
    Ok(())
}

fn write_rect(svg: &mut String, rect: Rect, strength: f64, content: &str) -> fmt::Result {
    writeln!(
        svg,
        "<rect class=\"cell\" shape-rendering=\"crispEdges\" x=\"{:.1}\" y=\"{:.1}\" \
         width=\"{:.1}\" height=\"{:.1}\" fill-opacity=\"{strength:.3}\">{content}</rect>",
        rect.left,
        rect.top,
        rect.right - rect.left,
        rect.bottom - rect.top
    )
}

#[cfg(test)]
mod tests {
    use super::super::heat_map::tests::map;

    #[test]
    fn every_value_is_in_the_svg() {
        let svg = map(2, 3).to_svg(640.0);
        assert_eq!(svg.matches("<title>student state").count(), 6);
        assert!(svg.contains("<title>student state 1, teacher state 2: 0.245</title>"), "{svg}");
    }

    #[test]
    fn text_cannot_leave_its_element() {
        let svg = map(1, 1).to_element("m", 320.0);
        assert!(svg.contains("<title id=\"m-title\">Alike &amp; &lt;unlike&gt;</title>"), "{svg}");
        assert!(!svg.contains("<unlike>"));
    }
}
