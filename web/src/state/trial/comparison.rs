//! Texts of several sizes and their agreement with the reference, as files.

use std::fmt::Write as _;

use super::{Trial, TrialMember};
use crate::state::run::Run;
use crate::text::difference::divergence;
use crate::text::format;
use crate::text::tokens::quoted;

/// A line for each size, for a spreadsheet; empty cells for the reference's agreement with itself.
pub fn csv(trial: &Trial) -> String {
    let mut csv = "layers,parameters,prompt,text,tokens,same_tokens_at_start,agreeing,compared,\
                   kl_nats\n"
        .to_owned();
    for member in shown(trial) {
        let tokens = member.run.as_ref().map(Run::tokens).unwrap_or_default();
        let agreement = trial.agreement(member).filter(|_| !is_reference(trial, member));
        let number = |value: Option<String>| value.unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{},{},{},{}",
            member.size.n_layers,
            member.size.n_params,
            quoted(trial.prompt().last()),
            quoted(&text(member)),
            tokens.len(),
            number(divergence(&tokens, &trial.reference_tokens()).map(|n| n.to_string())),
            number(agreement.map(|it| it.n_agreeing.to_string())),
            number(agreement.map(|it| it.n_tokens.to_string())),
            number(agreement.map(|it| format!("{:.6}", it.kl))),
        );
    }
    csv
}

/// The texts under each other, for notes and reports.
pub fn markdown(trial: &Trial) -> String {
    let name = trial.reference_name;
    let mut note = format!("# Sizes side by side\n\nPrompt:\n\n{}\n", quote(trial.prompt().last()));
    for member in shown(trial) {
        let layers = format::count(member.size.n_layers, "layer");
        let params = format::params(member.size.n_params);
        let _ = write!(note, "\n## {layers}, {params} parameters\n\n{}\n", quote(&text(member)));
        let compared = match trial.agreement(member) {
            _ if is_reference(trial, member) => format!("This is the {name}."),
            None => continue,
            Some(it) => format!(
                "Top-1 agreement with the {name}: {} of {}; KL divergence {:.4} nats.",
                it.n_agreeing,
                format::count(it.n_tokens, "token"),
                it.kl
            ),
        };
        let _ = write!(note, "\n{compared}\n");
    }
    note
}

fn shown(trial: &Trial) -> impl Iterator<Item = &TrialMember> {
    trial.members.iter().filter(|member| member.is_shown)
}

fn is_reference(trial: &Trial, member: &TrialMember) -> bool {
    member.patch == trial.reference().patch
}

fn text(member: &TrialMember) -> String {
    member.run.as_ref().map(Run::text).unwrap_or_default()
}

/// As a quotation, line by line.
fn quote(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;
    use boomerang_core::generate::{Guess, Sampling};
    use boomerang_engine::messages::{GuessedToken, Prompt};

    use super::*;
    use crate::state::run::Task;
    use boomerang_client::testing::{card, family};

    /// Student and teacher, which agree at one of two tokens.
    fn compared() -> Trial {
        let family = card(&family(true), Precision::F32);
        let patch = family.path()[0].clone();
        let size = family.size(&patch);
        let prompt = Prompt::Text("say \"a\"\nb".to_owned());
        let task = Task { patch, size, prompt, n_tokens: 2, sampling: Sampling::Greedy };
        let mut trial = Trial::comparison(&family, &[0, 2], 2, task);
        for (member, tokens) in trial.members.iter_mut().zip([[1, 2], [1, 3]]) {
            let guess = |token| GuessedToken {
                guess: Guess { token, probability: 0.5, kl: 0.25 },
                text: String::new(),
            };
            member.guesses = tokens.map(guess).into();
        }
        trial
    }

    #[test]
    fn the_table_has_a_line_for_each_size_and_none_compares_the_reference_with_itself() {
        let csv = csv(&compared());
        let rows = csv.lines().filter(|line| line.contains("1,2,0.250000"));
        assert_eq!(rows.count(), 1, "{csv}");
        assert!(csv.trim_end().ends_with(",,,"), "{csv}");
        assert!(csv.contains("\"say \"\"a\"\"\nb\""), "{csv}");
    }

    #[test]
    fn every_line_of_a_prompt_stays_in_its_quotation() {
        let note = markdown(&compared());
        assert!(note.contains("> say \"a\"\n> b\n"), "{note}");
        assert!(note.contains("Top-1 agreement with the teacher: 1 of 2 tokens; KL"), "{note}");
        assert_eq!(note.matches("This is the teacher.").count(), 1);
    }
}
