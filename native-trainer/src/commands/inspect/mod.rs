//! `boomerang inspect`: a description of a model, from its file headers.

mod gguf;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use boomerang_core::checkpoint::{Checkpoint, Names};
use boomerang_core::config::{LayerKind, ModelConfig, RopeScaling};
use serde::Serialize;

use crate::files::{ModelFolder, is_gguf};
use crate::progress::print;

/// Describe a model from its file headers
#[derive(Clone, Debug, clap::Args)]
pub struct InspectArgs {
    /// Model: folder, Hub id, recipe or GGUF file
    pub model: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What the headers contain, without reading a weight.
#[derive(Debug, Serialize)]
struct Findings {
    model_type: &'static str,
    n_layers: usize,
    d_model: usize,
    d_ff: usize,
    n_heads: usize,
    n_kv_heads: usize,
    d_head: usize,
    vocab: usize,
    max_seq: usize,
    tied: bool,
    n_params: u64,
    rope: Vec<String>,
    layers: Vec<LayerKind>,
    tokenizer: bool,
    /// Student of a teacher with this many layers, and which of them it keeps.
    student_of: Option<(usize, Vec<usize>)>,
    /// Bytes by dtype.
    dtypes: BTreeMap<String, u64>,
    bytes: Parts,
    /// Tensors that no part of the model reads.
    unused: Vec<String>,
}

/// Bytes by part.
#[derive(Debug, Default, Serialize)]
struct Parts {
    embedding: u64,
    layers: u64,
    norm: u64,
    head: u64,
    unused: u64,
}

/// # Errors
/// Names what is missing, or the part of the model that is not supported.
pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    if is_gguf(&args.model) {
        return gguf::run(args);
    }
    let folder = ModelFolder::open(&args.model)?;
    let checkpoint = folder.checkpoint()?;
    folder.check()?;
    let findings = look(&folder, &checkpoint)?;
    if args.json {
        print(&serde_json::to_string_pretty(&findings)?);
    } else {
        print(findings.to_text().trim_end());
    }
    Ok(())
}

fn look(folder: &ModelFolder, checkpoint: &Checkpoint<'_>) -> anyhow::Result<Findings> {
    let config = folder.config();
    let names = Names::of(config);
    let mut bytes = Parts::default();
    let mut dtypes = BTreeMap::new();
    let mut unused = Vec::new();
    for (name, view) in checkpoint.tensors() {
        let n_bytes = view.data().len() as u64;
        *dtypes.entry(format!("{:?}", view.dtype())).or_default() += n_bytes;
        let part = match names.part(name) {
            Some("layers") => &mut bytes.layers,
            Some("embedding") => &mut bytes.embedding,
            Some("norm") => &mut bytes.norm,
            Some("transform" | "head") => &mut bytes.head,
            _ => {
                unused.push(name.clone());
                &mut bytes.unused
            }
        };
        *part += n_bytes;
    }
    let plan = folder.plan()?;
    Ok(Findings {
        model_type: config.traits().model_type,
        n_layers: config.n_layers(),
        d_model: config.d_model,
        d_ff: config.d_ff,
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        d_head: config.d_head,
        vocab: config.vocab,
        max_seq: config.max_seq,
        tied: config.tied,
        n_params: config.n_params(),
        rope: rope(config),
        layers: config.layers.clone(),
        tokenizer: folder.tokenizer_json()?.is_some(),
        student_of: plan.map(|plan| (plan.n_teacher_layers(), plan.kept())),
        dtypes,
        bytes,
        unused,
    })
}

fn rope(config: &ModelConfig) -> Vec<String> {
    let tables = config.rotary.iter().map(|rotary| {
        let scaling = match &rotary.scaling {
            RopeScaling::None => String::new(),
            RopeScaling::Linear { factor } => format!(", positions divided by {factor}"),
            RopeScaling::Dynamic { factor, window } => {
                format!(", dynamic by {factor} beyond {window} positions")
            }
            RopeScaling::Llama3 { factor, .. } => format!(", llama3 by {factor}"),
            RopeScaling::Yarn { factor, original_seq, .. } => {
                format!(", yarn by {factor} from {original_seq} positions")
            }
            RopeScaling::LongRope { original_seq, .. } => {
                format!(", longrope from position {original_seq}")
            }
        };
        format!(
            "theta {}, {} of {} dimensions{scaling}",
            rotary.theta, rotary.d_rotated, config.d_head
        )
    });
    tables.collect()
}

fn line(text: &mut String, label: &str, value: String) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{label:<12} {value}");
}

impl Findings {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| line(&mut text, label, value);
        let tied = if self.tied { "tied to the embedding" } else { "separate" };
        line("model_type", self.model_type.to_owned());
        line("layers", self.n_layers.to_string());
        line("width", format!("{}, feed-forward {}", self.d_model, self.d_ff));
        line(
            "attention",
            format!(
                "{} heads of {}, {} key-value heads",
                self.n_heads, self.d_head, self.n_kv_heads
            ),
        );
        line("vocabulary", format!("{}, head: {tied}", self.vocab));
        line("context", format!("{} tokens", self.max_seq));
        for rope in &self.rope {
            line("rope", rope.clone());
        }
        let n_windowed = self.layers.iter().filter(|layer| layer.window.is_some()).count();
        if let Some(window) = self.layers.iter().find_map(|layer| layer.window) {
            line("sliding", format!("{n_windowed} layers, window of {window} positions"));
        }
        line("parameters", self.n_params.to_string());
        let Parts { embedding, layers, norm, head, unused } = self.bytes;
        line(
            "bytes",
            format!("{layers} in layers, {embedding} embedding, {norm} norm, {head} head"),
        );
        let dtypes: Vec<String> =
            self.dtypes.iter().map(|(dtype, bytes)| format!("{dtype} {bytes}")).collect();
        line("dtypes", dtypes.join(", "));
        if !self.unused.is_empty() {
            line("unused", format!("{} tensors, {unused} bytes", self.unused.len()));
        }
        line("tokenizer", if self.tokenizer { "tokenizer.json" } else { "none" }.to_owned());
        if let Some((n_layers, kept)) = &self.student_of {
            line("student", format!("kept layers {kept:?} of a teacher with {n_layers} layers"));
        }
        text
    }
}
