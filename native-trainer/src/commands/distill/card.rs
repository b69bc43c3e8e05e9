//! The model card of a student: what it was made from, and how well it imitates its teacher.

use std::fmt::Write as _;

use boomerang_core::distill::loss::LossTerm;
use serde_json::Value;

use crate::train::run_folder::RunFolder;

/// The facts of a card.
pub(super) struct Card<'a> {
    /// `settings.json` of the run.
    pub(super) record: &'a Value,
    /// The flags of the command as YAML; empty where it was not run from a command line.
    pub(super) flags: &'a str,
    pub(super) n_teacher_layers: usize,
    pub(super) n_params: u64,
    /// Steps that made this student.
    pub(super) n_steps: usize,
}

/// Lines of the table of losses.
const N_SHOWN: usize = 8;

impl Card<'_> {
    /// `README.md`, in Hugging Face's form.
    pub(super) fn to_markdown(&self, run: &RunFolder) -> String {
        let text = |key: &str| self.record[key].as_str().unwrap_or("?").to_owned();
        let teacher = text("teacher");
        let kept: Vec<String> =
            self.record["kept"].as_array().into_iter().flatten().map(Value::to_string).collect();
        let mut card = format!(
            "---\n\
             library_name: transformers\n\
             base_model: {teacher}\n\
             base_model_relation: finetune\n\
             tags:\n  - boomerang-distillation\n\
             ---\n\n\
             # {} of {} layers of {teacher}, distilled\n\n\
             A student (arXiv:2510.05064): layers of its teacher can be patched back into it, with no \
             further training, for every size in between.\n\n\
             | | |\n|---|---|\n\
             | teacher layers kept | {} |\n\
             | parameters | {} |\n\
             | optimizer steps | {} |\n",
            kept.len(),
            self.n_teacher_layers,
            kept.join(", "),
            self.n_params,
            self.n_steps,
        );
        let prints = &self.record["fingerprints"];
        let rows = [
            ("teacher weights", prints["teacher"]["weights"].as_str().map(str::to_owned)),
            ("tokenizer", prints["teacher"]["tokenizer"].as_str().map(str::to_owned)),
            ("data, SHA-256", Some(listed(&prints["data_sha256"]))),
        ];
        for (name, value) in rows {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _ = writeln!(card, "| {name} | `{value}` |");
            }
        }
        card.push_str(&losses(&run.metrics_text()));
        if !self.flags.is_empty() {
            let _ = write!(
                card,
                "\nMade by `boomerang distill -c config.yaml`:\n\n```yaml\n{}```\n",
                self.flags
            );
        }
        card
    }
}

fn listed(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    values.collect::<Vec<_>>().join(", ")
}

/// The losses of some steps, spread over the run.
fn losses(metrics: &str) -> String {
    let lines: Vec<Value> =
        metrics.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let has_held_out = lines.iter().any(|line| line["held_out"]["loss"].is_f64());
    let shown: Vec<&Value> = match has_held_out {
        true => lines.iter().filter(|line| line["held_out"]["loss"].is_f64()).collect(),
        false => lines.iter().collect(),
    };
    let n = shown.len().min(N_SHOWN);
    let at = |index: usize| shown[if n > 1 { index * (shown.len() - 1) / (n - 1) } else { 0 }];
    let names = LossTerm::ALL.map(LossTerm::short_name).join(" | ");
    let mut table = format!(
        "\n| step | tokens | loss | {names} | held-out loss |\n|---|---|---|{}---|\n",
        "---|".repeat(LossTerm::ALL.len())
    );
    for line in (0..n).map(at) {
        let number = |value: &Value| value.as_f64().map_or("–".to_owned(), |x| format!("{x:.4}"));
        let terms = LossTerm::ALL.map(|term| number(&line[term.key()])).join(" | ");
        let (loss, held_out) = (number(&line["loss"]), number(&line["held_out"]["loss"]));
        let _ = writeln!(
            table,
            "| {} | {} | {loss} | {terms} | {held_out} |",
            line["step"], line["tokens"]
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_steps_over_the_whole_run() {
        let line = |step: usize| {
            let held_out =
                if step.is_multiple_of(10) { ", \"held_out\": {\"loss\": 2.5}" } else { "" };
            format!("{{\"step\": {step}, \"tokens\": 8, \"loss\": 3.25, \"ce\": null{held_out}}}\n")
        };
        let table = losses(&(1..=40).map(line).collect::<String>());
        assert!(table.contains("| 10 | 8 | 3.2500 | – | – | – | 2.5000 |\n"), "{table}");
        assert!(table.ends_with("| 40 | 8 | 3.2500 | – | – | – | 2.5000 |\n"), "{table}");
        let all = losses(&(1..=9).map(line).collect::<String>());
        assert!(all.contains("| 1 | ") && all.contains("| 9 | "), "{all}");
        assert_eq!(losses(""), "");
    }
}
