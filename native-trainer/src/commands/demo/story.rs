//! What the demo starts from: the embedded teacher, its corpus, and what is asked of every size.

use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::corpus::Corpus;
use boomerang_core::evaluate::{ChoiceDoc, Examination, TextDoc};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_core::prune::Teacher;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use serde::Deserialize;

/// Places for tokens in the held-out rows.
const HELD_OUT_TOKENS: usize = 12_288;

/// The teacher that comes with the program; `boomerang pretrain` made it.
pub(super) struct Embedded {
    config: &'static str,
    weights: &'static [u8],
    pub(super) tokenizer: &'static [u8],
    tasks: &'static str,
    made: &'static str,
}

pub(super) const EMBEDDED: Embedded = Embedded {
    config: include_str!("../../../../assets/teacher/config.json"),
    weights: include_bytes!("../../../../assets/teacher/model.safetensors"),
    tokenizer: include_bytes!("../../../../assets/teacher/tokenizer.json"),
    tasks: include_str!("../../../../assets/teacher/tasks.jsonl"),
    made: include_str!("../../../../assets/teacher/made.json"),
};

/// How the embedded teacher was made, as far as the demo needs it.
#[derive(Deserialize)]
pub(super) struct Made {
    corpus_seed: u64,
    pub(super) seq_len: usize,
    pub(super) entropy_floor: f64,
}

/// Everything the demo starts from.
pub(super) struct Story {
    pub(super) made: Made,
    pub(super) corpus: Corpus,
    pub(super) teacher: Teacher,
    pub(super) plan: LayerPlan,
    pub(super) examination: Examination,
    pub(super) texts: Vec<TextDoc>,
}

impl Story {
    pub(super) fn open(device: &Device) -> anyhow::Result<Self> {
        let made: Made = serde_json::from_str(EMBEDDED.made)?;
        let config = ModelConfig::from_json(EMBEDDED.config)?;
        let weights = Checkpoint::parse([("the embedded teacher".to_owned(), EMBEDDED.weights)])?;
        let teacher = Teacher::new(weights.read_model(&config, device)?);
        let plan = LayerPlan::by_rule(KeepRule::default(), config.n_layers())?;
        let corpus = Corpus::new(made.corpus_seed);
        let tokenizer = Tokenizer::from_json(EMBEDDED.tokenizer)?;
        let questions: Vec<ChoiceDoc> =
            EMBEDDED.tasks.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let texts = held_out(&corpus, made.seq_len);
        let examination = Examination::new(&texts, &questions, Some(&tokenizer), config.max_seq)?;
        Ok(Self { made, corpus, teacher, plan, examination, texts })
    }
}

/// Lines drawn from random numbers of their own, one text each.
fn held_out(corpus: &Corpus, seq_len: usize) -> Vec<TextDoc> {
    /// Far from the seeds of training.
    const SEED: u64 = 1_000_003;
    let mut texts = Vec::new();
    for row in corpus.rows(SEED, seq_len).take(HELD_OUT_TOKENS / seq_len) {
        let tokens = row.tokens.iter().zip(&row.segments);
        let mut lines: Vec<Vec<u32>> = Vec::new();
        for (&token, &segment) in tokens.filter(|(_, segment)| **segment != 0) {
            if segment as usize > lines.len() {
                lines.push(Vec::new());
            }
            lines[segment as usize - 1].push(token);
        }
        texts.extend(lines.into_iter().map(|tokens| {
            let n_bytes = corpus.text(&tokens[1..]).len();
            TextDoc { tokens, n_bytes }
        }));
    }
    texts
}
