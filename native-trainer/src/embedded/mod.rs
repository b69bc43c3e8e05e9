//! The embedded teacher, its corpus, its students and its examination, which the demo and the
//! experiments start from.

mod students;

use std::collections::BTreeMap;

use boomerang_core::bundle::TaskFile;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::corpus::Corpus;
use boomerang_core::evaluate::{ChoiceDoc, Examination, TextDoc};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_core::prune::Teacher;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use serde::Deserialize;

pub(crate) use students::{DistillRun, STEPS, Start, distill_each};

/// Tokens of the held-out rows, padding included.
const HELD_OUT_TOKENS: usize = 12_288;

/// The teacher that comes with the program; `boomerang pretrain` made it.
pub(crate) struct Embedded {
    config: &'static str,
    weights: &'static [u8],
    pub(crate) tokenizer: &'static [u8],
    tasks: &'static str,
    made: &'static str,
}

pub(crate) const EMBEDDED: Embedded = Embedded {
    config: include_str!("../../../assets/teacher/config.json"),
    weights: include_bytes!("../../../assets/teacher/model.safetensors"),
    tokenizer: include_bytes!("../../../assets/teacher/tokenizer.json"),
    tasks: include_str!("../../../assets/teacher/tasks.jsonl"),
    made: include_str!("../../../assets/teacher/made.json"),
};

/// How the embedded teacher was made, as far as the demo needs it.
#[derive(Deserialize)]
pub(crate) struct Made {
    corpus_seed: u64,
    pub(crate) seq_len: usize,
    pub(crate) entropy_floor: f64,
}

/// Everything the demo starts from.
pub(crate) struct EmbeddedFamily {
    pub(crate) made: Made,
    pub(crate) corpus: Corpus,
    pub(crate) teacher: Teacher,
    pub(crate) plan: LayerPlan,
    pub(crate) examination: Examination,
    pub(crate) texts: Vec<TextDoc>,
    questions: Vec<ChoiceDoc>,
    pub(crate) tokenizer: Tokenizer,
}

impl EmbeddedFamily {
    pub(crate) fn open(device: &Device) -> anyhow::Result<Self> {
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
        Ok(Self { made, corpus, teacher, plan, examination, texts, questions, tokenizer })
    }

    /// The first questions of each kind, a kind after the other, so that a measurement that is
    /// stopped has asked all kinds alike; and the longest held-out line, the first of several.
    pub(crate) fn task(&self) -> TaskFile {
        /// Of each of the 13 kinds: a browser answers them at every size in some seconds.
        const PER_KIND: usize = 8;
        let mut kinds: BTreeMap<&str, Vec<&ChoiceDoc>> = BTreeMap::new();
        for question in &self.questions {
            kinds.entry(&question.task).or_default().push(question);
        }
        let round = |number: usize| kinds.values().filter_map(move |kind| kind.get(number));
        let questions = (0..PER_KIND).flat_map(round).map(|&question| question.clone());

        // One line only: models are trained on single lines, and all fail alike on a second one.
        let longest = self.texts.iter().rev().max_by_key(|line| line.tokens.len());
        let paragraph = longest.map(|line| self.corpus.text(&line.tokens[1..]));
        TaskFile {
            name: "Questions about the embedded teacher's world".to_owned(),
            questions: questions.collect(),
            paragraph: paragraph.unwrap_or_default(),
        }
    }

    /// The first `n_questions` of each task and as large a share of the texts, dealt out to
    /// `n_parts` examinations.
    pub(crate) fn parts(
        &self,
        n_parts: usize,
        n_questions: usize,
    ) -> anyhow::Result<Vec<Examination>> {
        let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
        let mut questions = vec![Vec::new(); n_parts];
        for question in &self.questions {
            let number = asked.entry(&question.task).or_default();
            if *number < n_questions {
                questions[*number % n_parts].push(question.clone());
            }
            *number += 1;
        }
        let most = asked.values().copied().max().unwrap_or(0).max(1);
        let n_texts = (self.texts.len() * n_questions.min(most)).div_ceil(most);
        let mut texts = vec![Vec::new(); n_parts];
        for (number, text) in self.texts[..n_texts].iter().enumerate() {
            texts[number % n_parts].push(text.clone());
        }
        let max_seq = self.teacher.model().config().max_seq;
        let examine = |(texts, questions): (Vec<TextDoc>, Vec<ChoiceDoc>)| {
            Ok(Examination::new(&texts, &questions, Some(&self.tokenizer), max_seq)?)
        };
        texts.into_iter().zip(questions).map(examine).collect()
    }
}

/// Lines sampled with a seed of their own, one text each.
fn held_out(corpus: &Corpus, seq_len: usize) -> Vec<TextDoc> {
    /// Not a seed of any training.
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
            TextDoc::new(tokens, n_bytes)
        }));
    }
    texts
}
