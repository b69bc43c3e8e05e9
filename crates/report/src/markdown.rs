//! The report as Markdown, with charts as separate files.

use std::fmt::Write as _;

use super::{Report, Table};
use crate::curves::{shapes_table, sizes_table};
use crate::table::markdown_text;

pub(crate) fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n", markdown_text(&report.title));
    let mut list = |sentences: &[String]| {
        for sentence in sentences {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {}", markdown_text(sentence));
        }
    };
    list(&report.findings);
    list(&report.notes);
    let table = |text: &mut String, table: &Table| {
        let _ = write!(text, "\n{}", table.to_markdown());
    };
    if let Some(metric) = &report.metric {
        let words = markdown_text(&metric.words());
        let _ = write!(text, "\n## Size and quality\n\n![{words} by size](curve.svg)\n");
        table(&mut text, &sizes_table(&report.lines, &report.shown_metrics()));
        let _ = write!(text, "\n## Smoothness\n");
        table(&mut text, &shapes_table(&report.lines, metric));
    }
    let steps = report.step_tables();
    if !steps.is_empty() {
        let _ = write!(text, "\n## Significant differences\n");
        for step in steps.iter().take(2) {
            table(&mut text, step);
        }
    }
    if report.orders.chart().is_some() {
        let _ =
            write!(text, "\n## Patching orders\n\n![KL from the teacher by layers](orders.svg)\n");
    }
    if let Some(analysis) = &report.analysis {
        let title = markdown_text(&analysis.heat_map().title);
        let _ = write!(text, "\n## Layers\n\n![{title}](similarity.svg)\n\n");
        let _ = write!(text, "![Block influence](influence.svg)\n\n");
        for sentence in &analysis.advice.sentences {
            let _ = writeln!(text, "- {}", markdown_text(sentence));
        }
    }
    if !report.manifest.is_empty() {
        let mut manifest = Table::new("", &["what", "value"]);
        for (name, value) in &report.manifest {
            manifest.push([name, value]);
        }
        let _ = write!(text, "\n## Provenance\n");
        table(&mut text, &manifest);
    }
    text
}
