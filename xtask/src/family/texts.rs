//! Texts that the teacher writes: questions about topics, sampled answers.

use std::fs;

use anyhow::{Context as _, Result};

use super::Family;

/// Lists of topics, and what is asked about them.
const LISTS: &str = "assets/families/smollm2";

/// A folder of texts, the lists that they are asked with, and whether in the teacher's chat template.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    name: &'static str,
    topics: &'static str,
    questions: &'static str,
    is_chat: bool,
    seed: u64,
}

pub(super) const KINDS: [Kind; 4] = [
    kind("chat", "topics.txt", "questions.txt", true, 1),
    kind("plain", "topics.txt", "beginnings.txt", false, 2),
    kind("chat-held-out", "held_out_topics.txt", "questions.txt", true, 3),
    kind("plain-held-out", "held_out_topics.txt", "beginnings.txt", false, 4),
];

/// Of these the student reads nothing.
pub(super) const HELD_OUT: [&str; 2] = ["chat-held-out", "plain-held-out"];

/// The file of a folder of texts.
pub(super) fn samples(name: &str) -> String {
    format!("{name}/samples.jsonl")
}

const fn kind(
    name: &'static str,
    topics: &'static str,
    questions: &'static str,
    is_chat: bool,
    seed: u64,
) -> Kind {
    Kind { name, topics, questions, is_chat, seed }
}

impl Family<'_> {
    /// Samples the texts of a kind, unless they are there.
    pub(super) fn sample(&self, teacher: &str, kind: Kind) -> Result<()> {
        if self.has(kind.name) {
            return Ok(());
        }
        let lists = [kind.topics, kind.questions].map(|name| {
            let path = self.workspace.root.join(LISTS).join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        });
        let [topics, questions] = lists;
        let (file, out) = (self.inside(&format!("{}.txt", kind.name)), self.inside(kind.name));
        let is_held_out = HELD_OUT.contains(&kind.name);
        let nth = if is_held_out { 1 } else { self.options.scale.every_nth_text() };
        let prompts = prompts(&topics?, &questions?, nth);
        fs::write(self.workspace.root.join(&file), prompts)
            .with_context(|| format!("writing {file}"))?;
        let chat = if kind.is_chat { "--chat" } else { "" };
        let words = format!("--temperature 0.7 --tokens 256 --seed {} {chat}", kind.seed);
        let flags = [("--model", teacher), ("--prompts", &file), ("--out", &out)];
        self.boomerang("sample", &words, &flags)
    }
}

/// Every `nth` question about every topic, one on a line; the questions differ from topic to topic.
fn prompts(topics: &str, questions: &str, nth: usize) -> String {
    fn lines(list: &str) -> impl Iterator<Item = &str> {
        list.lines().filter(|line| !line.is_empty())
    }
    let mut all = String::new();
    for (index, topic) in lines(topics).enumerate() {
        for question in lines(questions).skip(index % nth).step_by(nth) {
            all.push_str(&question.replace("{topic}", topic));
            all.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_asked_about_every_topic() {
        let all = prompts("tea\n\nbees\n", "Why {topic}?\nTell me about {topic}.\n", 1);
        assert_eq!(all, "Why tea?\nTell me about tea.\nWhy bees?\nTell me about bees.\n");
    }

    #[test]
    fn half_of_the_questions_are_other_ones_for_each_topic() {
        let half = prompts("tea\n\nbees\n", "Why {topic}?\nTell me about {topic}.\n", 2);
        assert_eq!(half, "Why tea?\nTell me about bees.\n");
    }
}
