//! Held-out multiple-choice tasks: items truncated before an answer, with the answer among wrong
//! choices.
//!
//! Held out means sampled independently, from a random stream that no training row uses; it does
//! not mean never seen. Facts, friends and rhymes test memorized knowledge, so they ask what the
//! training data contains. For the others, the share of documents that, correct answer included,
//! are a prefix of some item in 2.5 million training tokens is nearly 1 for sums, of which there
//! are only two thousand, 0.9 for brackets, 0.4 for `sort` and `agree`, and 0.2 for `count`, `rev`
//! and `copy`.

use crate::evaluate::ChoiceDoc;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use super::{Answer, Corpus, ItemKind, Stream};

/// A multiple-choice task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    pub name: &'static str,
    /// The kind of items that its documents are made from.
    pub kind: ItemKind,
    pub n_choices: usize,
}

impl Task {
    /// Accuracy of guessing.
    pub fn chance(&self) -> f64 {
        1.0 / self.n_choices as f64
    }
}

/// All tasks, in the order of [`Corpus::tasks`].
pub const TASKS: [Task; 13] = [
    Task { name: "fact", kind: ItemKind::Fact, n_choices: 20 },
    Task { name: "friend", kind: ItemKind::Friend, n_choices: 20 },
    Task { name: "sum2", kind: ItemKind::Sum, n_choices: 10 },
    Task { name: "sum3", kind: ItemKind::Sum, n_choices: 10 },
    Task { name: "sum4", kind: ItemKind::Sum, n_choices: 10 },
    Task { name: "steps", kind: ItemKind::Sum, n_choices: 10 },
    Task { name: "count", kind: ItemKind::Count, n_choices: 5 },
    Task { name: "sort", kind: ItemKind::Sort, n_choices: 10 },
    Task { name: "rev", kind: ItemKind::Say, n_choices: 16 },
    Task { name: "copy", kind: ItemKind::Say, n_choices: 16 },
    Task { name: "brack", kind: ItemKind::Brackets, n_choices: 3 },
    Task { name: "agree", kind: ItemKind::Agree, n_choices: 2 },
    Task { name: "rhyme", kind: ItemKind::Rhyme, n_choices: 20 },
];

impl Corpus {
    /// `per_task` documents of each of the [`TASKS`].
    pub fn tasks(&self, seed: u64, per_task: usize) -> Vec<ChoiceDoc> {
        let mut rng = Stream::Tasks.rng(seed);
        TASKS
            .iter()
            .flat_map(|task| {
                (0..per_task).map(|_| self.task_doc(task, &mut rng)).collect::<Vec<_>>()
            })
            .collect()
    }

    fn task_doc(&self, task: &Task, rng: &mut impl Rng) -> ChoiceDoc {
        loop {
            let item = self.item_of(task.kind, rng);
            let answers: Vec<&Answer> =
                item.answers.iter().filter(|answer| answer.task == task.name).collect();
            // A kind may provide several tasks, and this item may belong to another one.
            let Some(answer) = answers.choose(rng) else { continue };

            let right = answer.choices[answer.gold];
            let mut choices = answer.choices.clone();
            choices.remove(answer.gold);
            choices.shuffle(rng);
            choices.truncate(task.n_choices - 1);
            let gold = rng.random_range(0..task.n_choices);
            choices.insert(gold, right);
            return ChoiceDoc {
                task: task.name.to_owned(),
                context: self.text(&item.tokens[1..answer.position]),
                choices: choices.iter().map(|&c| format!(" {}", self.vocabulary.word(c))).collect(),
                gold,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Context words and the correct word of many documents of one task.
    fn solved(task: &str) -> Vec<(Vec<String>, String)> {
        let docs = Corpus::new(1).tasks(7, 100).into_iter().filter(|doc| doc.task == task);
        let solved: Vec<_> = docs
            .map(|doc| {
                let words = doc.context.split(' ').map(String::from).collect();
                (words, doc.choices[doc.gold].trim_start().to_owned())
            })
            .collect();
        assert_eq!(solved.len(), 100);
        solved
    }

    /// The list after the first word, and the answers already given after the colon.
    fn list_and_given(words: &[String]) -> (Vec<String>, Vec<String>) {
        let colon = words.iter().position(|word| word == ":").expect("a list ends with a colon");
        (words[1..colon].to_vec(), words[colon + 1..].to_vec())
    }

    #[test]
    fn the_answer_of_a_sum_is_the_total_of_its_terms() {
        for task in ["sum2", "sum3", "sum4"] {
            for (words, answer) in solved(task) {
                let total: u32 = words.iter().filter_map(|word| word.parse::<u32>().ok()).sum();
                assert_eq!(answer, total.to_string(), "{words:?}");
            }
        }
    }

    #[test]
    fn a_sum_has_as_many_terms_as_its_name_says() {
        for (task, n_terms) in [("sum2", 2), ("sum3", 3), ("sum4", 4)] {
            for (words, _) in solved(task) {
                assert_eq!(words.iter().filter(|&word| word == "+").count(), n_terms - 1);
            }
        }
    }

    #[test]
    fn the_answer_of_a_step_adds_the_two_numbers_before_it() {
        for (words, answer) in solved("steps") {
            // `… 5 + 1 is`
            let number = |from_end: usize| words[words.len() - from_end].parse::<u32>();
            let total = number(4).expect("a number") + number(2).expect("a number");
            assert_eq!(answer, total.to_string(), "{words:?}");
        }
    }

    #[test]
    fn the_answer_of_a_count_is_how_often_the_last_word_is_in_the_list() {
        for (words, answer) in solved("count") {
            let (list, _) = list_and_given(&words);
            let n = list.iter().filter(|&word| Some(word) == words.last()).count();
            assert_eq!(answer, n.to_string(), "{words:?}");
        }
    }

    #[test]
    fn the_answer_of_a_list_is_its_next_word_in_order() {
        for task in ["sort", "rev", "copy"] {
            for (words, answer) in solved(task) {
                let (mut list, given) = list_and_given(&words);
                match task {
                    "sort" => list.sort(),
                    // Without `backwards` or `again`.
                    "rev" => list = list[..list.len() - 1].iter().rev().cloned().collect(),
                    _ => list.truncate(list.len() - 1),
                }
                assert_eq!(answer, list[given.len()], "{words:?}");
            }
        }
    }

    #[test]
    fn the_answer_of_brackets_closes_the_last_open_one() {
        for (words, answer) in solved("brack") {
            let mut text: String = words.concat();
            while ["()", "[]", "{}"].iter().any(|pair| text.contains(pair)) {
                text = text.replace("()", "").replace("[]", "").replace("{}", "");
            }
            let last = text.pop().expect("something is open");
            assert!(["()", "[]", "{}"].contains(&format!("{last}{answer}").as_str()), "{words:?}");
        }
    }

    #[test]
    fn the_answer_of_agreement_has_the_number_of_the_first_noun() {
        for (words, answer) in solved("agree") {
            let is_plural = words[1].ends_with('s');
            assert_eq!(["are", "they"].contains(&answer.as_str()), is_plural, "{words:?}");
        }
    }

    #[test]
    fn the_answer_of_a_fact_is_not_in_its_context() {
        for (words, answer) in solved("fact") {
            assert!(!words.contains(&answer), "{words:?}");
        }
    }

    #[test]
    fn every_document_has_the_choices_of_its_task_all_different() {
        let docs = Corpus::new(1).tasks(7, 50);
        for (task, docs) in TASKS.iter().zip(docs.chunks(50)) {
            for doc in docs {
                let different: HashSet<&String> = doc.choices.iter().collect();
                assert_eq!((doc.task.as_str(), different.len()), (task.name, task.n_choices));
            }
        }
    }

    #[test]
    fn the_correct_choice_occurs_at_every_index() {
        let docs = Corpus::new(1).tasks(7, 300);
        for (task, docs) in TASKS.iter().zip(docs.chunks(300)) {
            let golds: HashSet<usize> = docs.iter().map(|doc| doc.gold).collect();
            assert_eq!(golds.len(), task.n_choices, "{}", task.name);
        }
    }

    #[test]
    fn every_choice_is_a_space_and_one_word() {
        let corpus = Corpus::new(1);
        let words: HashSet<&str> = corpus.vocabulary().iter().map(String::as_str).collect();
        for choice in corpus.tasks(7, 50).into_iter().flat_map(|doc| doc.choices) {
            assert!(choice.strip_prefix(' ').is_some_and(|word| words.contains(word)));
        }
    }

    #[test]
    fn a_seed_gives_the_same_tasks_again_and_another_seed_others() {
        let corpus = Corpus::new(1);
        assert_eq!(corpus.tasks(7, 5), corpus.tasks(7, 5));
        assert_ne!(corpus.tasks(7, 5), corpus.tasks(8, 5));
    }
}
