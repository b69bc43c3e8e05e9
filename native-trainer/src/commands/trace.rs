//! `boomerang trace`: what a model computes, for comparison with another implementation.

use std::path::PathBuf;

use anyhow::ensure;
use boomerang_core::checkpoint::{Precision, tensors_to_bytes};
use boomerang_core::distill::{Batch, Layout, Row};
use boomerang_core::evaluate::ensure_finite;
use boomerang_core::model::{ForwardTrace, LanguageModel};
use burn::tensor::Tensor;

use crate::args::{DeviceArgs, OutputArgs, WeightArgs};
use crate::device;
use crate::files::ModelFolder;
use crate::progress::print;

/// Write a model's logits and hidden states, to compare with another implementation
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output file: logits [seq, vocab] and hidden_states.0 … [seq, d_model], as f32 safetensors")))]
pub struct TraceArgs {
    /// Model: folder, recipe or Hub id
    #[arg(long)]
    pub model: PathBuf,
    /// Input token ids, e.g. 1,17,4
    #[arg(long, value_delimiter = ',', required = true)]
    pub ids: Vec<u32>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub weights: WeightArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

pub fn run(args: &TraceArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?;
    let format = args.weights.on(&device.device)?;
    let folder = ModelFolder::open(&args.model)?;
    let out = args.output.file()?;
    let model = folder.model_as(format, &device.device)?;
    let vocab = model.config().vocab;
    if let Some(id) = args.ids.iter().find(|&&id| id as usize >= vocab) {
        ensure!(false, "token {id} is outside the model's vocabulary of {vocab}");
    }
    let (n_tokens, max_seq) = (args.ids.len(), model.config().max_seq);
    ensure!(
        n_tokens <= max_seq,
        "{n_tokens} tokens exceed the model's context length of {max_seq}"
    );
    let trace = trace_text(&model, &args.ids);
    let logits: Vec<f32> = trace.logits.to_data().iter::<f32>().collect();
    ensure_finite(&logits, "the logits")?;

    let values = |tensor: Tensor<3>| {
        let [_, rows, columns] = tensor.dims();
        (vec![rows, columns], tensor.into_data().iter::<f32>().collect::<Vec<_>>())
    };
    let mut tensors = Vec::new();
    for (number, state) in trace.hidden_states.into_iter().enumerate() {
        let (shape, values) = values(state);
        tensors.push((format!("hidden_states.{number}"), shape, values));
    }
    let (shape, values) = values(trace.logits);
    tensors.push(("logits".to_owned(), shape, values));
    let n_states = tensors.len() - 1;
    let bytes = tensors_to_bytes(tensors, Precision::F32)?;
    out.write(&bytes)?;
    print(&format!("{}: logits and {n_states} hidden states", args.output.out.display()));
    Ok(())
}

/// One pass over one text.
pub(super) fn trace_text(model: &LanguageModel, ids: &[u32]) -> ForwardTrace {
    let row = Row::new(ids.to_vec(), vec![1; ids.len()]);
    let batch =
        Batch::new(vec![row], Layout::of_single_texts(model.config())).to_device(&model.device());
    model.trace(batch.tokens, &batch.mask)
}
