//! Conversations as text, by the chat template of a tokenizer.
//!
//! Renders as `apply_chat_template` of transformers 4.57 does, and finds which parts of the text are
//! responses: those that a model is to learn. Templates are programs of strangers; one that loops
//! without end runs out of steps.
//!
//! It opens no files, and knows no tokenizer.

mod printed;
mod source;
mod spans;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use thiserror::Error as ThisError;

pub use source::{TemplateFiles, TemplateSource, find};
pub use spans::Rendered;

/// Why a conversation cannot be rendered.
#[derive(Debug, ThisError)]
pub enum ChatError {
    #[error("the chat template cannot be read: {0}")]
    Syntax(String),
    /// In the words of the template, where it has any.
    #[error("the chat template refuses the conversation: {0}")]
    Refused(String),
    #[error("the chat template fails: {0}")]
    Failed(String),
    #[error(
        "the chat template writes message {0} in another way when more messages follow, so that its \
         responses cannot be located; use \"prompt\" and \"completion\", or a template with \
         {{% generation %}}"
    )]
    NotAPrefix(usize),
    #[error("{file} cannot be read as chat template: {problem}")]
    File { file: &'static str, problem: String },
}

/// A compiled template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Vec<(String, String)>,
}

/// What a template may ask for besides messages.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Ends the text where the assistant has to go on.
    pub add_generation_prompt: bool,
    /// A list of JSON schemas.
    pub tools: Option<Value>,
}

/// The most steps of one rendering.
const FUEL: u64 = 5_000_000;
const NAME: &str = "chat template";
/// More spaces are no layout.
const MAX_INDENT: usize = 16;

impl ChatTemplate {
    /// `special_tokens` are variables, such as `bos_token`.
    ///
    /// # Errors
    /// [`ChatError::Syntax`].
    pub fn new(source: &str, special_tokens: Vec<(String, String)>) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| ChatError::Syntax(detail(&error)))?);
        environment.set_formatter(|out, state, value| match printed::special(value) {
            Some(text) => out.write_str(&text).map_err(Error::from),
            None => minijinja::escape_formatter(out, state, value),
        });
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{REFUSAL}{message}")))
        });
        environment.add_filter("tojson", |value: &Value, options: Kwargs| {
            let indent: Option<usize> = options.get("indent")?;
            let by_default =
                |name: &str| Ok::<_, Error>(options.get::<Option<bool>>(name)? != Some(true));
            let is_plain = by_default("ensure_ascii")? && by_default("sort_keys")?;
            options.assert_all_used()?;
            if !is_plain || indent.is_some_and(|indent| indent > MAX_INDENT) {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "tojson with ensure_ascii, sort_keys or a large indent is not supported",
                ));
            }
            Ok::<_, Error>(printed::json(value, indent))
        });
        environment.add_filter(spans::FILTER, spans::marked);
        environment
            .add_template_owned(NAME, spans::with_filters(source))
            .map_err(|error| ChatError::Syntax(detail(&error)))?;
        Ok(Self { environment, special_tokens })
    }

    /// The token that ends a turn: templates end each with the tokenizer's `eos_token`.
    pub fn end_of_turn(&self) -> Option<&str> {
        let mut tokens = self.special_tokens.iter();
        tokens.find(|(name, _)| name == "eos_token").map(|(_, token)| token.as_str())
    }

    /// The text of a conversation, up to the answer of the assistant. Each turn is a role (`system`,
    /// `user` or `assistant`) and what it says.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn prompt(&self, turns: &[(&str, &str)]) -> Result<String, ChatError> {
        let message =
            |&(role, text): &(&str, &str)| Value::from_pairs([("role", role), ("content", text)]);
        let messages: Vec<Value> = turns.iter().map(message).collect();
        let options = Options { add_generation_prompt: true, tools: None };
        Ok(self.render(&messages, &options)?.text)
    }

    /// The text of a list of messages, each with `role` and `content`.
    ///
    /// # Errors
    /// [`ChatError::Refused`] in the template's own words, or [`ChatError::Failed`].
    pub fn render(&self, messages: &[Value], options: &Options) -> Result<Rendered, ChatError> {
        let special = self.special_tokens.iter();
        let special = special.map(|(name, token)| (name.as_str(), Value::from(token.as_str())));
        let values = [
            ("messages", Value::from(messages.to_vec())),
            ("add_generation_prompt", Value::from(options.add_generation_prompt)),
            ("tools", options.tools.clone().unwrap_or_else(|| Value::from(()))),
            ("documents", Value::from(())),
        ];
        let template = self.environment.get_template(NAME);
        let text =
            template.and_then(|template| template.render(Value::from_pairs(special.chain(values))));
        text.map(spans::unmarked).map_err(|error| {
            let refusal = error.detail().and_then(|detail| detail.strip_prefix(REFUSAL));
            match refusal {
                Some(message) => ChatError::Refused(message.to_owned()),
                None => ChatError::Failed(detail(&error)),
            }
        })
    }
}

/// Marks what a template says itself.
const REFUSAL: &str = "raise_exception: ";

fn detail(error: &Error) -> String {
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    match error.detail() {
        Some(detail) => format!("{detail}{line}"),
        None => format!("{}{line}", error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(all: &[(&str, &str)]) -> Vec<Value> {
        let message = |&(role, content): &(&str, &str)| {
            Value::from_pairs([("role", role), ("content", content)])
        };
        all.iter().map(message).collect()
    }

    fn render(source: &str, all: &[(&str, &str)]) -> Result<String, ChatError> {
        let special = vec![("eos_token".to_owned(), "</s>".to_owned())];
        let template = ChatTemplate::new(source, special)?;
        Ok(template.render(&messages(all), &Options::default())?.text)
    }

    #[test]
    fn blocks_leave_no_lines_behind_and_values_print_as_in_python() {
        let source = "{% for message in messages %}\n  {% if true %}\n{{ message.role.upper() }}: \
                      {{ message['content'] | trim }}{{ eos_token }}\n  {% endif %}\n{% endfor %}\n\
                      {{ none }} {{ true }} {{ 1.0 }} {{ [1, 'a', none] }}";
        let found = render(source, &[("user", " a "), ("assistant", "b")]).unwrap();
        assert_eq!(found, "USER: a</s>\nASSISTANT: b</s>\nNone True 1.0 [1, 'a', None]");
    }

    #[test]
    fn a_refusal_is_in_the_words_of_the_template() {
        let source = "{% if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}\
                      {% endif %}";
        let error = render(source, &[("assistant", "a")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the chat template refuses the conversation: roles must alternate"
        );
    }

    #[test]
    fn a_template_that_cannot_be_read_or_never_ends_is_an_error() {
        let syntax = render("{% for %}", &[]).unwrap_err();
        assert!(syntax.to_string().contains("cannot be read"), "{syntax}");
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = render(endless, &[]).unwrap_err();
        assert!(error.to_string().contains("ran out of fuel"), "{error}");
    }
}
