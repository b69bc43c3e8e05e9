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
        fs::write(self.workspace.root.join(&file), prompts(&topics?, &questions?))
            .with_context(|| format!("writing {file}"))?;
        let chat = if kind.is_chat { "--chat" } else { "" };
        let words = format!("--temperature 0.7 --tokens 256 --seed {} {chat}", kind.seed);
        let flags = [("--model", teacher), ("--prompts", &file), ("--out", &out)];
        self.boomerang("sample", &words, &flags)
    }
}

/// Every question about every topic, one on a line.
fn prompts(topics: &str, questions: &str) -> String {
    let mut all = String::new();
    for topic in topics.lines().filter(|line| !line.is_empty()) {
        for question in questions.lines().filter(|line| !line.is_empty()) {
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
        let all = prompts("tea\n\nbees\n", "Why {topic}?\nTell me about {topic}.\n");
        assert_eq!(all, "Why tea?\nTell me about tea.\nWhy bees?\nTell me about bees.\n");
    }
}
