//! The results on this machine as Markdown.

use boomerang_core::estimate::Estimate;
use boomerang_engine::messages::CheckedMember;

use super::{MeasuredSize, accuracy, check, measured};
use crate::browser::machine::Fact;
use crate::text::format;

/// What [`MeasuredSize::speed_in_words`] gives.
const SPEED: &str = "Tokens per second, median run (slowest–fastest)";

/// The contents of a report.
pub struct Report<'a> {
    pub model: &'a str,
    /// Identifies the model.
    pub fingerprint: &'a str,
    pub facts: &'a [Fact],
    pub checks: &'a [CheckedMember],
    /// The name of the questions, if the bundle has a task.
    pub task: Option<&'a str>,
    pub sizes: &'a [MeasuredSize],
}

/// The report, without results that are not available.
pub fn to_markdown(report: &Report<'_>) -> String {
    let Report { model, fingerprint, facts, checks, task, sizes } = report;
    let mut text = format!("# Boomerang on this machine\n\nModel: {model} ({fingerprint})\n\n");
    let facts = facts.iter().map(|fact| vec![fact.name.to_owned(), fact.value.clone()]);
    text.push_str(&table(&["Property", "Value"], facts));
    if let Some(finding) = check::finding(checks) {
        text.push_str(&format!("\n## Check\n\n{finding}\n\n"));
        let rows = checks.iter().map(|check| {
            let mismatch = check.first_mismatch.map(|index| format!("token {}", index + 1));
            vec![
                check.prompt.clone(),
                check.n_layers.to_string(),
                check.n_tokens.to_string(),
                mismatch.unwrap_or_else(|| "none".to_owned()),
                check::small(check.max_difference),
            ]
        });
        let head = ["Prompt", "Layers", "Tokens", "First mismatch", "Largest difference (nats)"];
        text.push_str(&table(&head, rows));
    }
    if !sizes.is_empty() {
        let of = task.map(|task| format!(": {}", cell(task))).unwrap_or_default();
        text.push_str(&format!("\n## Evaluation{of}\n\n"));
        if let Some(finding) = measured::finding(sizes) {
            text.push_str(&format!("{finding}\n\n"));
        }
        let rows = sizes.iter().map(|of| {
            vec![
                of.size.n_layers.to_string(),
                format::params(of.size.n_params),
                share(of),
                of.speed_in_words(),
                memory(of.measured.heap_bytes),
            ]
        });
        let head = ["Layers", "Parameters", "Accuracy", SPEED, "Memory"];
        text.push_str(&table(&head, rows));
    }
    text
}

/// `61.3 % ± 4.9`
pub fn share(of: &MeasuredSize) -> String {
    match accuracy(&of.measured) {
        Some((mean, stderr)) => Estimate { mean, stderr: stderr.unwrap_or(f64::NAN) }.to_percent(),
        None => "–".to_owned(),
    }
}

pub fn memory(heap_bytes: u64) -> String {
    if heap_bytes == 0 { "–".to_owned() } else { format::bytes(heap_bytes) }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|&name| name.to_owned()).collect());
    text.push_str(&line(vec!["---".to_owned(); head.len()]));
    for row in rows {
        text.push_str(&line(row.iter().map(|text| cell(text)).collect()));
    }
    text
}

/// Text escaped for a cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::sizes;
    use super::*;

    #[test]
    fn a_report_contains_all_results_and_nothing_else() {
        let facts = [Fact { name: "Backend", value: "CPU, a|b".to_owned() }];
        let check = CheckedMember {
            member: 0,
            prompt: "one\ntwo".to_owned(),
            n_layers: 4,
            n_tokens: 12,
            first_mismatch: None,
            instead: None,
            max_difference: 0.0,
        };
        let report = Report {
            model: "demo",
            fingerprint: "abc",
            facts: &facts,
            checks: std::slice::from_ref(&check),
            task: Some("copy"),
            sizes: &sizes(),
        };
        let text = to_markdown(&report);
        for line in [
            "Model: demo (abc)",
            "| Backend | CPU, a\\|b |",
            "| one two | 4 | 12 | none | 0 |",
            "## Evaluation: copy",
            "| 4 | 4000 | 40.0 % ± 24.5 | 50 (48–53) | 40.0 MB |",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        let bare = to_markdown(&Report { checks: &[], sizes: &[], ..report });
        assert!(!bare.contains("##"), "{bare}");
    }
}
