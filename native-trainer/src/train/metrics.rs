//! The lines of `metrics.jsonl`.

use boomerang_core::distill::StepReport;
use boomerang_core::distill::loss::LossTerm;
use serde_json::{Value, json};

/// One line of `metrics.jsonl`. `cosine` is the mean of `cosine_by_state`, both before the weight.
pub fn metrics_line(
    report: &StepReport,
    step: usize,
    n_tokens: usize,
    tokens_per_second: f64,
) -> Value {
    let mut line = json!({ "step": step, "loss": report.terms.total });
    for term in LossTerm::ALL {
        line[term.key()] = json!(term.value(&report.terms));
    }
    line["cosine_by_state"] = json!(report.terms.alignment);
    line["grad_norm"] = json!(report.grad_norm);
    line["lr"] = json!(report.learning_rate);
    line["tokens"] = json!(n_tokens);
    if !report.is_taken {
        line["skipped"] = json!(true);
    }
    line["tokens_per_second"] = json!(tokens_per_second);
    line
}
