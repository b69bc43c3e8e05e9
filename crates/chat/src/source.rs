//! Where a model's files keep its chat template and its special tokens.

use serde_json::Value;

use super::{ChatError, ChatTemplate};

/// The bytes of a model's files, each if it is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateFiles<'a> {
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<&'a [u8]>,
    /// `chat_template.jinja`, which overrides the template in `tokenizer_config.json`.
    pub jinja: Option<&'a str>,
    /// `chat_template.json`, used if no other file has one.
    pub json: Option<&'a [u8]>,
}

/// A template that is not compiled yet, with the variables that it may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateSource {
    /// In Jinja.
    pub text: String,
    /// Names and texts of special tokens, such as `bos_token`.
    pub special_tokens: Vec<(String, String)>,
}

impl TemplateSource {
    /// # Errors
    /// [`ChatError::Syntax`].
    pub fn compile(self) -> Result<ChatTemplate, ChatError> {
        ChatTemplate::new(&self.text, self.special_tokens)
    }
}

/// The template of a model's files; `None` where they have none.
///
/// # Errors
/// Names the file that cannot be read.
pub fn find(files: TemplateFiles<'_>) -> Result<Option<TemplateSource>, ChatError> {
    let config = parse("tokenizer_config.json", files.tokenizer_config)?;
    let own = parse("chat_template.json", files.json)?;
    let source = match files.jinja {
        Some(source) => Some(source.to_owned()),
        None => text_of("tokenizer_config.json", &config["chat_template"])?
            .or(text_of("chat_template.json", &own["chat_template"])?),
    };
    Ok(source.map(|text| TemplateSource { text, special_tokens: special_tokens(&config) }))
}

fn parse(file: &'static str, bytes: Option<&[u8]>) -> Result<Value, ChatError> {
    let parsed = bytes.map(serde_json::from_slice).transpose();
    parsed
        .map(Option::unwrap_or_default)
        .map_err(|error| ChatError::File { file, problem: error.to_string() })
}

/// A template, or the one of several that is called `default`.
fn text_of(file: &'static str, templates: &Value) -> Result<Option<String>, ChatError> {
    match templates {
        Value::Null => Ok(None),
        Value::String(template) => Ok(Some(template.clone())),
        Value::Array(named) => {
            let is_default = |entry: &&Value| entry["name"] == "default";
            let default = named.iter().find(is_default);
            Ok(default.and_then(|entry| entry["template"].as_str()).map(str::to_owned))
        }
        other => {
            let problem = format!("chat_template is {other}; expected a string or a list");
            Err(ChatError::File { file, problem })
        }
    }
}

/// `bos_token` and its like, as templates name them.
fn special_tokens(config: &Value) -> Vec<(String, String)> {
    let entries = config.as_object().into_iter().flatten();
    let named = entries.filter(|(key, _)| key.ends_with("_token"));
    let token = |(key, value): (&String, &Value)| {
        // Either the token, or an object with its properties.
        let text = value.as_str().or_else(|| value["content"].as_str())?;
        Some((key.clone(), text.to_owned()))
    };
    named.filter_map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn text(files: TemplateFiles<'_>) -> Option<String> {
        let template = find(files).unwrap()?.compile().unwrap();
        Some(template.render(&[], &Options::default()).unwrap().text)
    }

    #[test]
    fn a_template_is_found_in_each_of_its_files() {
        let config = br#"{"chat_template": "a{{ bos_token }}", "bos_token": {"content": "<s>"}}"#;
        let listed = br#"{"chat_template": [{"name": "rag", "template": "r"},
            {"name": "default", "template": "d"}]}"#;
        let json = br#"{"chat_template": "j"}"#;
        let config = TemplateFiles { tokenizer_config: Some(config), ..TemplateFiles::default() };
        assert_eq!(text(config).unwrap(), "a<s>");
        let both = TemplateFiles { jinja: Some("b{{ bos_token }}"), ..config };
        assert_eq!(text(both).unwrap(), "b<s>");
        let listed = TemplateFiles { tokenizer_config: Some(listed), ..TemplateFiles::default() };
        assert_eq!(text(TemplateFiles { json: Some(json), ..listed }).unwrap(), "d");
        assert_eq!(
            text(TemplateFiles { json: Some(json), ..TemplateFiles::default() }).unwrap(),
            "j"
        );
        assert_eq!(text(TemplateFiles::default()), None);
    }

    #[test]
    fn a_file_that_is_no_template_is_named() {
        let broken = TemplateFiles { json: Some(b"{"), ..TemplateFiles::default() };
        let error = find(broken).unwrap_err();
        assert!(error.to_string().starts_with("chat_template.json cannot be read"), "{error}");
    }
}
