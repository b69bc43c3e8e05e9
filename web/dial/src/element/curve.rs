//! The measured curve of a family, zoomed to its own line, with the current size marked, as SVG nodes.

use boomerang_client::family::FamilyCard;
use boomerang_core::chart::{Coverage, Here, LegendItem, Measure, SizeAxis};
use wasm_bindgen::JsValue;
use web_sys::{Document, Element};

use crate::values::SizeEntry;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 380.0;
const MARKER_RADIUS: f64 = 4.0;
/// Names within an element are its own.
const CLIP: &str = "plot";

/// Draws the curve into `parent`; nothing where nothing was measured.
///
/// # Errors
/// What the browser refuses to create.
pub(super) fn draw_curve(
    document: &Document,
    parent: &Element,
    card: &FamilyCard,
    size: &SizeEntry,
) -> Result<(), JsValue> {
    let axis = SizeAxis::Layers;
    let curve = card.manifest().curve.in_own_order();
    let chart_of = |measure| Some((measure, curve.chart(axis, measure)?));
    let chart = [Measure::Accuracy, Measure::Nats].into_iter().find_map(chart_of);
    let Some((measure, chart)) = chart else { return Ok(()) };
    let coverage = if chart.can_zoom() { Coverage::Subject } else { Coverage::All };
    let geometry = chart.geometry_of(coverage, WIDTH, HEIGHT);
    let plot = geometry.plot;
    let box_size = format!("0 0 {WIDTH} {HEIGHT}");
    let about = [("viewBox", &*box_size), ("role", "img"), ("aria-label", &chart.title)];
    let svg = node(document, parent, "svg", &about)?;
    let path = |parent: &Element, class: &str, d: &str| {
        node(document, parent, "path", &[("class", class), ("d", d)])
    };
    let text = |x: f64, y: f64, anchor: &str, text: &str| {
        let at = [("x", &*format!("{x:.1}")), ("y", &*format!("{y:.1}")), ("text-anchor", anchor)];
        node(document, &svg, "text", &at).map(|node| node.set_text_content(Some(text)))
    };

    for tick in &geometry.y_ticks {
        path(&svg, "grid", &format!("M{:.1} {:.1}H{:.1}", plot.left, tick.at, plot.right))?;
        text(plot.left - 8.0, tick.at + 5.0, "end", &tick.label)?;
    }
    for tick in &geometry.x_ticks {
        path(&svg, "axis", &format!("M{:.1} {:.1}v5", tick.at, plot.bottom))?;
        text(tick.at, plot.bottom + 19.0, "middle", &tick.label)?;
    }
    path(&svg, "axis", &format!("M{:.1} {:.1}H{:.1}", plot.left, plot.bottom, plot.right))?;
    text(0.0, geometry.y_label_at, "start", &chart.y.label)?;
    text(plot.right, HEIGHT - 4.0, "end", &chart.x.label)?;
    if let Some(note) = &geometry.start_note {
        text(0.0, HEIGHT - 4.0, "start", note)?;
    }

    for item in &geometry.legend {
        let group = node(document, &svg, "g", &[("class", item.style.class())])?;
        let line = format!("M{:.1} {:.1}h{}", item.x, item.y, LegendItem::SAMPLE);
        path(&group, "line", &line)?.set_attribute("stroke-dasharray", item.style.dash())?;
        let middle = item.x + LegendItem::SAMPLE / 2.0;
        path(&group, "marker", &item.style.marker(middle, item.y, MARKER_RADIUS))?;
        text(item.text_x(), item.y + 5.0, "start", &item.name)?;
    }
    let clip = node(document, &svg, "clipPath", &[("id", CLIP)])?;
    path(&clip, "", &geometry.clip_path())?;
    let within = format!("url(#{CLIP})");
    let lines = node(document, &svg, "g", &[("clip-path", &*within)])?;
    for series in &geometry.series {
        let group = node(document, &lines, "g", &[("class", series.style.class())])?;
        let line = path(&group, "line", &series.path())?;
        line.set_attribute("stroke-dasharray", series.style.dash())?;
        for point in &series.points {
            path(&group, "marker", &series.style.marker(point.x, point.y, MARKER_RADIUS))?;
        }
    }

    let measured = match measure {
        Measure::Accuracy => size.accuracy.as_ref(),
        Measure::Nats => size.loss.as_ref(),
    };
    let here = Here { x: axis.at(size.parameters, size.layers), y: measured.map(|it| it.mean) };
    let (x, y) = geometry.place_here(here);
    path(&svg, "here", &format!("M{x:.1} {:.1}V{:.1}", plot.top, plot.bottom))?;
    let at = [("class", "here"), ("cx", &*format!("{x:.1}")), ("cy", &*format!("{y:.1}"))];
    let mark = node(document, &svg, "circle", &at)?;
    mark.set_attribute("r", "8")?;
    mark.set_attribute("part", "mark")
}

fn node(
    document: &Document,
    parent: &Element,
    tag: &str,
    attributes: &[(&str, &str)],
) -> Result<Element, JsValue> {
    let node = document.create_element_ns(Some("http://www.w3.org/2000/svg"), tag)?;
    for (name, value) in attributes {
        node.set_attribute(name, value)?;
    }
    parent.append_child(&node)?;
    Ok(node)
}
