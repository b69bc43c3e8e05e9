//! Tokenizes, truncates and windows questions as lm-evaluation-harness does for causal models.

use thiserror::Error;

use super::cuts::{CutCount, Cuts};
use super::question::{Continuation, Open, Question};
use super::request::Request;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// The special tokens before and after texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Prefix token, used as the context where there is none: the tokenizer's BOS, else its EOS.
    pub prefix: u32,
    /// BOS as text; `None` for a tokenizer without one.
    pub bos: Option<String>,
    /// EOS as text, a stop sequence of generated answers.
    pub eos: Option<String>,
}

/// Why a question cannot be tokenized.
#[derive(Debug, Error)]
pub enum EncodeError {
    #[error("the question cannot be tokenized")]
    Tokenizer(#[from] TokenizerError),
    #[error(
        "the context {context:?} is only whitespace, and this tokenizer adds no BOS token; \
         expected an empty context, which is replaced by the prefix token, or one with text"
    )]
    BlankContext { context: String },
    #[error("the continuation {text:?} adds no tokens to the context; expected some text")]
    NoTokens { text: String },
    #[error(
        "the continuation {text:?} has {n_tokens} tokens, which is more than the model's window of \
         {max_seq}; exclude this task, or raise --max-length"
    )]
    TooLong { text: String, n_tokens: usize, max_seq: usize },
    #[error(
        "generating up to {max_tokens} tokens leaves no tokens for the context in the model's \
         window of {max_seq}; lower max_gen_toks, or raise --max-length"
    )]
    NoContextLeft { max_tokens: usize, max_seq: usize },
    #[error("the question is empty, and this tokenizer adds no BOS token")]
    Empty,
}

/// Tokenizes questions for models with the same tokenizer and window.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    markers: Markers,
    max_seq: usize,
    /// The prefix token as text.
    prefix: String,
    cuts: CutCount,
}

impl<'a> Encoder<'a> {
    /// `max_seq` is the context window of the models, at least 1.
    pub fn new(tokenizer: &'a Tokenizer, markers: Markers, max_seq: usize) -> Self {
        let prefix = tokenizer.token(markers.prefix).unwrap_or_default();
        let cuts = CutCount::default();
        Self { tokenizer, markers, max_seq: max_seq.max(1), prefix, cuts }
    }

    /// The truncations since the last call.
    pub fn take_cuts(&self) -> Cuts {
        self.cuts.take()
    }

    /// The requests of a question: one per continuation, in their order, or one per window of a
    /// text. An empty text has none, and neither has an open question, which [`Encoder::open`]
    /// tokenizes.
    ///
    /// # Errors
    /// [`EncodeError`] where lm-evaluation-harness would fail.
    pub fn requests(&self, question: &Question) -> Result<Vec<Request>, EncodeError> {
        match question {
            Question::Continuations(continuations) => self.continuations(continuations),
            Question::Text(text) => Ok(self.windows(&self.encode(text)?)),
            Question::Open(_) => Ok(Vec::new()),
        }
    }

    /// The context of an open question, truncated on the left so that the answer fits in the
    /// window.
    ///
    /// # Errors
    /// [`EncodeError`] if no context fits in addition to the answer, or it is empty.
    pub fn open(&self, open: &Open) -> Result<Vec<u32>, EncodeError> {
        let n_context = self.max_seq.saturating_sub(open.max_tokens);
        if n_context == 0 {
            let Open { max_tokens, .. } = *open;
            return Err(EncodeError::NoContextLeft { max_tokens, max_seq: self.max_seq });
        }
        // Only BOS counts here, not the prefix token that may replace it.
        let has_bos = begins_with(&open.context, self.markers.bos.as_deref());
        let tokens = self.tokenizer.encode(&open.context, !has_bos)?;
        if tokens.is_empty() {
            return Err(EncodeError::Empty);
        }
        let cut = tokens.len().saturating_sub(n_context);
        self.cuts.add(cut);
        Ok(tokens[cut..].to_vec())
    }

    /// The stop sequences of an answer: the question's own, and EOS as text.
    pub fn stops(&self, open: &Open) -> Vec<String> {
        let eos = self.markers.eos.iter().filter(|eos| !open.until.contains(eos));
        // Empty stop sequences are ignored.
        open.until.iter().chain(eos).filter(|stop| !stop.is_empty()).cloned().collect()
    }

    fn continuations(&self, continuations: &[Continuation]) -> Result<Vec<Request>, EncodeError> {
        // Choices usually share their context, which is tokenized once.
        let mut last_context: Option<(&str, Vec<u32>)> = None;
        let mut requests = Vec::new();
        for Continuation { context, text } in continuations {
            let (context_tokens, text_tokens) = if context.is_empty() {
                self.without_context(text)?
            } else {
                let bare = context.trim_end_matches(is_blank);
                let context_tokens = match last_context.take() {
                    Some((same, tokens)) if same == bare => tokens,
                    _ => self.encode(bare)?,
                };
                if context_tokens.is_empty() {
                    return Err(EncodeError::BlankContext { context: context.clone() });
                }
                // Trailing whitespace of the context belongs to the continuation.
                let whole = self.encode(&format!("{context}{text}"))?;
                let text_tokens = whole.get(context_tokens.len()..).unwrap_or_default().to_vec();
                last_context = Some((bare, context_tokens.clone()));
                (context_tokens, text_tokens)
            };
            requests.push(self.request(context_tokens, &text_tokens, text)?);
        }
        Ok(requests)
    }

    /// Tokens of context and continuation for an empty context.
    fn without_context(&self, text: &str) -> Result<(Vec<u32>, Vec<u32>), EncodeError> {
        let mut tokens = self.tokenizer.encode(text, false)?;
        let own = match tokens.first() {
            None => return Err(EncodeError::NoTokens { text: text.to_owned() }),
            // The text already starts with it.
            Some(&first) if first == self.markers.prefix => tokens.split_off(1),
            Some(_) => tokens,
        };
        Ok((vec![self.markers.prefix], own))
    }

    /// Truncates the context on the left.
    fn request(
        &self,
        mut tokens: Vec<u32>,
        own: &[u32],
        text: &str,
    ) -> Result<Request, EncodeError> {
        let max_seq = self.max_seq;
        if own.len() > max_seq {
            let (text, n_tokens) = (text.to_owned(), own.len());
            return Err(EncodeError::TooLong { text, n_tokens, max_seq });
        }
        tokens.extend(own);
        // The last token is only a target, not an input.
        let cut = tokens.len().saturating_sub(max_seq + 1);
        self.cuts.add(cut);
        tokens.drain(..cut);
        let n_tokens = tokens.len();
        Request::new(tokens, n_tokens - own.len()..n_tokens)
            .ok_or_else(|| EncodeError::NoTokens { text: text.to_owned() })
    }

    /// Rolling windows that score each token of a text once: the first window starts with the
    /// prefix token, the others with one token of context, and the last has as much context as
    /// fits.
    fn windows(&self, text: &[u32]) -> Vec<Request> {
        let tokens: Vec<u32> =
            [self.markers.prefix].into_iter().chain(text.iter().copied()).collect();
        let n_tokens = tokens.len();
        let window = |first: usize| {
            let end = n_tokens.min(first + self.max_seq);
            let start = end.saturating_sub(self.max_seq + 1);
            Request::new(tokens[start..end].to_vec(), first - start..end - start)
        };
        (1..n_tokens).step_by(self.max_seq).filter_map(window).collect()
    }

    /// Adds no BOS to a text that already starts with the prefix token.
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.tokenizer.encode(text, !begins_with(text, Some(&self.prefix)))
    }
}

fn begins_with(text: &str, marker: Option<&str>) -> bool {
    marker.is_some_and(|marker| !marker.is_empty() && text.starts_with(marker))
}

/// Whitespace as in Python's `str.isspace` and `str.strip`, which includes the four ASCII
/// separators.
pub fn is_blank(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOS: u32 = 0;

    /// One token per word, spaces as separate tokens; `[B]` is added before every text.
    fn tokenizer(with_bos: bool) -> Tokenizer {
        let special = r#"{"id": 0, "content": "[B]", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}"#;
        let post = r#"{"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[B]", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[B]": {"id": "[B]", "ids": [0], "tokens": ["[B]"]}}}"#;
        let post = if with_bos { post } else { "null" };
        let json = format!(
            r#"{{"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [{special}],
            "pre_tokenizer": {{"type": "Split", "pattern": {{"Regex": " ?[a-z]+| "}},
                "behavior": "Isolated", "invert": false}},
            "post_processor": {post}, "decoder": null,
            "model": {{"type": "WordLevel", "unk_token": "?", "vocab":
                {{"[B]": 0, "?": 1, "a": 2, " a": 3, "b": 4, " b": 5, "c": 6, " c": 7, " ": 8}}}}}}"#
        );
        Tokenizer::from_json(json.as_bytes()).unwrap()
    }

    fn markers() -> Markers {
        Markers { prefix: BOS, bos: Some("[B]".to_owned()), eos: Some("[E]".to_owned()) }
    }

    fn ask(
        with_bos: bool,
        max_seq: usize,
        context: &str,
        text: &str,
    ) -> Result<Request, EncodeError> {
        let (context, text) = (context.to_owned(), text.to_owned());
        let question = Question::Continuations(vec![Continuation { context, text }]);
        let tokenizer = tokenizer(with_bos);
        let encoder = Encoder::new(&tokenizer, markers(), max_seq);
        Ok(encoder.requests(&question)?.remove(0))
    }

    #[test]
    fn trailing_whitespace_of_the_context_moves_to_the_continuation() {
        let request = ask(true, 9, "a ", "b").unwrap();
        assert_eq!((request.input(), request.targets()), (&[BOS, 2][..], &[5][..]));
    }

    #[test]
    fn the_prefix_token_replaces_an_empty_context() {
        let request = ask(false, 9, "", "a b").unwrap();
        assert_eq!((request.input(), request.targets()), (&[BOS, 2][..], &[2, 5][..]));
    }

    #[test]
    fn a_text_that_starts_with_bos_gets_no_second_one() {
        let request = ask(true, 9, "", "[B]a").unwrap();
        assert_eq!((request.input(), request.targets()), (&[BOS][..], &[2][..]));
        let request = ask(true, 9, "[B]a", " b").unwrap();
        assert_eq!((request.input(), request.targets()), (&[BOS, 2][..], &[5][..]));
    }

    #[test]
    fn too_long_a_context_is_truncated_on_the_left() {
        let request = ask(true, 3, "a b c a", " b c").unwrap();
        assert_eq!((request.input(), request.targets()), (&[7, 3, 5][..], &[5, 7][..]));
    }

    #[test]
    fn truncated_contexts_are_counted() {
        let tokenizer = tokenizer(true);
        let encoder = Encoder::new(&tokenizer, markers(), 3);
        let ask = |context: &str| {
            let (context, text) = (context.to_owned(), " b".to_owned());
            let question = Question::Continuations(vec![Continuation { context, text }]);
            encoder.requests(&question).unwrap();
        };
        ["a", "a b c a", "a b c"].into_iter().for_each(ask);
        assert_eq!(encoder.take_cuts(), Cuts { n_contexts: 2, most_tokens: 2 });
        assert_eq!(encoder.take_cuts(), Cuts::default());
    }

    #[test]
    fn invalid_questions_are_errors() {
        assert!(matches!(
            ask(true, 2, "a", " b c a"),
            Err(EncodeError::TooLong { n_tokens: 3, .. })
        ));
        assert!(matches!(ask(true, 2, "a", ""), Err(EncodeError::NoTokens { .. })));
        assert!(matches!(ask(true, 2, "", "[B]"), Err(EncodeError::NoTokens { .. })));
        assert!(matches!(ask(false, 2, "  ", "a"), Err(EncodeError::BlankContext { .. })));
        assert!(ask(true, 2, "  ", "a").is_ok());
    }

    #[test]
    fn windows_score_every_token_once_and_the_last_has_as_much_context_as_fits() {
        let tokenizer = tokenizer(false);
        let encoder = Encoder::new(&tokenizer, markers(), 3);
        let requests = encoder.requests(&Question::Text("a b c a".to_owned())).unwrap();
        let inputs: Vec<&[u32]> = requests.iter().map(Request::input).collect();
        let targets: Vec<&[u32]> = requests.iter().map(Request::targets).collect();
        assert_eq!(inputs, [&[BOS, 2, 5], &[2, 5, 7]]);
        assert_eq!(targets, [&[2, 5, 7][..], &[3][..]]);
        assert!(encoder.requests(&Question::Text(String::new())).unwrap().is_empty());
    }

    #[test]
    fn the_context_of_an_open_question_leaves_tokens_for_the_answer() {
        let tokenizer = tokenizer(true);
        let encoder = Encoder::new(&tokenizer, markers(), 4);
        let mut open = Open { context: "a b c".to_owned(), until: Vec::new(), max_tokens: 2 };
        assert_eq!(encoder.open(&open).unwrap(), [5, 7]);
        assert_eq!(encoder.stops(&open), ["[E]"]);
        open.max_tokens = 4;
        assert!(matches!(encoder.open(&open), Err(EncodeError::NoContextLeft { .. })));
    }
}
