//! The result of a sweep through all sizes, in words and as a file.

use super::{Agreement, Trial};
use crate::text::format;
use crate::text::tokens::quoted;

/// A summary of the table in one sentence; `None` until the predictions of every size are computed.
///
/// A larger size may agree less than a smaller one, so no case assumes that agreement rises with size.
pub fn finding(trial: &Trial) -> Option<String> {
    let sizes: Vec<(usize, Agreement)> = trial
        .members
        .iter()
        .map(|member| Some((member.size.n_layers, trial.agreement(member)?)))
        .collect::<Option<_>>()?;
    let (_, smaller) = sizes.split_last()?;
    let Some(&(_, Agreement { n_tokens, n_agreeing: of_student, .. })) = smaller.first() else {
        return Some("Only one size was run, so there is none to compare.".to_owned());
    };
    let tokens = format::count(n_tokens, "token");
    let predicts = format!("what the {} predicts", trial.reference_name);
    let layers = |index: usize| format::count(sizes[index].0, "layer");
    let agrees = |(_, it): &(usize, Agreement)| it.n_agreeing == it.n_tokens;
    let n_agreeing = smaller.iter().filter(|size| agrees(size)).count();
    // The size from which all larger ones agree; the reference if only that does.
    let from = smaller.iter().rposition(|size| !agrees(size)).map_or(0, |index| index + 1);
    Some(match (from, smaller.iter().rposition(agrees)) {
        (0, _) => format!("Every size predicts {predicts}, for all {tokens}."),
        (from, Some(_)) if from < smaller.len() => format!(
            "From {} on, every size predicts {predicts}, for all {tokens}; the student does for \
             {of_student}.",
            layers(from)
        ),
        (_, Some(largest)) => format!(
            "{n_agreeing} of {} {} {predicts}, for all {tokens}; of these, the largest has {}. The \
             student does for {of_student}.",
            format::count(smaller.len(), "smaller size"),
            if n_agreeing == 1 { "predicts" } else { "predict" },
            layers(largest)
        ),
        (_, None) => {
            let nearest = (0..smaller.len()).max_by_key(|&index| smaller[index].1.n_agreeing)?;
            format!(
                "No smaller size predicts {predicts} for all {tokens}; the one of {} does for {}, the \
                 student for {of_student}.",
                layers(nearest),
                smaller[nearest].1.n_agreeing
            )
        }
    })
}

/// A line for each size and token, for a spreadsheet.
pub fn csv(trial: &Trial) -> String {
    let reference = if trial.is_with_teacher() { "teacher" } else { "largest_size_here" };
    let mut csv = format!(
        "layers,parameters,position,{reference}_text,token,text,probability,kl_nats,differs\n"
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
    use proptest::prelude::*;

    use super::*;
    use crate::state::run::Task;
    use boomerang_client::testing::{card, family};

    fn guess(token: u32) -> GuessedToken {
        let guess = Guess { token, probability: 0.5, kl: 0.25 };
        GuessedToken { guess, text: format!("\"{token}") }
    }

    /// A sweep in which the sizes, smallest first, predict these tokens.
    fn sweep(expected: [[u32; 2]; 3]) -> Trial {
        let family = card(&family(true), Precision::F32);
        let patch = family.path()[0].clone();
        let size = family.size(&patch);
        let prompt = Prompt::Text("a".to_owned());
        let task = Task { patch, size, prompt, n_tokens: 1, sampling: Sampling::Greedy };
        let mut trial = Trial::sweep(&family, 2, task);
        for (member, tokens) in trial.members.iter_mut().zip(expected) {
            member.guesses = tokens.map(guess).into();
        }
        trial
    }

    /// A sweep through sizes of 1, 2, … layers in which each predicts these tokens.
    fn sweep_of(rows: &[Vec<u32>]) -> Trial {
        let mut trial = sweep([[0; 2]; 3]);
        let member = trial.members[0].clone();
        let members = rows.iter().enumerate().map(|(index, tokens)| {
            let mut member = member.clone();
            member.size.n_layers = index + 1;
            member.guesses = tokens.iter().map(|&token| guess(token)).collect();
            member
        });
        trial.members = members.collect();
        trial
    }

    /// The numbers of a sentence, in order.
    fn numbers(sentence: &str) -> Vec<usize> {
        let digits = sentence.split(|character: char| !character.is_ascii_digit());
        digits.filter_map(|digits| digits.parse().ok()).collect()
    }

    /// Whether the sentence is true of predictions whose last row is the reference's.
    fn is_true(sentence: &str, rows: &[Vec<u32>]) -> bool {
        let (reference, smaller) = rows.split_last().unwrap();
        let n_same = |row: &Vec<u32>| row.iter().zip(reference).filter(|(a, b)| a == b).count();
        let all = reference.len();
        let same: Vec<usize> = smaller.iter().map(n_same).collect();
        let agrees = |n_layers: usize| same[n_layers - 1] == all;
        let n_agreeing = same.iter().filter(|&&n| n == all).count();
        let numbers = numbers(sentence);
        match (sentence.split(' ').next().unwrap(), &numbers[..]) {
            ("Only", []) => smaller.is_empty(),
            ("Every", &[tokens]) => tokens == all && n_agreeing == same.len(),
            ("From", &[from, tokens, student]) => {
                let all_do = (from..=same.len()).all(agrees);
                tokens == all && student == same[0] && all_do && !agrees(from - 1)
            }
            ("No", &[tokens, nearest, most, student]) => {
                let is_most = same[nearest - 1] == most && same.iter().all(|&n| n <= most);
                tokens == all && student == same[0] && n_agreeing == 0 && is_most
            }
            (_, &[n, of, tokens, largest, student]) => {
                let is_largest = agrees(largest) && !(largest + 1..=same.len()).any(agrees);
                let counts = (n, of, tokens, student);
                counts == (n_agreeing, same.len(), all, same[0]) && is_largest
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_finding_is_true_of_the_predictions(
            rows in (1_usize..4, 1_usize..7).prop_flat_map(|(n_tokens, n_sizes)| {
                prop::collection::vec(prop::collection::vec(0_u32..2, n_tokens), n_sizes)
            }),
        ) {
            let sentence = finding(&sweep_of(&rows)).unwrap();
            prop_assert!(is_true(&sentence, &rows), "{sentence}");
        }
    }

    #[test]
    fn a_smaller_size_that_agrees_is_counted_though_a_larger_one_does_not() {
        let found = finding(&sweep([[1, 2], [1, 3], [1, 2]])).unwrap();
        assert!(found.starts_with("1 of 2 smaller sizes predicts what the teacher"), "{found}");
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
