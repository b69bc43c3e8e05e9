//! Texts and tasks on one sheet.

use std::ops::Range;

use anyhow::Context as _;
use boomerang_core::evaluate::{Answer, Encoder, Examination, Likelihood};
use boomerang_core::tokenizer::Tokenizer;

use super::EvalArgs;
use super::texts::{mask_token, read_masked_texts, read_texts};
use crate::answers::Sheet;
use crate::exit::{Exit, OrExit as _};
use crate::files::ModelFolder;
use crate::tasks::{self, Task, Tasks, markers};

/// Everything that members are asked.
pub(super) struct Asked {
    pub(super) sheet: Sheet,
    /// Of the texts.
    pub(super) examination: Examination,
    /// Requests of the texts, on the sheet.
    texts: Range<usize>,
    pub(super) tasks: Tasks,
    /// Places of each task's questions on the sheet.
    questions: Vec<Vec<usize>>,
    /// Of the texts.
    pub(super) tokens: Vec<Vec<u32>>,
    /// Tokens that a model sees at once.
    pub(super) max_seq: usize,
}

impl Asked {
    /// # Errors
    /// When a text or a task cannot be used with this model.
    pub(super) fn read(
        args: &EvalArgs,
        teacher: &ModelFolder,
        tokenizer: Option<&Tokenizer>,
    ) -> anyhow::Result<Self> {
        let config = teacher.config();
        let max_seq = args.engine.max_length.unwrap_or(config.max_seq).min(config.max_seq);
        let has_tasks = !args.tasks.tasks.is_empty();
        let (examination, tokens) = if config.is_masked() {
            if has_tasks {
                return Err(Exit::Usage.error(format!(
                    "{} is a masked language model: it has a pseudo-perplexity (--data) and answers \
                     no questions (--tasks)",
                    config.traits().model_type
                )));
            }
            let mask = mask_token(tokenizer).or_exit(Exit::Unusable)?;
            let texts = read_masked_texts(&args.data, tokenizer, config.vocab);
            let texts = texts.or_exit(Exit::Unusable)?;
            let examination = Examination::masked(&texts, mask, max_seq);
            (examination, texts.into_iter().map(|text| text.tokens).collect::<Vec<_>>())
        } else {
            let first_token = if args.data.is_empty() { None } else { teacher.eos_token()? };
            let texts = read_texts(&args.data, tokenizer, first_token, config.vocab);
            let texts = texts.or_exit(Exit::Unusable)?;
            let examination = Examination::new(&texts, &[], tokenizer, max_seq)?;
            (examination, texts.into_iter().map(|text| text.tokens).collect())
        };
        let mut sheet = Sheet::default();
        let texts = sheet.ask_all(examination.requests());
        let mut asked = Self {
            sheet,
            examination,
            texts,
            tasks: Tasks::default(),
            questions: Vec::new(),
            tokens,
            max_seq,
        };
        if has_tasks {
            asked.tasks = tasks::load(&args.tasks.options()).or_exit(Exit::Unusable)?;
            let tokenizer = tokenizer
                .context("questions are text, and there is no tokenizer.json beside the teacher");
            asked.ask_tasks(teacher, tokenizer.or_exit(Exit::Unusable)?).or_exit(Exit::Unusable)?;
        }
        asked.check_vocabulary(teacher)?;
        Ok(asked)
    }

    /// A tokenizer may have more tokens than its model's embedding has rows.
    fn check_vocabulary(&self, teacher: &ModelFolder) -> anyhow::Result<()> {
        let requests = self.sheet.requests.iter();
        let requests = requests.flat_map(|request| request.input().iter().chain(request.targets()));
        let opens = self.sheet.opens.iter().flat_map(|open| &open.tokens);
        let largest = requests.chain(opens).max().copied().unwrap_or(0);
        let vocab = teacher.config().vocab;
        if (largest as usize) < vocab {
            return Ok(());
        }
        Err(Exit::Unusable.error(format!(
            "{}: texts or questions hold token {largest}, and the model's vocabulary ends at {}; \
             expected the tokenizer that the model was trained with",
            teacher.path().display(),
            vocab - 1
        )))
    }

    fn ask_tasks(&mut self, teacher: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<()> {
        let encoder = Encoder::new(tokenizer, markers(teacher, tokenizer)?, self.max_seq);
        for task in &self.tasks {
            let mut places = Vec::new();
            for (number, question) in task.questions().iter().enumerate() {
                let place = self.sheet.ask(question, &encoder);
                places.push(
                    place
                        .with_context(|| format!("the task {}, document {number}", task.name()))?,
                );
            }
            self.questions.push(places);
        }
        Ok(())
    }

    /// A member's answers to the texts, from its answers to all.
    pub(super) fn of_texts<'a>(&self, likelihoods: &'a [Likelihood]) -> &'a [Likelihood] {
        &likelihoods[self.texts.clone()]
    }

    /// A member's answers to each task, from its answers to all.
    pub(super) fn of_tasks<'a>(
        &'a self,
        likelihoods: &'a [Likelihood],
        texts: &'a [String],
    ) -> impl Iterator<Item = (&'a Task, Vec<Answer>)> {
        self.tasks.tasks.iter().zip(&self.questions).map(|(task, places)| {
            let answers =
                places.iter().map(|&place| self.sheet.answer(place, likelihoods, texts)).collect();
            (task, answers)
        })
    }
}
