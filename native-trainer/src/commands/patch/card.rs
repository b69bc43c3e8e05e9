//! The model card of a member: its layers, and the command that writes it.

use std::fmt::Write as _;
use std::path::Path;

use boomerang_core::plan::{LayerSource, Recipe};

/// The facts of a model card.
pub(super) struct Card<'a> {
    pub(super) teacher: &'a Path,
    pub(super) student: &'a Path,
    pub(super) recipe: &'a Recipe,
    pub(super) is_tied: bool,
    pub(super) n_params: u64,
    pub(super) n_bytes: u64,
    pub(super) command: &'a str,
}

impl Card<'_> {
    /// `README.md`, in Hugging Face's form.
    pub(super) fn to_markdown(&self) -> String {
        let Self { teacher, student, recipe, is_tied, n_params, n_bytes, command } = self;
        let (teacher, student) = (teacher.display(), student.display());
        let n_layers = recipe.layers.len();
        let head = if *is_tied { "the embedding".to_owned() } else { recipe.head.to_string() };
        let mut card = format!(
            "---\n\
             library_name: transformers\n\
             base_model:\n  - {teacher}\n  - {student}\n\
             base_model_relation: merge\n\
             tags:\n  - boomerang-distillation\n\
             ---\n\n\
             # {n_layers} layers between {student} and {teacher}\n\n\
             A member of a boomerang family (arXiv:2510.05064): layers of a teacher put back into \
             its distilled student, with no further training.\n\n\
             | | |\n|---|---|\n\
             | layers | {n_layers} |\n\
             | parameters | {n_params} |\n\
             | bytes of weights | {n_bytes} |\n\
             | embedding | {} |\n\
             | final norm | {} |\n\
             | head | {head} |\n\n\
             | layers | from |\n|---|---|\n",
            recipe.embedding, recipe.head,
        );
        for (from, to, run) in runs(recipe) {
            let (owner, first) = run.place();
            let last = first + to - from;
            let _ = writeln!(card, "| {} | {owner} {} |", span(from, to), span(first, last));
        }
        let _ = write!(card, "\nMade by:\n\n```sh\n{command}\n```\n");
        card
    }
}

/// Runs of layers that follow each other in one parent: first and last index, first source.
pub(super) fn runs(recipe: &Recipe) -> Vec<(usize, usize, LayerSource)> {
    let mut runs: Vec<(usize, usize, LayerSource)> = Vec::new();
    for (index, &source) in recipe.layers.iter().enumerate() {
        let (owner, layer) = source.place();
        match runs.last_mut() {
            Some((from, to, first))
                if first.place() == (owner, layer.wrapping_sub(index - *from)) =>
            {
                *to = index;
            }
            _ => runs.push((index, index, source)),
        }
    }
    runs
}

fn span(first: usize, last: usize) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use boomerang_core::plan::{LayerPlan, Patch};

    use super::*;

    #[test]
    fn a_card_shows_where_the_layers_come_from() {
        let plan = LayerPlan::keep(&[0, 2, 4, 5], 6).unwrap();
        let recipe = plan.recipe(&Patch::of(&[1, 2, 3], &plan).unwrap());
        let card = Card {
            teacher: Path::new("T"),
            student: Path::new("S"),
            recipe: &recipe,
            is_tied: false,
            n_params: 10,
            n_bytes: 20,
            command: "boomerang patch",
        };
        let card = card.to_markdown();
        assert!(card.contains("| 0 | student 0 |\n| 1 to 4 | teacher 2 to 5 |\n"), "{card}");
        assert!(card.contains("base_model:\n  - T\n  - S\n"), "{card}");
    }
}
