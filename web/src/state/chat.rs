//! The conversation with a family that has a chat template.

use boomerang_engine::messages::{ChatMessage, Prompt, Role};
use leptos::prelude::*;

use crate::family::FamilyCard;
use crate::state::run::Run;
use crate::text::link::Link;

#[derive(Clone, Copy)]
pub struct Chat {
    /// Whether the family has a template.
    pub is_offered: bool,
    /// Whether prompts are messages; only asked where it is offered.
    pub is_chosen: RwSignal<bool>,
    /// Up to the last message of the user, whose answer is `run`.
    turns: RwSignal<Vec<ChatMessage>>,
    /// The text that is being generated, or the last one.
    run: RwSignal<Option<Run>>,
}

impl Chat {
    /// With the settings of the link, else on where it is offered.
    pub fn new(family: &FamilyCard, link: &Link, run: RwSignal<Option<Run>>) -> Self {
        Self {
            is_offered: family.manifest().chat.is_some(),
            is_chosen: RwSignal::new(link.is_chat.unwrap_or(true)),
            turns: RwSignal::new(messages(link)),
            run,
        }
    }

    pub fn is_on(self) -> bool {
        self.is_offered && self.is_chosen.get()
    }

    /// Whether there is a question that can be answered again.
    pub fn has_question(self) -> bool {
        self.is_on() && self.turns.with(|turns| ends_with_question(turns))
    }

    pub fn has_turns(self) -> bool {
        self.is_on() && self.turns.with(|turns| !turns.is_empty())
    }

    /// The next request in this conversation: `message` after what was said so far, or the last
    /// question again when it is empty.
    pub fn with_message(self, message: &str) -> Prompt {
        let mut turns = self.turns.get();
        if message.trim().is_empty() {
            return Prompt::Chat(turns);
        }
        if ends_with_question(&turns) {
            match self.answer_to(&turns) {
                Some(answer) => turns.push(ChatMessage::assistant(answer)),
                // It was never answered.
                None => _ = turns.pop(),
            }
        }
        turns.push(ChatMessage::user(message.to_owned()));
        Prompt::Chat(turns)
    }

    /// `message` as a conversation of its own, or else the last question.
    pub fn only(self, message: &str) -> Prompt {
        let last = self.turns.with(|turns| turns.last().cloned());
        let message = match last.filter(|_| message.trim().is_empty()) {
            Some(question) => question,
            None => ChatMessage::user(message.to_owned()),
        };
        Prompt::Chat(vec![message])
    }

    fn answer_to(self, turns: &[ChatMessage]) -> Option<String> {
        let answers = |run: &&Run| matches!(&run.prompt, Prompt::Chat(asked) if asked == turns);
        let text = self.run.with(|run| run.as_ref().filter(answers).map(Run::text));
        text.filter(|text| !text.trim().is_empty())
    }

    /// This request is being answered.
    pub fn on_request(self, prompt: &Prompt) {
        if let Prompt::Chat(turns) = prompt {
            self.turns.set(turns.clone());
        }
    }

    /// Forgets what was said so far.
    pub fn start_again(self) {
        self.turns.set(Vec::new());
    }

    /// Applies a link that has a prompt: its conversation replaces this one.
    pub fn apply(self, link: &Link) {
        self.turns.set(messages(link));
        if let Some(is_chat) = link.is_chat {
            self.is_chosen.set(is_chat);
        }
    }

    /// Puts the conversation into a link, with `message` not yet sent.
    pub fn put_all_into(self, link: &mut Link) {
        link.is_chat = Some(self.is_chosen.get()).filter(|_| self.is_offered);
        let turns = self.turns.with(|turns| turns.iter().map(|it| it.content.clone()).collect());
        link.turns = Some(turns).filter(|turns: &Vec<String>| self.is_on() && !turns.is_empty());
    }

    /// Puts the conversation into a link that asks its last question again.
    pub fn put_into(self, link: &mut Link) {
        self.put_all_into(link);
        link.is_chat = link.is_chat.filter(|is_chat| !is_chat);
        if self.has_question() {
            link.prompt = link.turns.as_mut().and_then(Vec::pop);
            link.turns = link.turns.take().filter(|turns| !turns.is_empty());
        }
    }
}

fn ends_with_question(turns: &[ChatMessage]) -> bool {
    turns.last().is_some_and(|message| message.role == Role::User)
}

/// The turns of a link, the user's first.
fn messages(link: &Link) -> Vec<ChatMessage> {
    let turns = link.turns.iter().flatten().cloned().enumerate();
    let message = |(index, content)| match index % 2 {
        0 => ChatMessage::user(content),
        _ => ChatMessage::assistant(content),
    };
    turns.map(message).collect()
}

#[cfg(test)]
mod tests {
    use boomerang_core::generate::Sampling;

    use super::*;
    use crate::state::run::Piece;
    use boomerang_client::testing::chat_card;

    fn user(text: &str) -> ChatMessage {
        ChatMessage::user(text.to_owned())
    }

    fn assistant(text: &str) -> ChatMessage {
        ChatMessage::assistant(text.to_owned())
    }

    /// A conversation in which `a` was asked, and answered with `answer`.
    fn asked(answer: &str) -> Chat {
        let card = chat_card();
        let run = RwSignal::new(None);
        let chat = Chat::new(&card, &Link::default(), run);
        let prompt = chat.with_message("a");
        assert_eq!(prompt, Prompt::Chat(vec![user("a")]));
        chat.on_request(&prompt);
        let patch = card.path()[0].clone();
        let size = card.size(&patch);
        let mut answered = Run::new(1, patch, size, prompt, Sampling::Greedy);
        answered.pieces.push(Piece { token: 1, text: answer.to_owned() });
        run.set(Some(answered));
        chat
    }

    #[test]
    fn an_answer_becomes_a_turn_with_the_next_message() {
        Owner::new().with(|| {
            let turns = [user("a"), assistant("b"), user("c")];
            assert_eq!(asked("b").with_message("c"), Prompt::Chat(turns.into()));
        });
    }

    #[test]
    fn without_a_message_the_last_question_is_asked_again() {
        Owner::new().with(|| {
            let chat = asked("b");
            assert!(chat.has_question());
            assert_eq!(chat.with_message(" "), Prompt::Chat(vec![user("a")]));
        });
    }

    #[test]
    fn a_question_without_an_answer_is_replaced() {
        Owner::new().with(|| {
            assert_eq!(asked("").with_message("c"), Prompt::Chat(vec![user("c")]));
        });
    }

    #[test]
    fn a_link_asks_the_last_question_after_the_same_turns() {
        Owner::new().with(|| {
            let chat = asked("b");
            chat.on_request(&chat.with_message("c"));
            let mut link = Link::default();
            chat.put_into(&mut link);
            assert_eq!(link.query(), "?p=c&turns=%5B%22a%22,%22b%22%5D");
            let opened = Chat::new(&chat_card(), &link, RwSignal::new(None));
            let turns = [user("a"), assistant("b"), user("c")];
            assert_eq!(opened.with_message("c"), Prompt::Chat(turns.into()));
        });
    }
}
