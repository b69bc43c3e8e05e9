//! What a member continues: a text, or a conversation.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prompt {
    /// A text, as it is.
    Text(String),
    /// A conversation that ends with a message of the user, written by the family's chat template.
    Chat(Vec<ChatMessage>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    pub role: Role,
    pub content: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    User,
    Assistant,
}

impl Prompt {
    /// The text, or the last message.
    pub fn last(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Chat(messages) => messages.last().map_or("", |message| &message.content),
        }
    }

    /// As it is shown before the text that continues it: a message has a line of its own.
    pub fn before_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Chat(_) => format!("{}\n", self.last()),
        }
    }
}

impl ChatMessage {
    pub fn user(content: String) -> Self {
        Self { role: Role::User, content }
    }

    pub fn assistant(content: String) -> Self {
        Self { role: Role::Assistant, content }
    }
}

impl Role {
    /// As chat templates name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}
