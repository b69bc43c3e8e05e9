//! Conversations as texts, by the chat template of a model.

use boomerang_chat::{ChatError, ChatTemplate, TemplateFiles, TemplateSource, find};
use boomerang_core::documents::{
    Content, Document, DocumentError, Json, JsonValue, MarkedText, Problem,
};
use minijinja::Value;

use super::ModelFolder;
use crate::exit::{Exit, OrExit as _};

impl ModelFolder {
    /// The chat template of the model; `None` where its folder has none.
    ///
    /// # Errors
    /// When the template, or a file that may have one, cannot be read.
    pub fn chat_template(&self) -> anyhow::Result<Option<ChatTemplate>> {
        let source = self.chat_template_source()?;
        source.map(TemplateSource::compile).transpose().or_exit(Exit::Unusable)
    }

    /// The chat template of the model, not compiled; `None` where its folder has none.
    ///
    /// # Errors
    /// When a file that may have one cannot be read.
    pub fn chat_template_source(&self) -> anyhow::Result<Option<TemplateSource>> {
        let [config, jinja, json] =
            ["tokenizer_config.json", "chat_template.jinja", "chat_template.json"]
                .map(|name| self.extra(name));
        let (config, jinja, json) = (config?, jinja?, json?);
        let jinja = jinja.map(String::from_utf8).transpose().or_exit(Exit::Unusable)?;
        find(TemplateFiles {
            tokenizer_config: config.as_deref(),
            jinja: jinja.as_deref(),
            json: json.as_deref(),
        })
        .or_exit(Exit::Unusable)
    }

    /// The chat template of a model that needs one.
    ///
    /// # Errors
    /// As [`ModelFolder::chat_template`], and when there is none.
    pub fn required_chat_template(&self) -> anyhow::Result<ChatTemplate> {
        self.chat_template()?.ok_or_else(|| {
            Exit::Unusable.error(format!(
                "{} has no chat template, which --chat needs; expected chat_template.jinja, or \
                 chat_template in tokenizer_config.json",
                self.path().display()
            ))
        })
    }
}

/// What a user asks, as the template writes it up to the answer.
///
/// # Errors
/// What the template says.
pub fn question(
    template: &ChatTemplate,
    system: Option<&str>,
    prompt: &str,
) -> Result<String, ChatError> {
    let turns = system.into_iter().map(|text| ("system", text)).chain([("user", prompt)]);
    template.prompt(&turns.collect::<Vec<_>>())
}

/// A conversation as the text that the template makes of it; anything else stays as it is.
///
/// # Errors
/// Names the line, and what the template says.
pub fn rendered(
    document: Document,
    template: Option<&ChatTemplate>,
) -> Result<Document, DocumentError> {
    let Content::Conversation(conversation) = &document.content else { return Ok(document) };
    let template = template.ok_or_else(|| document.from.error(Problem::NoTemplate))?;
    let messages: Vec<Value> = conversation.messages.iter().map(value).collect();
    let tools = conversation.tools.as_ref().map(value);
    let (text, responses) = template
        .with_responses(&messages, conversation.n_prompt, tools.as_ref())
        .map_err(|error| document.from.error(Problem::Template(error.to_string())))?;
    let content = Content::Completion(MarkedText { text, responses, special: false });
    Ok(Document { content, ..document })
}

/// A value as templates read it, with keys in their order.
pub fn value(json: &Json) -> Value {
    match &json.value {
        JsonValue::Null => Value::from(()),
        JsonValue::Bool(flag) => Value::from(*flag),
        JsonValue::Int(number) => Value::from(*number),
        JsonValue::Float(number) => Value::from(*number),
        JsonValue::Text(text) => Value::from(text.as_str()),
        JsonValue::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        JsonValue::Map(entries) => {
            Value::from_pairs(entries.iter().map(|(key, item)| (key.as_str(), value(item))))
        }
    }
}
