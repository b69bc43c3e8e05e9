//! Evaluates many members at once.

mod adaptive;
mod answer;
mod choice;
mod cuts;
mod encode;
mod layerwise;
mod perplexity;
mod prefix_tree;
mod pseudo_perplexity;
mod question;
mod read_back;
mod request;
mod rows;
mod walk;

use std::collections::BTreeMap;

use choice::{Verdict, confidence};
use serde::{Deserialize, Serialize};

pub use adaptive::{Adaptive, Outcome, Rule, adaptive};
pub use answer::{Answers, answer, answers};
pub use choice::{Accuracy, ChoiceDoc, ChoiceError};
pub use cuts::Cuts;
pub use encode::{EncodeError, Encoder, Markers, is_blank};
pub use layerwise::{Layerwise, Loaded, Part};
pub use perplexity::{Perplexity, TextDoc};
pub use prefix_tree::{End, PrefixTree, Stack};
pub use pseudo_perplexity::MaskedText;
pub use question::{Answer, Continuation, Open, Question};
pub(crate) use read_back::read_finite;
pub use read_back::{Member, ReadBackError, ensure_finite};
pub use request::{Likelihood, Request};
pub use rows::Batching;
pub use walk::walk;

use crate::model::LanguageModel;
use crate::tokenizer::Tokenizer;

/// The scores of one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// `None` without texts; for a masked language model the pseudo-perplexity ([`MaskedText`]).
    pub perplexity: Option<Perplexity>,
    /// By task; empty without questions.
    pub tasks: BTreeMap<String, Accuracy>,
}

impl Score {
    /// Mean accuracy over tasks, with its standard error; `None` without questions.
    pub fn mean_accuracy(&self) -> Option<(f64, f64)> {
        let n_tasks = self.tasks.len() as f64;
        let mean = self.tasks.values().map(|task| task.acc).sum::<f64>() / n_tasks;
        let variance: f64 = self.tasks.values().map(|task| task.acc_stderr.powi(2)).sum();
        (n_tasks > 0.0).then(|| (mean, variance.sqrt() / n_tasks))
    }
}

/// Tokenized texts and questions.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    requests: Vec<Request>,
    /// Number of requests of each text, and its size in bytes.
    texts: Vec<(usize, usize)>,
    questions: Vec<ChoiceDoc>,
}

impl Examination {
    /// `max_seq` is the window of the models.
    ///
    /// # Errors
    /// [`ChoiceError`] for the first question that cannot be evaluated.
    pub fn new(
        texts: &[TextDoc],
        questions: &[ChoiceDoc],
        tokenizer: Option<&Tokenizer>,
        max_seq: usize,
    ) -> Result<Self, ChoiceError> {
        let mut examination = Self::default();
        for text in texts {
            let requests = text.requests(max_seq);
            examination.texts.push((requests.len(), text.n_bytes));
            examination.requests.extend(requests);
        }
        for (number, question) in questions.iter().enumerate() {
            let Some(tokenizer) = tokenizer else {
                let reason = "questions require a tokenizer".to_owned();
                return Err(ChoiceError::Unusable { number, reason });
            };
            examination.requests.extend(question.requests(tokenizer, max_seq, number)?);
            examination.questions.push(question.clone());
        }
        Ok(examination)
    }

    /// Texts for masked language models with the window `max_seq` and the mask token `mask`.
    pub fn masked(texts: &[MaskedText], mask: u32, max_seq: usize) -> Self {
        let mut examination = Self::default();
        for text in texts {
            let requests = text.requests(mask, max_seq);
            examination.texts.push((requests.len(), text.n_bytes));
            examination.requests.extend(requests);
        }
        examination
    }

    pub fn n_requests(&self) -> usize {
        self.requests.len()
    }

    pub fn n_tokens(&self) -> usize {
        self.requests.iter().map(|request| request.input().len()).sum()
    }

    /// All requests: first those of texts, then those of choices.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The scores of every member, with one walk of the tree per batch of requests.
    ///
    /// `tokens_per_batch` bounds the size of a batch, padding included; `progress` receives the
    /// number of answered requests.
    ///
    /// # Errors
    /// [`ReadBackError`] when the device is lost.
    pub async fn score(
        &self,
        models: &[&LanguageModel],
        tree: &PrefixTree,
        tokens_per_batch: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Score>, ReadBackError> {
        let answers =
            answers(models, tree, &self.requests, Batching::of(tokens_per_batch), progress);
        let answers = answers.await?;
        Ok(answers.likelihoods.iter().map(|likelihoods| self.judge(likelihoods)).collect())
    }

    /// How a member answers each question, from its answers to [`Examination::requests`].
    pub fn outcomes(&self, likelihoods: &[Likelihood]) -> Vec<Outcome> {
        let n_of_texts: usize = self.texts.iter().map(|&(n_requests, _)| n_requests).sum();
        let mut rest = &likelihoods[n_of_texts..];
        let outcome = |question: &ChoiceDoc| {
            let (of_choices, left) = rest.split_at(question.choices.len());
            rest = left;
            Outcome {
                task: question.task.clone(),
                is_right: question.judge(of_choices).0,
                confidence: confidence(of_choices),
            }
        };
        self.questions.iter().map(outcome).collect()
    }

    /// The score of a member, from its answers to [`Examination::requests`].
    pub fn judge(&self, likelihoods: &[Likelihood]) -> Score {
        let mut rest = likelihoods;
        let mut take = |n_requests: usize| {
            let (taken, left) = rest.split_at(n_requests);
            rest = left;
            taken
        };
        let texts: Vec<(Likelihood, usize)> = self
            .texts
            .iter()
            .map(|&(n_windows, n_bytes)| {
                let windows = take(n_windows);
                let text = Likelihood {
                    log_likelihood: windows.iter().map(|window| window.log_likelihood).sum(),
                    n_tokens: windows.iter().map(|window| window.n_tokens).sum(),
                    is_greedy: windows.iter().all(|window| window.is_greedy),
                };
                (text, n_bytes)
            })
            .collect();
        let mut verdicts: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
        for question in &self.questions {
            let n_choices = question.choices.len();
            let verdict = question.judge(take(n_choices));
            verdicts.entry(question.task.clone()).or_default().push((verdict, n_choices));
        }
        let tasks = verdicts.iter().map(|(task, verdicts)| (task.clone(), Accuracy::of(verdicts)));
        Score { perplexity: Perplexity::of(&texts), tasks: tasks.collect() }
    }
}
