//! The embedded teacher, its corpus, its students and its examination, which the demo and the
//! experiments start from.

mod each;
mod students;
mod teachers;

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::bundle::TaskFile;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::corpus::Corpus;
use boomerang_core::distill::{Batch, Layout};
use boomerang_core::evaluate::{ChoiceDoc, Examination, TextDoc};
use boomerang_core::plan::{KeepRule, LayerPlan};
use boomerang_core::prune::Teacher;
use boomerang_core::tokenizer::Tokenizer;
use burn::tensor::Device;
use serde::Deserialize;

use crate::train::data::similarity_batches;

pub(crate) use students::{DistillRun, STEPS, Start, distill_each};
pub(crate) use teachers::{PretrainRun, post_trained, pretrain_each};

/// Positions of the held-out rows.
const HELD_OUT_TOKENS: usize = 12_288;
/// Positions of the rows on which orders are searched.
const CALIBRATION_TOKENS: usize = 8_192;

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

/// How the embedded teacher was made, as far as the demo and the experiments need it.
#[derive(Deserialize)]
pub(crate) struct Made {
    corpus_seed: u64,
    pub(crate) seq_len: usize,
    pub(crate) entropy_floor: f64,
    /// Sequences per optimizer step.
    rows: usize,
    lr: f64,
    tail: f64,
    steps: usize,
    seed: u64,
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
        let texts = lines(&corpus, HELD_OUT_SEED, made.seq_len, HELD_OUT_TOKENS);
        let examination = Examination::new(&texts, &questions, Some(&tokenizer), config.max_seq)?;
        Ok(Self { made, corpus, teacher, plan, examination, texts, questions, tokenizer })
    }

    /// The same world with another teacher of the same shape.
    pub(crate) fn with_teacher(teacher: Teacher) -> anyhow::Result<Self> {
        let embedded = Self::open(&teacher.model().device())?;
        Ok(Self { teacher, ..embedded })
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

    /// Lines on which orders are searched: in no held-out text, and answers of no question.
    pub(crate) fn calibration(&self) -> Vec<Batch> {
        /// Neither that of the held-out lines nor near those of training.
        const SEED: u64 = 2_000_003;
        let texts = lines(&self.corpus, SEED, self.made.seq_len, CALIBRATION_TOKENS);
        let held_out: BTreeSet<&[u32]> = self.texts.iter().map(|text| &*text.tokens).collect();
        let answers: Vec<String> = (self.questions.iter())
            .filter_map(|it| Some(format!("{}{}", it.context, it.choices.get(it.gold)?)))
            .collect();
        let is_new = |tokens: &[u32]| {
            let line = self.corpus.text(&tokens[1..]);
            !held_out.contains(tokens) && !answers.iter().any(|answer| line.contains(answer.trim()))
        };
        let texts = texts.iter().map(|text| &*text.tokens).filter(|tokens| is_new(tokens));
        similarity_batches(texts, self.made.seq_len, Layout::Padded)
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

/// Far from the seeds of training.
const HELD_OUT_SEED: u64 = 1_000_003;

/// Lines that a seed gives, one text each.
fn lines(corpus: &Corpus, seed: u64, seq_len: usize, n_tokens: usize) -> Vec<TextDoc> {
    let mut texts = Vec::new();
    for row in corpus.rows(seed, seq_len).take(n_tokens / seq_len) {
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
