//! Prompts as tokens: texts as they are, conversations by the family's chat template.

use boomerang_chat::{ChatError, TemplateSource};
use boomerang_core::bundle::ChatFormat;
use boomerang_core::tokenizer::Tokenizer;

use crate::messages::Prompt;
use crate::notice::{Notice, chain};

/// A prompt as a member reads it.
#[derive(Debug)]
pub(crate) struct EncodedPrompt {
    pub(crate) tokens: Vec<u32>,
    /// The conversation as text; `None` for a prompt that is a text already.
    pub(crate) rendered: Option<String>,
    /// The token that ends a turn, if the template has one.
    pub(crate) end_of_turn: Option<u32>,
}

impl EncodedPrompt {
    /// The tokens that `boomerang generate` has for a text, and with `--chat` for a message.
    pub(crate) fn new(
        prompt: &Prompt,
        chat: Option<&ChatFormat>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, Notice> {
        let encode = |text: &str, special| tokenizer.encode(text, special).map_err(not_continued);
        let messages = match prompt {
            Prompt::Text(text) => {
                let tokens = encode(text, true)?;
                return Ok(Self { tokens, rendered: None, end_of_turn: None });
            }
            Prompt::Chat(messages) => messages,
        };
        let chat = chat.ok_or_else(no_template)?;
        let source = TemplateSource {
            text: chat.template.clone(),
            special_tokens: chat.special_tokens.clone().into_iter().collect(),
        };
        let template = source.compile().map_err(not_rendered)?;
        let turns: Vec<(&str, &str)> =
            messages.iter().map(|it| (it.role.name(), it.content.as_str())).collect();
        let rendered = template.prompt(&turns).map_err(not_rendered)?;
        Ok(Self {
            // A chat template writes special tokens itself.
            tokens: encode(&rendered, false)?,
            rendered: Some(rendered),
            end_of_turn: template.end_of_turn().and_then(|token| tokenizer.id(token)),
        })
    }
}

/// How many of these tokens replace text for which the tokenizer has no token.
pub(crate) fn n_unknown(tokens: &[u32], tokenizer: &Tokenizer) -> usize {
    let unknown = ["<unk>", "[UNK]"].into_iter().find_map(|token| tokenizer.id(token));
    tokens.iter().filter(|&&token| Some(token) == unknown).count()
}

/// Why a prompt, or a text after it, cannot be continued.
pub(crate) fn not_continued(error: impl std::error::Error) -> Notice {
    Notice::new("This text cannot be continued.", chain(&error), "Try another prompt.")
}

fn not_rendered(error: ChatError) -> Notice {
    let next = "Start a new chat, or switch Chat off to continue the prompt as plain text.";
    Notice::new("This conversation cannot be continued.", chain(&error), next)
}

fn no_template() -> Notice {
    let why = "this model has no chat template";
    let next = "Switch Chat off to continue the prompt as plain text.";
    Notice::new("This conversation cannot be continued.", why, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::ChatMessage;

    const TOKENIZER: &[u8] = br#"{"model": {"type": "WordLevel",
        "vocab": {"?": 0, "<s>": 1, "user": 2, "assistant": 3, "hello": 4, "yes": 5, "</s>": 6},
        "unk_token": "?"}, "pre_tokenizer": {"type": "WhitespaceSplit"}}"#;

    fn chat(template: &str) -> ChatFormat {
        let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
        let special = special.map(|(name, token)| (name.to_owned(), token.to_owned()));
        ChatFormat { template: template.to_owned(), special_tokens: special.into() }
    }

    const TURNS: &str = "{{ bos_token }}{% for message in messages %} {{ message.role }} \
                         {{ message.content }}{% endfor %}{% if add_generation_prompt %} assistant\
                         {% endif %}";

    fn encoded(prompt: &Prompt, chat: Option<&ChatFormat>) -> Result<EncodedPrompt, Notice> {
        EncodedPrompt::new(prompt, chat, &Tokenizer::from_json(TOKENIZER).unwrap())
    }

    #[test]
    fn a_conversation_is_rendered_up_to_the_answer() {
        let message = |content: &str| ChatMessage::user(content.to_owned());
        let answer = ChatMessage::assistant("yes".to_owned());
        let prompt = Prompt::Chat(vec![message("hello"), answer, message("hello")]);
        let encoded = encoded(&prompt, Some(&chat(TURNS))).unwrap();
        assert_eq!(encoded.tokens, [1, 2, 4, 3, 5, 2, 4, 3]);
        let text = "<s> user hello assistant yes user hello assistant";
        assert_eq!(encoded.rendered.as_deref(), Some(text));
        assert_eq!(encoded.end_of_turn, Some(6));
    }

    #[test]
    fn words_without_a_token_are_counted() {
        let count = |unknown: &str| {
            let json =
                String::from_utf8_lossy(TOKENIZER).replace("\"?\"", &format!("\"{unknown}\""));
            let tokenizer = Tokenizer::from_json(json.as_bytes()).unwrap();
            n_unknown(&tokenizer.encode("hello Paris yes London", true).unwrap(), &tokenizer)
        };
        assert_eq!([count("<unk>"), count("[UNK]")], [2, 2]);
    }

    #[test]
    fn a_text_is_encoded_without_the_template() {
        let encoded = encoded(&Prompt::Text("hello".to_owned()), Some(&chat(TURNS))).unwrap();
        assert_eq!((encoded.tokens, encoded.rendered), (vec![4], None));
    }

    #[test]
    fn a_refusal_of_the_template_is_reported() {
        let prompt = Prompt::Chat(vec![ChatMessage::user("hello".to_owned())]);
        let refusing = chat("{{ raise_exception('no users here') }}");
        let notice = encoded(&prompt, Some(&refusing)).unwrap_err();
        assert!(notice.why.contains("no users here"), "{}", notice.why);
        assert!(encoded(&prompt, None).unwrap_err().why.contains("no chat template"));
    }
}
