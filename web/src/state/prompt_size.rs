//! How long the prompt is, in tokens of the model once its tokenizer is loaded, and whether it is too long.

use std::time::Duration;

use leptos::prelude::*;

use crate::state::dial::Dial;
use crate::state::draft::{Draft, MOST_BYTES};
use crate::state::session::Session;
use crate::text::format;

/// After the last key.
const REST: Duration = Duration::from_millis(200);

/// The length of the prompt in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptSize {
    n_bytes: usize,
    /// `None` until it is counted.
    n_tokens: Option<usize>,
    /// Tokens in the model's context window.
    max_seq: usize,
}

impl PromptSize {
    /// Of the prompt in the field, always up to date.
    pub fn of(session: Session, dial: Dial, draft: Draft) -> Memo<Self> {
        let max_seq = dial.family.with_value(|family| family.max_seq());
        let tokenizer = dial.family.with_value(|family| family.manifest().tokenizer.path.clone());
        let can_count =
            Memo::new(move |_| session.loaded_files.with(|loaded| loaded.contains(&tokenizer)));
        let asked = RwSignal::new(None::<u32>);
        let mut ask = debounce(REST, move |()| {
            let prompt = draft.task(dial).prompt;
            asked.set(session.has_engine().then(|| session.count_tokens(prompt)));
        });
        Effect::new(move |_| {
            let n_bytes = draft.prompt.with(String::len);
            draft.chat.is_chosen.track();
            asked.set(None);
            if can_count.get() && n_bytes <= MOST_BYTES {
                ask(());
            }
        });
        Memo::new(move |_| {
            let (asked, counted) = (asked.get(), session.counted.get());
            let n_tokens = counted.filter(|(id, _)| Some(*id) == asked).map(|(_, n)| n);
            Self { n_bytes: draft.prompt.with(String::len), n_tokens, max_seq }
        })
    }

    /// Shown beside the field.
    pub fn in_words(self) -> Option<String> {
        let n_tokens = self.n_tokens?;
        Some(format!("{} of {} tokens", format::number(n_tokens), format::number(self.max_seq)))
    }

    /// Why the prompt is not sent.
    pub fn problem(self) -> Option<String> {
        if self.n_bytes > MOST_BYTES {
            return Some(format!(
                "The prompt has {} bytes, and at most {} are accepted: shorten it.",
                format::number(self.n_bytes),
                format::number(MOST_BYTES),
            ));
        }
        let n_tokens = self.n_tokens.filter(|&n_tokens| n_tokens >= self.max_seq)?;
        Some(format!(
            "The prompt has {} tokens, which does not fit in the context window of {}: shorten it.",
            format::number(n_tokens),
            format::number(self.max_seq),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n_bytes: usize, n_tokens: Option<usize>) -> PromptSize {
        PromptSize { n_bytes, n_tokens, max_seq: 2048 }
    }

    #[test]
    fn a_prompt_is_counted_in_tokens_of_the_context_window() {
        assert_eq!(size(5, Some(1200)).in_words().unwrap(), "1,200 of 2,048 tokens");
        assert_eq!(size(5, None).in_words(), None);
    }

    #[test]
    fn a_prompt_that_is_too_long_is_refused_with_both_numbers() {
        assert_eq!(size(5, Some(2047)).problem(), None);
        let problem = size(9000, Some(2048)).problem().unwrap();
        assert!(problem.contains("2,048 tokens"), "{problem}");
        let problem = size(MOST_BYTES + 1, None).problem().unwrap();
        assert!(problem.contains("100,001") && problem.contains("100,000"), "{problem}");
    }
}
