//! Size against quality, with the chosen size marked.

use std::sync::Arc;

use boomerang_core::chart::{
    Chart, Coverage, Format, Geometry, LegendItem, Measure, PlacedSeries, SizeAxis,
};
use boomerang_core::curve::{Series, SizeCurve};
use leptos::html;
use leptos::prelude::*;

use super::choice::Choice;
use super::curve_guide::CurveGuide;
use super::curve_marks::{CurrentMark, FittingRange};
use super::curve_table::CurveTable;
use super::saves::{SAVED_HEIGHT, SAVED_WIDTH, Saves};
use super::unmeasured::Unmeasured;
use super::width::width_of;
use crate::state::dial::Dial;

/// Taller than this share of its width, a chart looks cramped.
const HEIGHT_PER_WIDTH: f64 = 0.62;
/// Up to this width a chart keeps its size, above it grows, at most by the factor below.
const WIDTH_AS_IS: f64 = 480.0;
const LARGEST: f64 = 1.2;
/// Of the window, in pixels.
const LEAST_WIDTH_OF_GUIDE: f64 = 700.0;
/// Of the plot, below the legend.
const LEAST_PLOT_HEIGHT: f64 = 220.0;
const MARKER_RADIUS: f64 = 4.5;

#[component]
pub fn CurveChart(
    dial: Dial,
    /// For a first visit: without other patch orders, and with an open guide if there is space.
    #[prop(optional)]
    explains: bool,
) -> impl IntoView {
    let all = [(Measure::Accuracy, "Accuracy"), (Measure::Nats, "nats/token")];
    // Those that are measured; what is measured on this device may add one.
    let measures = Memo::new(move |_| {
        let is_measured = |measure: Measure| {
            dial.curve.with(|curve| curve.chart(SizeAxis::Layers, measure).is_some())
        };
        all.into_iter().filter(|&(measure, _)| is_measured(measure)).collect::<Vec<_>>()
    });
    move || match measures.get().first() {
        None => view! { <Unmeasured dial/> }.into_any(),
        Some(&(first_measure, _)) => {
            view! { <MeasuredCurve dial measures=measures.get() first_measure explains/> }
                .into_any()
        }
    }
}

#[component]
fn MeasuredCurve(
    dial: Dial,
    measures: Vec<(Measure, &'static str)>,
    first_measure: Measure,
    explains: bool,
) -> impl IntoView {
    let measure = RwSignal::new(first_measure);
    let bits_per_param = dial.family.with_value(|family| family.bits_per_param());
    let size_axes = vec![
        (SizeAxis::Parameters, "Parameters"),
        (SizeAxis::Layers, "Layers"),
        (SizeAxis::Megabytes { bits_per_param }, "MB"),
    ];
    // Between a tied student and a tied teacher are sizes with two matrices, some larger than the teacher:
    // by their parameters, the curve would run back.
    let ascends =
        dial.family.with_value(|family| family.measured().is_sorted_by_key(|stop| stop.n_params));
    let usual_axis = if ascends { SizeAxis::Parameters } else { SizeAxis::Layers };
    let size_axis = RwSignal::new(usual_axis);
    let has_orders =
        !explains && dial.curve.with_untracked(|curve| !curve.other_orders().is_empty());
    let chart = Memo::new(move |_| {
        let (size_axis, measure) = (size_axis.get(), measure.get());
        dial.curve.with(|curve| match explains {
            true => curve.in_own_order().chart(size_axis, measure),
            false => curve.chart(size_axis, measure),
        })
    });

    let chosen = RwSignal::new(Coverage::Subject);
    let can_zoom = Memo::new(move |_| chart.with(|it| it.as_ref().is_some_and(Chart::can_zoom)));
    let coverage = Memo::new(move |_| if can_zoom.get() { chosen.get() } else { Coverage::All });
    let zoom = move || can_zoom.get().then(|| view! { <Zoom legend="Vertical axis" chosen/> });

    let figure = NodeRef::<html::Div>::new();
    let width = width_of(figure);
    let geometry = Memo::new(move |_| {
        // A wide chart is scaled up somewhat, with its text; a narrow one is not scaled down.
        let width = width.get() / (width.get() / WIDTH_AS_IS).clamp(1.0, LARGEST);
        let height = (width * HEIGHT_PER_WIDTH).clamp(320.0, 560.0);
        let layout = |height: f64| {
            let of = |chart: &Chart| chart.geometry_of(coverage.get(), width, height);
            chart.with(|chart| chart.as_ref().map(of))
        };
        let first = layout(height)?;
        // A long legend takes its space from the plot.
        let missing = LEAST_PLOT_HEIGHT - (first.plot.bottom - first.plot.top);
        Some(Arc::new(if missing > 0.0 { layout(height + missing)? } else { first }))
    });
    let title = move || chart.with(|chart| chart.as_ref().map(|chart| chart.title.clone()));
    let cut = move || {
        let format = measure.get().format();
        geometry.with(|geometry| cut_in_words(&geometry.as_ref()?.cut, format))
    };
    let is_here = Memo::new(move |_| dial.measured_here.with(|all| !all.is_empty()));
    let drawing = move || {
        let (chart, geometry) = (chart.get()?, geometry.get()?);
        Some(view! { <Drawing chart geometry dial size_axis measure/> })
    };
    let svg = move || {
        let draw = |chart: &Chart| chart.to_svg_of(coverage.get(), SAVED_WIDTH, SAVED_HEIGHT);
        chart.with(|chart| chart.as_ref().map(draw).unwrap_or_default())
    };
    let svg = Signal::derive(svg);
    let csv = Signal::derive(move || dial.curve.with(SizeCurve::to_csv));
    let is_without = dial.family.with_value(|family| family.measured().is_empty());
    view! {
        <div class="panel-head">
            <h2 id="curve-heading">"Size and quality"</h2>
            <div class="choices">
                {(measures.len() > 1).then(|| view! {
                    <Choice legend="Measured as" options=measures.clone() chosen=measure/>
                })}
                {zoom}
                <Choice
                    legend="Size as"
                    options=size_axes
                    chosen=size_axis
                />
            </div>
        </div>
        <figure class="curve">
            <figcaption>{title}</figcaption>
            <div node_ref=figure>{drawing}</div>
            <p class="quiet" id="curve-cut">{cut}</p>
            <Show when=move || is_here.get()>
                <p class="quiet" id="curve-here">
                    {if is_without {
                        "Measured on this device, with the bundle's questions."
                    } else {
                        "Lines “on this device” are measured here, with the bundle's questions: \
                         fewer than those of the bundle's own curve."
                    }}
                </p>
            </Show>
        </figure>
        <CurveGuide dial measure has_orders is_open=explains && is_wide()/>
        <Saves name="curve" svg csv/>
        <CurveTable dial/>
    }
}

/// Whether an open guide leaves the dial near the chart.
fn is_wide() -> bool {
    let width = window().inner_width().ok().and_then(|width| width.as_f64());
    width.is_some_and(|width| width >= LEAST_WIDTH_OF_GUIDE)
}

/// The vertical axis of the first line or of all, for a chart in which that makes a difference.
#[component]
pub(super) fn Zoom(
    /// As for [`Choice`].
    legend: &'static str,
    chosen: RwSignal<Coverage>,
) -> impl IntoView {
    let options = vec![(Coverage::Subject, "Zoomed"), (Coverage::All, "All lines")];
    view! { <Choice legend options chosen/> }
}

/// Which lines leave the plot, and how far; `None` if none does.
pub(super) fn cut_in_words(cut: &[(String, f64)], format: Format) -> Option<String> {
    let lines =
        cut.iter().map(|(name, value)| format!("{name} (reaches {})", format.value(*value)));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| {
        format!("Partly beyond the axis: {}. “All lines” shows them whole.", lines.join(", "))
    })
}

/// The chart at one size; only the mark moves with the dial.
#[component]
fn Drawing(
    chart: Chart,
    geometry: Arc<Geometry>,
    dial: Dial,
    size_axis: RwSignal<SizeAxis>,
    measure: RwSignal<Measure>,
) -> impl IntoView {
    let plot = geometry.plot;
    let x_ticks = geometry.x_ticks.iter().map(|tick| {
        view! {
            <path class="axis" d=format!("M{:.1} {:.1}v5", tick.at, plot.bottom)></path>
            <text class="quiet" x=tick.at y=plot.bottom + 19.0 text-anchor="middle">
                {tick.label.clone()}
            </text>
        }
    });
    let y_ticks = geometry.y_ticks.iter().map(|tick| {
        view! {
            <path class="grid" d=format!("M{:.1} {:.1}H{:.1}", plot.left, tick.at, plot.right)></path>
            <text class="quiet" x=plot.left - 8.0 y=tick.at dy=".35em" text-anchor="end">
                {tick.label.clone()}
            </text>
        }
    });
    let reference = geometry.reference.clone().map(|reference| {
        let line = format!("M{:.1} {:.1}H{:.1}", plot.left, reference.y, plot.right);
        view! {
            <path class="reference" d=line></path>
            <text class="quiet" x=plot.right y=reference.y - 5.0 text-anchor="end">
                {reference.label}
            </text>
        }
    });
    let start = geometry.start_note.clone().map(|note| {
        view! { <text class="quiet" x="0" y=geometry.height - 4.0>{note}</text> }
    });
    let notes = geometry.notes.iter().map(|note| {
        let anchor = if note.is_left { "end" } else { "start" };
        view! { <text class="note" x=note.x y=note.y text-anchor=anchor>{note.text.clone()}</text> }
    });
    let legend = geometry.legend.iter().map(|item| view! { <LegendEntry item=item.clone()/> });
    let values = |name: &str| -> Vec<(f64, f64)> {
        let series = chart.series.iter().find(|series| series.name == name);
        let points = series.map(|series| series.points.as_slice()).unwrap_or_default();
        points.iter().map(|point| (point.x, point.y)).collect()
    };
    let series = geometry.series.iter().map(|series| {
        let values = values(&series.name);
        let formats = (chart.x.format, chart.y.format);
        view! { <Line series=series.clone() values formats dial size_axis/> }
    });
    view! {
        <svg
            id="curve"
            role="img"
            aria-label=chart.title.clone()
            viewBox=format!("0 0 {} {}", geometry.width, geometry.height)
        >
            <FittingRange geometry=geometry.clone() dial size_axis/>
            {legend.collect_view()}
            {y_ticks.collect_view()}
            <path class="axis" d=format!("M{:.1} {:.1}H{:.1}", plot.left, plot.bottom, plot.right)></path>
            {x_ticks.collect_view()}
            <text class="axis-name" x="0" y=geometry.y_label_at>{chart.y.label.clone()}</text>
            <text class="axis-name" x=plot.right y=geometry.height - 4.0 text-anchor="end">
                {chart.x.label.clone()}
            </text>
            {start}
            {reference}
            <clipPath id="curve-clip"><path d=geometry.clip_path()></path></clipPath>
            <g clip-path="url(#curve-clip)">{series.collect_view()}</g>
            {notes.collect_view()}
            <CurrentMark geometry=geometry.clone() dial size_axis measure/>
        </svg>
    }
}

#[component]
fn LegendEntry(item: LegendItem) -> impl IntoView {
    let LegendItem { style, x, y, .. } = item;
    let text_x = item.text_x();
    view! {
        <g class=style.class()>
            <path
                class="line"
                stroke-dasharray=style.dash()
                d=format!("M{x:.1} {y:.1}h{}", LegendItem::SAMPLE)
            ></path>
            <path class="marker" d=style.marker(x + LegendItem::SAMPLE / 2.0, y, MARKER_RADIUS)></path>
        </g>
        <text x=text_x y=y dy=".35em">{item.name}</text>
    }
}

/// A series; its points set the dial.
#[component]
fn Line(
    series: PlacedSeries,
    /// In data units, point by point.
    values: Vec<(f64, f64)>,
    /// Of x and y.
    formats: (Format, Format),
    dial: Dial,
    size_axis: RwSignal<SizeAxis>,
) -> impl IntoView {
    let style = series.style;
    let points = series.points.iter().zip(values).map(|(point, (x, y))| {
        let go = move |_| go_to(dial, size_axis.get_untracked(), x);
        let what = format!("{} at {}", formats.1.value(y), formats.0.value(x));
        view! {
            <path class="error" d=point.error_path()></path>
            <g class="point" on:click=go>
                <title>{what}</title>
                <circle class="target" cx=point.x cy=point.y r="14"></circle>
                <path class="marker" d=style.marker(point.x, point.y, MARKER_RADIUS)></path>
            </g>
        }
    });
    view! {
        <g class=style.class()>
            <path class="line" stroke-dasharray=style.dash() d=series.path()></path>
            {points.collect_view()}
        </g>
    }
}

/// Turns the dial to the stop that is measured at `x`.
fn go_to(dial: Dial, size_axis: SizeAxis, x: f64) {
    let stop = dial.curve.with_untracked(|curve| {
        let measured = Series::ALL.map(|series| curve.stops(series)).concat();
        let stop = measured.iter().find(|stop| size_axis.of(stop) == x)?;
        dial.family.with_value(|family| family.stop_with_layers(stop.n_layers))
    });
    if let Some(stop) = stop {
        dial.turn_to(stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_leave_the_plot_are_named() {
        assert_eq!(cut_in_words(&[], Format::Percent), None);
        let cut = [("Naive".to_owned(), 0.125), ("Random".to_owned(), 0.1)];
        let words = cut_in_words(&cut, Format::Percent).unwrap();
        assert!(words.starts_with("Partly beyond the axis: Naive (reaches 12.5 %), "));
    }
}
