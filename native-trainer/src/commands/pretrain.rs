//! `boomerang pretrain`: a small teacher from scratch, on the generated corpus.

use std::time::Instant;

use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::config::ModelConfig;
use boomerang_core::corpus::{Corpus, pretrain_recipe};
use boomerang_core::distill::{
    Initialization, LayerDrop, Levers, Pretrainer, StepMemory, StepShape,
};
use boomerang_core::model::LanguageModel;
use futures_lite::future::block_on;
use serde_json::json;

use crate::args::numbers::{count, positive, probability, sequence_length, share};
use crate::args::{DeviceArgs, OutputArgs};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::memory::require_memory;
use crate::progress::{Progress, note, print};
use crate::train::interrupt::Interrupt;

/// Train a small teacher from scratch on the generated corpus
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output folder: the teacher as a Hugging Face model, with the corpus seed and held-out tasks")))]
pub struct PretrainArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    /// Seed of the corpus
    #[arg(long, default_value_t = 5)]
    pub corpus_seed: u64,
    /// Seed for random initialization, for the order of the training lines and for --layer-drop
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of layers
    #[arg(value_parser = count, long, default_value_t = 12)]
    pub layers: usize,
    /// Hidden size
    #[arg(value_parser = count, long, default_value_t = 48)]
    pub d_model: usize,
    /// Number of attention heads
    #[arg(value_parser = count, long, default_value_t = 3)]
    pub heads: usize,
    /// Hidden size of the feed-forward network
    #[arg(value_parser = count, long, default_value_t = 128)]
    pub d_ff: usize,
    /// Tie the weights of embedding and head
    #[arg(long)]
    pub tied: bool,
    /// Number of optimizer steps
    #[arg(value_parser = count, long, default_value_t = 2600)]
    pub steps: usize,
    /// Sequences per optimizer step
    #[arg(
        value_parser = count,
        long = "batch-size",
        alias = "rows",
        default_value_t = 8,
        value_name = "N"
    )]
    pub rows: usize,
    /// Tokens per sequence
    #[arg(value_parser = sequence_length, long, default_value_t = 128)]
    pub seq_len: usize,
    /// Peak learning rate
    #[arg(value_parser = positive, long, default_value_t = 3e-3)]
    pub lr: f64,
    /// Fraction of the steps, at the end, over which the learning rate decays to zero
    #[arg(value_parser = share, long, default_value_t = 0.6)]
    pub tail: f64,
    /// Stochastic depth (LayerDrop): drop each layer with this probability, sampled for every optimizer
    /// step, so that the teacher depends less on any single layer
    #[arg(value_parser = probability, long, default_value_t = 0.0, value_name = "P")]
    pub layer_drop: f64,
    /// Number of questions of each held-out task
    #[arg(value_parser = count, long, default_value_t = 100)]
    pub questions: usize,
    #[command(flatten)]
    pub device: DeviceArgs,
}

pub fn run(args: &PretrainArgs) -> anyhow::Result<()> {
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let corpus = Corpus::new(args.corpus_seed);
    let floor = corpus.entropy_floor();
    let config = config(args, &corpus)?;
    let out = args.output.folder()?;
    if device.device == device::cpu() {
        let shape = StepShape {
            student: &config,
            teacher: None,
            frozen: &[],
            n_sequences: args.rows,
            seq: args.seq_len,
            composes: false,
            patch_probability: 0.0,
        };
        let n_bytes = StepMemory::of(&shape, &Levers::default()).total();
        require_memory("a step", n_bytes, "lower --batch-size, --seq-len or the model's size")?;
    }
    let model = LanguageModel::random(&config, Initialization::Scaled, args.seed, &device.device);
    let n_params = model.n_params();
    note(&format!("{n_params} parameters; entropy of the corpus: {floor:.3} nats/token"));

    let settings = pretrain_recipe::settings(args.lr, args.tail, args.steps);
    let layer_drop = LayerDrop { rate: args.layer_drop, seed: args.seed };
    let mut pretrainer = Pretrainer::new(model, settings).with_layer_drop(layer_drop);
    let mut batches = corpus.pretraining_batches(args.seed, args.seq_len, args.rows);
    let interrupt = Interrupt::listen()?;
    let mut progress = Progress::new("pretrain", args.steps);
    let started = Instant::now();
    let (mut n_tokens, mut smooth_loss) = (0, None);
    while pretrainer.n_steps() < args.steps {
        if interrupt.is_asked() {
            return Err(anyhow::anyhow!("interrupted; nothing was written"))
                .or_exit(Exit::Interrupted);
        }
        let batch: Vec<_> = batches.by_ref().take(1).collect();
        let report = block_on(pretrainer.step(&batch));
        if !report.is_finite() {
            let step = pretrainer.n_steps();
            return Err(anyhow::anyhow!("the loss is NaN or infinite at step {step}; lower --lr"))
                .or_exit(Exit::Diverged);
        }
        n_tokens += report.n_tokens;
        let loss = smooth_loss.map_or(report.terms.total, |smooth: f64| {
            smooth + 0.02 * (report.terms.total - smooth)
        });
        smooth_loss = Some(loss);
        progress.set(pretrainer.n_steps(), || format!("loss {loss:.3} (entropy {floor:.3})"));
    }
    progress.finish();
    let seconds = started.elapsed().as_secs_f64();

    let final_loss = smooth_loss.unwrap_or(f64::NAN);
    out.write("config.json", config.to_json().as_bytes())?;
    out.write("model.safetensors", &model_to_bytes(&pretrainer.model(), Precision::F16)?)?;
    out.write("tokenizer.json", corpus.tokenizer_json().as_bytes())?;
    let tasks = corpus.tasks(args.corpus_seed, args.questions);
    let tasks: Vec<String> = tasks.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    out.write("tasks.jsonl", format!("{}\n", tasks.join("\n")).as_bytes())?;
    let mut made = json!({
        "corpus_seed": args.corpus_seed,
        "seed": args.seed,
        "layers": args.layers,
        "d_model": args.d_model,
        "heads": args.heads,
        "d_ff": args.d_ff,
        "tied": args.tied,
        "steps": args.steps,
        "rows": args.rows,
        "seq_len": args.seq_len,
        "lr": args.lr,
        "tail": args.tail,
        "n_params": n_params,
        "n_tokens": n_tokens,
        "final_training_loss": (final_loss * 1e4).round() / 1e4,
        "entropy_floor": (floor * 1e4).round() / 1e4,
    });
    if args.layer_drop > 0.0 {
        made["layer_drop"] = json!(args.layer_drop);
    }
    out.write("made.json", format!("{made:#}\n").as_bytes())?;
    out.commit()?;
    print(&format!(
        "teacher written to {}: loss {final_loss:.3} (entropy of the corpus {floor:.3}) after \
         {n_tokens} tokens in {seconds:.0} s",
        args.output.out.display()
    ));
    Ok(())
}

fn config(args: &PretrainArgs, corpus: &Corpus) -> anyhow::Result<ModelConfig> {
    let id = |word: &str| corpus.vocabulary().iter().position(|other| other == word);
    let config = json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": corpus.vocabulary().len(),
        "hidden_size": args.d_model,
        "intermediate_size": args.d_ff,
        "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads,
        "num_key_value_heads": args.heads,
        "head_dim": args.d_model / args.heads.max(1),
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": args.seq_len,
        "tie_word_embeddings": args.tied,
        "attention_bias": false,
        "bos_token_id": id("<s>"),
        "eos_token_id": id("."),
        "torch_dtype": "float16",
    });
    ModelConfig::from_json(&config.to_string()).or_exit(Exit::Usage)
}
