//! The report as one self-contained HTML file: no script, no request.

use std::fmt::Write as _;

use boomerang_core::chart::{STYLE, escape};

use super::{PICTURE, Report, Table};
use crate::curves::{chart, shapes_table, sizes_table};
use crate::lines::SizeAxis;
use crate::metric::Metric;

/// The style of the page; charts have their own.
const PAGE_STYLE: &str = include_str!("style.css");

/// Nothing may be loaded or run, even if a name were not escaped.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'";

/// Maximum number of curves; with more metrics, there is only one axis to choose from.
const MOST_CURVES: usize = 160;

pub(crate) fn html(report: &Report) -> String {
    let mut page = Page { html: String::new() };
    page.add(&format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{PAGE_STYLE}{STYLE}\n{choice}</style>\n</head>\n<body>\n<main>\n",
        title = escape(&report.title),
        choice = choice_style(report),
    ));
    page.head(report);
    page.curves(report);
    page.steps(report);
    page.orders(report);
    page.layers(report);
    page.reading(report);
    page.manifest(report);
    page.add(&format!(
        "</main>\n<footer>Written by boomerang report {}.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    ));
    page.html
}

struct Page {
    html: String,
}

impl Page {
    /// Adds markup, unescaped.
    fn add(&mut self, markup: &str) {
        self.html.push_str(markup);
    }

    fn heading(&mut self, id: &str, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.html, "<h2 id=\"{id}\">{}</h2>", escape(text));
    }

    fn list(&mut self, class: &str, sentences: &[String]) {
        if sentences.is_empty() {
            return;
        }
        let _ = writeln!(self.html, "<ul class=\"{class}\">");
        for sentence in sentences {
            let _ = writeln!(self.html, "<li>{}</li>", prose(sentence));
        }
        self.add("</ul>\n");
    }

    fn figure(&mut self, class: &str, caption: &str, svg: &str) {
        let _ = writeln!(
            self.html,
            "<figure class=\"{class}\">\n<figcaption>{}</figcaption>\n{svg}</figure>",
            escape(caption)
        );
    }

    fn folded(&mut self, summary: &str, table: &Table) {
        let summary = escape(summary);
        let _ = write!(
            self.html,
            "<details><summary>{summary}</summary>\n{}</details>\n",
            table.to_html()
        );
    }

    fn head(&mut self, report: &Report) {
        let entry = |name: &str| {
            let found = report.manifest.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        let _ = writeln!(self.html, "<h1>{}</h1>", escape(&report.title));
        let under: Vec<&str> = [entry("date"), entry("device")].into_iter().flatten().collect();
        if !under.is_empty() {
            let _ = writeln!(self.html, "<p class=\"under\">{}</p>", escape(&under.join(" · ")));
        }
        self.list("findings", &report.findings);
        self.list("notes", &report.notes);
    }

    fn curves(&mut self, report: &Report) {
        let Some(metric) = &report.metric else { return };
        self.heading("size", "Size and quality");
        let (axes, metrics) = choices(report);
        self.add("<div class=\"choose\">\n");
        let axis_names: Vec<&str> = axes.iter().map(|axis| axis.words()).collect();
        let axis = axes.iter().position(|axis| *axis == report.axis);
        self.choice("a", "Size in", &axis_names, axis.unwrap_or(0));
        let words: Vec<String> = metrics.iter().map(|metric| metric.words()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let chosen = metrics.iter().position(|other| *other == metric);
        self.choice("m", "Quality as", &words, chosen.unwrap_or(0));
        for (index, axis) in axes.iter().enumerate() {
            for (number, metric) in metrics.iter().enumerate() {
                let Some(chart) = chart(&report.lines, &report.tasks, metric, *axis) else {
                    continue;
                };
                let id = format!("curve-{index}-{number}");
                let svg = chart.to_element(&id, PICTURE.0, PICTURE.1);
                self.figure(&format!("curve a{index} m{number}"), &chart.title, &svg);
            }
        }
        self.add("</div>\n");
        self.add(&sizes_table(&report.lines, &report.shown_metrics()).to_html());
        self.add("<h3>Smoothness</h3>\n");
        self.add(&shapes_table(&report.lines, metric).to_html());
        self.folded("Every metric of every task", &sizes_table(&report.lines, &metrics));
    }

    /// Radio buttons; the style sheet shows what the selected ones stand for.
    fn choice(&mut self, name: &str, title: &str, words: &[&str], chosen: usize) {
        let checked = |index: usize| if index == chosen { " checked" } else { "" };
        let _ = writeln!(self.html, "<p>{}</p>", escape(title));
        for (index, words) in words.iter().enumerate() {
            let words = escape(words);
            let _ = writeln!(
                self.html,
                "<input type=\"radio\" name=\"{name}\" id=\"{name}{index}\"{checked} \
                 aria-label=\"{title} {words}\"><label for=\"{name}{index}\">{words}</label>",
                checked = checked(index),
            );
        }
    }

    fn steps(&mut self, report: &Report) {
        let tables = report.step_tables();
        let [next, largest, by_task] = &*tables else { return };
        let n_draws = report.steps.as_ref().map_or(0, |steps| steps.n_draws);
        self.heading("steps", "Significant differences");
        let _ = writeln!(
            self.html,
            "<p>Members answer the same questions, so differences are tested per question: by a paired \
             bootstrap with {n_draws} resamples, and by McNemar's test where answers are right or wrong. \
             P-values are corrected for the number of comparisons in each table (Holm); below 0.05 a \
             difference is significant.</p>"
        );
        self.add(&next.to_html());
        self.add(&largest.to_html());
        self.folded("Task by task", by_task);
    }

    fn orders(&mut self, report: &Report) {
        let Some(chart) = report.orders.chart() else { return };
        self.heading("orders", "Patching orders");
        self.figure("", &chart.title, &chart.to_element("orders-chart", PICTURE.0, PICTURE.1));
        let columns =
            ["order", "layers#", "KL from the teacher#", "loss in nats/token#", "patched"];
        let mut table = Table::new("On the calibration texts; ± one standard error.", &columns);
        for order in &report.orders.orders {
            for size in &order.sizes {
                let with = |value: f64, stderr: Option<f64>| match stderr {
                    Some(stderr) => format!("{value:.4} ± {stderr:.4}"),
                    None => format!("{value:.4}"),
                };
                let patched: Vec<String> = size.patched.iter().map(ToString::to_string).collect();
                table.push([
                    order.name.clone(),
                    size.layers.to_string(),
                    with(size.kl, size.kl_stderr),
                    with(size.nats, size.nats_stderr),
                    patched.join(" "),
                ]);
            }
        }
        self.folded("Every size of every order", &table);
    }

    fn layers(&mut self, report: &Report) {
        let Some(analysis) = &report.analysis else { return };
        self.heading("layers", "Layers");
        let map = analysis.heat_map();
        self.figure("", &format!("{}.", map.title), &map.to_element("similarity-map", PICTURE.0));
        let bars = analysis.influence_bars();
        let svg = bars.to_element("influence-bars", PICTURE.0, 360.0);
        self.figure("", &format!("{}.", bars.title), &svg);
        if let Some(bars) = analysis.block_bars() {
            let svg = bars.to_element("block-bars", PICTURE.0, 360.0);
            self.figure("", &format!("{}.", bars.title), &svg);
        }
        self.list("advice", &analysis.advice.sentences);
    }

    /// What each number means; the long form is in docs/report.md.
    fn reading(&mut self, report: &Report) {
        let mut words = Vec::new();
        if report.metric.is_some() {
            words.extend(READING_CURVES);
        }
        if report.steps.is_some() {
            words.extend(READING_STEPS);
        }
        if report.analysis.is_some() {
            words.extend(READING_LAYERS);
        }
        if words.is_empty() {
            return;
        }
        self.heading("reading", "Glossary");
        self.add("<dl>\n");
        for (term, meaning) in words {
            let _ = writeln!(self.html, "<dt>{}</dt><dd>{}</dd>", escape(term), escape(meaning));
        }
        self.add("</dl>\n");
    }

    fn manifest(&mut self, report: &Report) {
        if report.manifest.is_empty() {
            return;
        }
        self.heading("manifest", "Provenance");
        let mut table = Table::new("", &["what", "value"]);
        for (name, value) in &report.manifest {
            table.push([name, value]);
        }
        let _ = writeln!(self.html, "<div class=\"manifest\">{}</div>", table.to_html());
    }
}

const READING_CURVES: [(&str, &str); 5] = [
    ("±", "one standard error: of the questions for one seed, of seeds and questions for several."),
    ("largest fall", "the largest amount by which a size is worse than a smaller one."),
    (
        "Kendall τ",
        "rank correlation of size and quality: 1 when every larger size is better, -1 when worse.",
    ),
    (
        "area above the line",
        "between the curve and the straight line from its first to its last size, as a share of the \
         rectangle they span: above 0 when middle sizes are better than the line, 0.5 when all are as \
         good as the largest.",
    ),
    (
        "largest step",
        "the largest gain from one size to the next as a share of the total gain: 1 divided by the number \
         of steps for an even gain, near 1 for a jump.",
    ),
];

const READING_STEPS: [(&str, &str); 3] = [
    (
        "bootstrap p",
        "how often a resampled set of questions changes the sign of the difference, doubled; for means, \
         questions are resampled within each task, and tasks have equal weight.",
    ),
    (
        "McNemar p",
        "probability of a disagreement at least as one-sided between two equally good models: exact up to 25 \
         disagreements, else chi-squared with correction for continuity; all tasks' questions together.",
    ),
    (
        "corrected",
        "Holm's correction: the probability of any false positive among the comparisons is below 5 %.",
    ),
];

const READING_LAYERS: [(&str, &str); 2] = [
    (
        "cosine",
        "cosine similarity of two states of the same token, mean over tokens: 1 for the same direction.",
    ),
    (
        "block influence",
        "1 minus the cosine similarity of a layer's input and output: 0 if the direction does not change.",
    ),
];

/// A sentence, with no-break spaces before percent signs.
fn prose(sentence: &str) -> String {
    escape(sentence).replace(" %", "\u{a0}%")
}

/// The axes and metrics that can be selected: those with results.
fn choices(report: &Report) -> (Vec<SizeAxis>, Vec<&Metric>) {
    let metrics: Vec<&Metric> = report.metrics.iter().collect();
    let is_drawn = |axis: &SizeAxis| {
        metrics.iter().any(|metric| chart(&report.lines, &report.tasks, metric, *axis).is_some())
    };
    let axes: Vec<SizeAxis> = SizeAxis::ALL.into_iter().filter(is_drawn).collect();
    let axes = if axes.len() * metrics.len() > MOST_CURVES { vec![report.axis] } else { axes };
    (axes, metrics)
}

/// Shows the one curve whose two buttons are selected.
fn choice_style(report: &Report) -> String {
    let (axes, metrics) = choices(report);
    let pairs =
        (0..axes.len()).flat_map(|axis| (0..metrics.len()).map(move |metric| (axis, metric)));
    let rule = |(axis, metric)| {
        format!("#a{axis}:checked~#m{metric}:checked~.curve.a{axis}.m{metric}{{display:block}}\n")
    };
    pairs.map(rule).collect()
}
