//! The contents of a GGUF file, from its header.

use std::collections::BTreeMap;
use std::path::Path;

use boomerang_core::gguf::{Gguf, GgufValue};
use serde::Serialize;

use super::{InspectArgs, line};
use crate::files::{GgufFile, gguf_plan};
use crate::progress::print;

#[derive(Debug, Serialize)]
struct Findings {
    architecture: Option<String>,
    name: Option<String>,
    n_layers: Option<usize>,
    d_model: Option<usize>,
    max_seq: Option<usize>,
    /// Whether the head is the embedding.
    tied: bool,
    n_params: u64,
    n_tensors: usize,
    /// Bytes by number format.
    types: BTreeMap<String, u64>,
    tokenizer: Option<String>,
    /// Student of a teacher with this many layers, and which of them it keeps.
    student_of: Option<(usize, Vec<usize>)>,
    recipe: Option<serde_json::Value>,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let file = GgufFile::open(&args.model)?;
    let findings = look(&args.model, &file.parse()?)?;
    if args.json {
        print(&serde_json::to_string_pretty(&findings)?);
    } else {
        print(findings.to_text().trim_end());
    }
    Ok(())
}

fn look(path: &Path, file: &Gguf<'_>) -> anyhow::Result<Findings> {
    let size = |key: &str| file.get(key).and_then(GgufValue::as_size);
    let text = |key: &str| file.metadata.text(key).map(str::to_owned);
    let mut types = BTreeMap::<String, u64>::new();
    for tensor in file.tensors() {
        *types.entry(tensor.kind.name()).or_default() += tensor.data.len() as u64;
    }
    let n_tokens = file.metadata.get("tokenizer.ggml.tokens").and_then(GgufValue::as_array);
    let tokenizer = text("tokenizer.ggml.model").zip(n_tokens).map(|(model, tokens)| {
        let pre = file.metadata.text("tokenizer.ggml.pre");
        let pre = pre.map_or_else(String::new, |pre| format!(" ({pre})"));
        format!("{model}{pre}, {} tokens", tokens.len())
    });
    let plan = gguf_plan(path, file)?;
    Ok(Findings {
        architecture: file.architecture().map(str::to_owned),
        name: text("general.name"),
        n_layers: size("block_count"),
        d_model: size("embedding_length"),
        max_seq: size("context_length"),
        tied: file.tensor("output.weight").is_none(),
        n_params: file.tensors().iter().map(|tensor| tensor.n_values() as u64).sum(),
        n_tensors: file.tensors().len(),
        types,
        tokenizer,
        student_of: plan.map(|plan| (plan.n_teacher_layers(), plan.kept())),
        recipe: text("boomerang.recipe").and_then(|recipe| serde_json::from_str(&recipe).ok()),
    })
}

impl Findings {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        let size = |value: Option<usize>| known(value.map(|value| value.to_string()));
        line(&mut text, "format", "GGUF".to_owned());
        // What the file says may hold what a terminal obeys, and have any length.
        let shown = |value: &String| -> String {
            let escaped = value.chars().take(200).map(|letter| match letter.is_control() {
                true => letter.escape_default().to_string(),
                false => letter.to_string(),
            });
            escaped.collect()
        };
        line(&mut text, "architecture", known(self.architecture.as_ref().map(shown)));
        line(&mut text, "name", known(self.name.as_ref().map(shown)));
        line(&mut text, "layers", size(self.n_layers));
        line(&mut text, "width", size(self.d_model));
        line(&mut text, "context", format!("{} tokens", size(self.max_seq)));
        let head = if self.tied { "tied to the embedding" } else { "separate" };
        line(&mut text, "head", head.to_owned());
        line(&mut text, "parameters", format!("{} in {} tensors", self.n_params, self.n_tensors));
        let types: Vec<String> =
            self.types.iter().map(|(kind, bytes)| format!("{kind} {bytes}")).collect();
        line(&mut text, "bytes", types.join(", "));
        let tokenizer = self.tokenizer.as_ref().map_or_else(|| "none".to_owned(), shown);
        line(&mut text, "tokenizer", tokenizer);
        if let Some((n_layers, kept)) = &self.student_of {
            let student = format!("kept layers {kept:?} of a teacher with {n_layers} layers");
            line(&mut text, "student", student);
        }
        if let Some(recipe) = &self.recipe {
            line(&mut text, "recipe", recipe.to_string());
        }
        text
    }
}
