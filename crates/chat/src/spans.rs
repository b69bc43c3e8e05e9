//! Which parts of a rendered conversation are responses.
//!
//! Templates that mark them say so with `{% generation %}`. With others the text of the messages before a
//! response is a prefix of the whole, up to which nothing is learnt.

use std::ops::Range;

use minijinja::Value;

use super::{ChatError, ChatTemplate, Options};

/// A conversation as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    /// Bytes that the template marks as responses.
    marked: Vec<Range<usize>>,
}

impl Rendered {
    /// Ranges of bytes that the template marks as responses.
    pub fn marked(&self) -> &[Range<usize>] {
        &self.marked
    }
}

/// Stands for the tag, which minijinja does not know.
pub(super) const FILTER: &str = "marked_as_response";

/// Around what the filter sees. These are no characters in any text: Unicode keeps them free.
const OPEN: char = '\u{10fffe}';
const CLOSE: char = '\u{10ffff}';

/// The template with filters instead of `{% generation %}` and `{% endgeneration %}`.
pub(super) fn with_filters(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start..].find("%}") else { break };
        let inside = &rest[start + 2..start + len];
        let word = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match word {
            "generation" => Some(format!("filter {FILTER}")),
            "endgeneration" => Some("endfilter".to_owned()),
            _ => None,
        };
        out.push_str(&rest[..start]);
        let tag = &rest[start..start + len + 2];
        match replacement {
            Some(replacement) => out.push_str(&tag.replace(word, &format!(" {replacement} "))),
            None => out.push_str(tag),
        }
        rest = &rest[start + len + 2..];
    }
    out + rest
}

/// The filter.
pub(super) fn marked(text: String) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

/// The text without marks, and where they were.
pub(super) fn unmarked(text: String) -> Rendered {
    if !text.contains(OPEN) {
        return Rendered { text, marked: Vec::new() };
    }
    let (mut plain, mut marked, mut start) = (String::with_capacity(text.len()), Vec::new(), 0);
    for char in text.chars() {
        match char {
            OPEN => start = plain.len(),
            CLOSE => marked.push(start..plain.len()),
            char => plain.push(char),
        }
    }
    Rendered { text: plain, marked }
}

impl ChatTemplate {
    /// The text of a conversation, and the bytes of it that are responses: what the assistant says from
    /// message `n_prompt` on.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`], and [`ChatError::NotAPrefix`].
    pub fn with_responses(
        &self,
        messages: &[Value],
        n_prompt: usize,
        tools: Option<&Value>,
    ) -> Result<(String, Vec<Range<usize>>), ChatError> {
        let text_of = |n: usize, add_generation_prompt: bool| {
            let options = Options { add_generation_prompt, tools: tools.cloned() };
            self.render(&messages[..n], &options)
        };
        let whole = text_of(messages.len(), false)?;
        let is_response = |index: usize| {
            let role = messages[index].get_attr("role").ok();
            index >= n_prompt && role.is_some_and(|role| role.as_str() == Some("assistant"))
        };
        if !whole.marked.is_empty() {
            // Those of the prompt come first, and are as many as it has when rendered without the rest.
            let n_of_prompt = match n_prompt {
                0 => 0,
                n => text_of(n, false)?.marked.len(),
            };
            let spans = whole.marked.get(n_of_prompt..).unwrap_or_default().to_vec();
            return Ok((whole.text, spans));
        }
        let mut spans = Vec::new();
        for index in (0..messages.len()).filter(|&index| is_response(index)) {
            let before = text_of(index, true)?.text;
            let through = match index + 1 == messages.len() {
                true => whole.text.clone(),
                false => text_of(index + 1, false)?.text,
            };
            if !(through.starts_with(&before) && whole.text.starts_with(&through)) {
                return Err(ChatError::NotAPrefix(index + 1));
            }
            spans.push(before.len()..through.len());
        }
        Ok((whole.text, spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}\
                         {% if add_generation_prompt %}<assistant>{% endif %}";
    const MARKED: &str = "{% for m in messages %}<{{ m.role }}>\
        {% if m.role == 'assistant' %}{%- generation -%} {{ m.content }}</>{% endgeneration %}\
        {% else %}{{ m.content }}</>{% endif %}{% endfor %}";

    fn responses(source: &str, n_prompt: usize) -> Result<Vec<String>, ChatError> {
        let talk = [("user", "a"), ("assistant", "bé"), ("user", "c"), ("assistant", "d")];
        let messages: Vec<Value> = talk
            .iter()
            .map(|&(role, content)| Value::from_pairs([("role", role), ("content", content)]))
            .collect();
        let template = ChatTemplate::new(source, Vec::new())?;
        let (text, spans) = template.with_responses(&messages, n_prompt, None)?;
        assert!(text.starts_with("<user>a</><assistant>"), "{text}");
        Ok(spans.into_iter().map(|span| text[span].to_owned()).collect())
    }

    #[test]
    fn responses_are_what_the_assistant_says_with_and_without_marks() {
        for source in [PLAIN, MARKED] {
            assert_eq!(responses(source, 0).unwrap(), ["bé</>", "d</>"], "{source}");
            assert_eq!(responses(source, 3).unwrap(), ["d</>"]);
        }
    }

    #[test]
    fn a_template_that_forgets_is_named() {
        let forgets = "{% for m in messages %}<{{ m.role }}>\
            {{ m.content if loop.last or m.role == 'user' else '…' }}</>{% endfor %}\
            {% if add_generation_prompt %}<assistant>{% endif %}";
        let error = responses(forgets, 0).unwrap_err();
        assert!(matches!(error, ChatError::NotAPrefix(2)), "{error}");
        assert_eq!(responses(forgets, 3).unwrap(), ["d</>"]);
    }
}
