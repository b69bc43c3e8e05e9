//! What a sweep through all sizes has found, in words and as a file.

use super::{Nearness, Trial};
use crate::text::format;
use crate::text::tokens::quoted;

/// What the table shows, in one sentence; `None` until every size has guessed.
pub fn finding(trial: &Trial) -> Option<String> {
    let sizes: Vec<(usize, Nearness)> = trial
        .parts
        .iter()
        .map(|part| Some((part.size.n_layers, trial.nearness(part)?)))
        .collect::<Option<_>>()?;
    let n_places = sizes.first()?.1.n_places;
    let places = format::count(n_places, "place");
    let reference = trial.reference_name;
    let agrees = |&(_, near): &(usize, Nearness)| near.n_agreeing == near.n_places;
    let n_agreeing_at_the_end = sizes.iter().rev().take_while(|size| agrees(size)).count();
    if n_agreeing_at_the_end == sizes.len() {
        return Some(format!("Every size expects what the {reference} expects, at all {places}."));
    }
    let student = sizes.first()?.1.n_agreeing;
    if n_agreeing_at_the_end > 1 {
        let from = sizes[sizes.len() - n_agreeing_at_the_end].0;
        return Some(format!(
            "From {} on, every size expects what the {reference} expects, at all {places}; the \
             student does at {student}.",
            format::count(from, "layer")
        ));
    }
    let smaller = &sizes[..sizes.len() - 1];
    let (n_layers, nearest) = smaller.iter().max_by_key(|(_, near)| near.n_agreeing)?;
    Some(format!(
        "No smaller size expects what the {reference} expects at all {places}; the one of {} does at \
         {}, the student at {student}.",
        format::count(*n_layers, "layer"),
        nearest.n_agreeing
    ))
}

/// A line for each size and place, for a spreadsheet.
pub fn csv(trial: &Trial) -> String {
    let mut csv = format!(
        "layers,parameters,place,{}_text,token,text,probability,kl_nats,differs\n",
        trial.reference_name.replace(' ', "_")
    );
    let expected = &trial.reference().guesses;
    let written = trial.reference().run.as_ref().map(|run| run.pieces.clone()).unwrap_or_default();
    for part in &trial.parts {
        for (place, told) in part.guesses.iter().enumerate() {
            let written = written.get(place).map(|piece| piece.text.as_str()).unwrap_or_default();
            let differs = expected.get(place).is_some_and(|it| it.guess.token != told.guess.token);
            csv.push_str(&format!(
                "{},{},{place},{},{},{},{:.6},{:.6},{differs}\n",
                part.size.n_layers,
                part.size.n_params,
                quoted(written),
                told.guess.token,
                quoted(&told.text),
                told.guess.probability,
                told.guess.kl,
            ));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;
    use boomerang_core::generate::{Guess, Sampling};
    use boomerang_engine::messages::ToldGuess;

    use super::*;
    use crate::family::tests::{card, family};
    use crate::state::run::Task;

    /// A sweep in which the sizes, smallest first, expect these tokens.
    fn sweep(expected: [[u32; 2]; 3]) -> Trial {
        let family = card(&family(true), Precision::F32);
        let patch = family.path()[0].clone();
        let size = family.size(&patch);
        let prompt = "a".to_owned();
        let task = Task { patch, size, prompt, n_tokens: 1, sampling: Sampling::Greedy };
        let mut trial = Trial::of_readers(&family, 2, task);
        for (part, tokens) in trial.parts.iter_mut().zip(expected) {
            let told = |token| ToldGuess {
                guess: Guess { token, probability: 0.5, kl: 0.25 },
                text: format!("\"{token}"),
            };
            part.guesses = tokens.map(told).into();
        }
        trial
    }

    #[test]
    fn the_finding_names_the_size_from_which_all_agree() {
        let all = finding(&sweep([[1, 2], [1, 2], [1, 2]])).unwrap();
        assert!(all.contains("Every size"), "{all}");
        let some = finding(&sweep([[1, 3], [1, 2], [1, 2]])).unwrap();
        assert!(some.contains("From 5 layers on") && some.contains("student does at 1"), "{some}");
        let none = finding(&sweep([[3, 3], [1, 3], [1, 2]])).unwrap();
        assert!(
            none.contains("one of 5 layers does at 1") && none.contains("student at 0"),
            "{none}"
        );
    }

    #[test]
    fn there_is_no_finding_before_all_have_guessed() {
        let mut trial = sweep([[1, 2], [1, 2], [1, 2]]);
        trial.parts[1].guesses.clear();
        assert_eq!(finding(&trial), None);
    }

    #[test]
    fn the_file_has_a_line_for_each_size_and_place() {
        let csv = csv(&sweep([[1, 3], [1, 2], [1, 2]]));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[2].ends_with(",1,\"\",3,\"\"\"3\",0.500000,0.250000,true"), "{}", lines[2]);
    }
}
