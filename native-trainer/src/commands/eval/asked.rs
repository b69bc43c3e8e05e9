//! Texts and tasks on one sheet.

use std::ops::Range;

use anyhow::Context as _;
use boomerang_core::evaluate::{Answer, Cuts, Encoder, Examination, Likelihood};
use boomerang_core::tokenizer::Tokenizer;

use super::EvalArgs;
use super::texts::{mask_token, read_masked_texts, read_texts};
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, markers};
use crate::measure::answers::Sheet;
use crate::progress::note;
use boomerang_lm_tasks::{self as tasks, Task, Tasks};

/// Everything that members are evaluated on.
pub(super) struct Asked {
    pub(super) sheet: Sheet,
    /// Of the texts.
    pub(super) examination: Examination,
    /// Requests of the texts, on the sheet.
    texts: Range<usize>,
    pub(super) tasks: Tasks,
    /// Indices of each task's questions on the sheet.
    questions: Vec<Vec<usize>>,
    /// Of the texts.
    pub(super) tokens: Vec<Vec<u32>>,
    /// Context length in tokens.
    pub(super) max_seq: usize,
}

/// The context length in tokens: as asked for, limited by the model.
fn window(asked_for: Option<usize>, of_model: usize) -> usize {
    let Some(asked_for) = asked_for else { return of_model };
    if asked_for > of_model {
        note(&format!(
            "--max-length {asked_for} exceeds the model's context length; using {of_model} tokens"
        ));
    }
    asked_for.min(of_model)
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
        let max_seq = window(args.engine.max_length, config.max_seq);
        let has_tasks = !args.tasks.tasks.is_empty();
        let (examination, tokens) = if config.is_masked() {
            if has_tasks {
                return Err(Exit::Usage.error(format!(
                    "{} is a masked language model, for which --tasks is not supported; use --data \
                     for its pseudo-perplexity",
                    config.traits().model_type
                )));
            }
            let mask = mask_token(tokenizer).or_exit(Exit::Unusable)?;
            let texts = read_masked_texts(&args.data, tokenizer, config.vocab);
            let texts = texts.or_exit(Exit::Unusable)?;
            let n_cut = texts.iter().filter(|text| text.tokens.len() > max_seq).count();
            if n_cut > 0 {
                note(&format!(
                    "{n_cut} of {} texts exceed the context length of {max_seq} tokens; the rest of \
                     them is not scored",
                    texts.len()
                ));
            }
            let examination = Examination::masked(&texts, mask, max_seq);
            (examination, texts.into_iter().map(|text| text.tokens).collect::<Vec<_>>())
        } else {
            let first_token = if args.data.is_empty() { None } else { teacher.eos_token()? };
            let template = teacher.chat_template()?;
            let template = template.as_ref();
            let texts = read_texts(&args.data, tokenizer, template, first_token, config.vocab);
            let texts = texts.or_exit(Exit::Unusable)?;
            let examination = Examination::new(&texts, &[], tokenizer, max_seq)?;
            (examination, texts.into_iter().map(|text| text.tokens).collect())
        };
        if !args.data.is_empty() && examination.n_requests() == 0 {
            let paths: Vec<String> =
                args.data.iter().map(|path| path.display().to_string()).collect();
            return Err(Exit::Unusable.error(format!(
                "nothing to score in {}; expected texts of at least two tokens",
                paths.join(", ")
            )));
        }
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
            let tokenizer =
                tokenizer.with_context(|| format!("--tasks: {}", teacher.no_tokenizer()));
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
            "{}: token {largest} of the texts or questions is outside the model's vocabulary, which \
             ends at {}; use the tokenizer that the model was trained with",
            teacher.path().display(),
            vocab - 1
        )))
    }

    fn ask_tasks(&mut self, teacher: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<()> {
        let encoder = Encoder::new(tokenizer, markers(teacher, tokenizer)?, self.max_seq);
        for task in &self.tasks {
            let mut indices = Vec::new();
            for (number, question) in task.questions().iter().enumerate() {
                let index = self.sheet.ask(question, &encoder);
                indices.push(
                    index
                        .with_context(|| format!("the task {}, document {number}", task.name()))?,
                );
            }
            self.questions.push(indices);
            self.warn(task, encoder.take_cuts());
        }
        Ok(())
    }

    /// Warns once about what would otherwise only show in the scores of a task.
    fn warn(&self, task: &Task, cuts: Cuts) {
        let (name, max_seq) = (task.name(), self.max_seq);
        if cuts.n_contexts > 0 {
            note(&format!(
                "{name}: {} contexts exceed the context length of {max_seq} tokens and are truncated \
                 on the left, by at most {} tokens",
                cuts.n_contexts, cuts.most_tokens
            ));
        }
        let n_without_right = task.n_without_right();
        if n_without_right > 0 {
            note(&format!(
                "{name}: the correct answer of {n_without_right} of {} questions is not among their \
                 choices; these count as wrong",
                task.samples.len()
            ));
        }
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
        self.tasks.tasks.iter().zip(&self.questions).map(|(task, indices)| {
            let answers =
                indices.iter().map(|&index| self.sheet.answer(index, likelihoods, texts)).collect();
            (task, answers)
        })
    }
}
