//! The result of a sweep through all sizes, in words and as a file.

use super::{Agreement, Trial};
use crate::text::format;
use crate::text::tokens::quoted;

/// A summary of the table in one sentence; `None` until the predictions of every size are computed.
pub fn finding(trial: &Trial) -> Option<String> {
    let sizes: Vec<(usize, Agreement)> = trial
        .members
        .iter()
        .map(|member| Some((member.size.n_layers, trial.agreement(member)?)))
        .collect::<Option<_>>()?;
    let tokens = format::count(sizes.first()?.1.n_tokens, "token");
    let reference = trial.reference_name;
    let agrees = |&(_, it): &(usize, Agreement)| it.n_agreeing == it.n_tokens;
    let n_agreeing_at_the_end = sizes.iter().rev().take_while(|size| agrees(size)).count();
    if n_agreeing_at_the_end == sizes.len() {
        return Some(format!(
            "Every size predicts what the {reference} predicts, for all {tokens}."
        ));
    }
    let student = sizes.first()?.1.n_agreeing;
    if n_agreeing_at_the_end > 1 {
        let from = sizes[sizes.len() - n_agreeing_at_the_end].0;
        return Some(format!(
            "From {} on, every size predicts what the {reference} predicts, for all {tokens}; the \
             student does for {student}.",
            format::count(from, "layer")
        ));
    }
    let smaller = &sizes[..sizes.len() - 1];
    let (n_layers, nearest) = smaller.iter().max_by_key(|(_, it)| it.n_agreeing)?;
    Some(format!(
        "No smaller size predicts what the {reference} predicts for all {tokens}; the one of {} does \
         for {}, the student for {student}.",
        format::count(*n_layers, "layer"),
        nearest.n_agreeing
    ))
}

/// A line for each size and token, for a spreadsheet.
pub fn csv(trial: &Trial) -> String {
    let reference = if trial.is_with_teacher() { "teacher" } else { "largest_size_here" };
    let mut csv = format!(
        "layers,parameters,place,{reference}_text,token,text,probability,kl_nats,differs\n"
    );
    let expected = &trial.reference().guesses;
    let written = trial.reference().run.as_ref().map(|run| run.pieces.clone()).unwrap_or_default();
    for member in &trial.members {
        for (index, guessed) in member.guesses.iter().enumerate() {
            let written = written.get(index).map(|piece| piece.text.as_str()).unwrap_or_default();
            let token = guessed.guess.token;
            let differs = expected.get(index).is_some_and(|it| it.guess.token != token);
            csv.push_str(&format!(
                "{},{},{index},{},{token},{},{:.6},{:.6},{differs}\n",
                member.size.n_layers,
                member.size.n_params,
                quoted(written),
                quoted(&guessed.text),
                guessed.guess.probability,
                guessed.guess.kl,
            ));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;
    use boomerang_core::generate::{Guess, Sampling};
    use boomerang_engine::messages::{GuessedToken, Prompt};

    use super::*;
    use crate::family::tests::{card, family};
    use crate::state::run::Task;

    /// A sweep in which the sizes, smallest first, predict these tokens.
    fn sweep(expected: [[u32; 2]; 3]) -> Trial {
        let family = card(&family(true), Precision::F32);
        let patch = family.path()[0].clone();
        let size = family.size(&patch);
        let prompt = Prompt::Text("a".to_owned());
        let task = Task { patch, size, prompt, n_tokens: 1, sampling: Sampling::Greedy };
        let mut trial = Trial::sweep(&family, 2, task);
        for (member, tokens) in trial.members.iter_mut().zip(expected) {
            let guess = |token| GuessedToken {
                guess: Guess { token, probability: 0.5, kl: 0.25 },
                text: format!("\"{token}"),
            };
            member.guesses = tokens.map(guess).into();
        }
        trial
    }

    #[test]
    fn the_finding_names_the_size_from_which_all_agree() {
        let all = finding(&sweep([[1, 2], [1, 2], [1, 2]])).unwrap();
        assert!(all.contains("Every size"), "{all}");
        let some = finding(&sweep([[1, 3], [1, 2], [1, 2]])).unwrap();
        assert!(some.contains("From 5 layers on") && some.contains("student does for 1"), "{some}");
        let none = finding(&sweep([[3, 3], [1, 3], [1, 2]])).unwrap();
        assert!(
            none.contains("one of 5 layers does for 1") && none.contains("student for 0"),
            "{none}"
        );
    }

    #[test]
    fn there_is_no_finding_before_all_predictions() {
        let mut trial = sweep([[1, 2], [1, 2], [1, 2]]);
        trial.members[1].guesses.clear();
        assert_eq!(finding(&trial), None);
    }

    #[test]
    fn the_file_has_a_line_for_each_size_and_token() {
        let csv = csv(&sweep([[1, 3], [1, 2], [1, 2]]));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[2].ends_with(",1,\"\",3,\"\"\"3\",0.500000,0.250000,true"), "{}", lines[2]);
    }
}
