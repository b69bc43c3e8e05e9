//! What a class answered as tables: questions before and after, every answer, and the report.

use std::fmt::Write as _;

use boomerang_lessons::class::{Class, Listed};
use boomerang_lessons::{Asked, Kind};
use boomerang_report::{Table, markdown_text};

/// The scored questions at both ends: right answers, their change and its interval.
pub(super) fn questions_table(class: &Class) -> Table {
    let columns =
        ["question", "sheets#", "right before#", "right after#", "change#", "95 % interval#", "p#"];
    let mut table = Table::new("", &columns);
    for change in class.changes() {
        let mut row = vec![
            change.question.text.clone(),
            change.n_paired.to_string(),
            change.n_right_before.to_string(),
            change.n_right_after.to_string(),
        ];
        if let Some(found) = change.change {
            let points = |share: f64| format!("{:+.0} %", share * 100.0);
            row.push(points(found.difference));
            row.push(format!("{} to {}", points(found.low), points(found.high)));
            row.push(format!("{:.3}", change.p_value));
        }
        table.push(row);
    }
    table
}

/// The mean score before and after; `None` without sheets that have answers at both ends.
pub(super) fn score_sentence(class: &Class) -> Option<String> {
    let score = class.mean_score()?;
    let n_scored = class.lesson.n_scored();
    let change = match score.change {
        Some(change) => format!(
            "change {:+.2} (95 % interval {:+.2} to {:+.2}, paired bootstrap)",
            change.difference, change.low, change.high
        ),
        None => "no interval from one sheet".to_owned(),
    };
    Some(format!(
        "mean score of {} sheets: {:.2} before, {:.2} after, of {n_scored}; {change}",
        score.n_sheets, score.before, score.after
    ))
}

/// Every answer of every sheet.
pub(super) fn answers_table(class: &Class) -> Table {
    let columns = ["file", "name", "language", "asked", "number#", "question", "answer", "right"];
    let mut table = Table::new("", &columns);
    for listed in class.listed() {
        let Listed { file, name, language, asked, number, question, answer, is_right } = listed;
        let right = match is_right {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let number = number.to_string();
        let cells = [file, name, language, asked.name(), &number, question, &answer, right];
        table.push(cells.map(not_a_formula));
    }
    table
}

/// A spreadsheet would compute a cell that starts like a formula; a quote keeps it a text.
fn not_a_formula(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The questions that are not scored, each with the names and answers of those who answered.
pub(super) fn free_answers(class: &Class) -> Vec<(String, Vec<(String, String)>)> {
    let listed = class.listed();
    let mut free = Vec::new();
    for (asked, number) in class.lesson.asked() {
        let Some(question) = class.lesson.question(asked, number) else { continue };
        if question.answer.is_some() {
            continue;
        }
        let answers = listed
            .iter()
            .filter(|it| (it.asked, it.number) == (asked, number) && !it.answer.is_empty());
        let named = answers.map(|it| {
            let name = if it.name.is_empty() { it.file } else { it.name };
            (name.to_owned(), it.answer.clone())
        });
        let heading = match asked {
            Asked::Step => question.text.clone(),
            end => format!("{} ({})", question.text, end.name()),
        };
        free.push((heading, named.collect()));
    }
    free
}

/// One page.
pub(super) fn report(class: &Class, problems: &[String]) -> String {
    let mut text = format!("# {}\n\n", markdown_text(&class.lesson.title));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} answer sheets.\n", class.sheets.len());
    let _ = writeln!(text, "## Before and after\n\n{}", questions_table(class).to_markdown());
    let _ = writeln!(
        text,
        "Only sheets that answer a question at both ends are counted. Change in percentage points, \
         with Newcombe's interval for paired proportions; p by McNemar's test.\n"
    );
    if let Some(sentence) = score_sentence(class) {
        let _ = writeln!(text, "{}.\n", markdown_text(&sentence));
    }
    let mut right = Table::new("", &["question", "answer", "right in the steps#"]);
    for change in class.changes() {
        let answer = change.question.answer.as_ref();
        let answer = answer.map(|answer| match (&change.question.kind, answer.within) {
            (Kind::Number, within) if within > 0.0 => format!("{} ± {within}", answer.value),
            _ => answer.value.clone(),
        });
        right.push([change.question.text.clone(), answer.unwrap_or_default(), String::new()]);
    }
    for (question, n_right, n_answers) in class.steps() {
        let answer = question.answer.as_ref().map(|answer| answer.value.clone());
        let share = format!("{n_right} of {n_answers}");
        right.push([question.text.clone(), answer.unwrap_or_default(), share]);
    }
    let _ = writeln!(text, "## Right answers\n\n{}", right.to_markdown());
    for (question, answers) in free_answers(class) {
        let _ = writeln!(text, "## {}\n", markdown_text(&question));
        for (name, answer) in answers {
            let _ = writeln!(text, "- {}: {}", markdown_text(&name), markdown_text(&answer));
        }
        text.push('\n');
    }
    if !problems.is_empty() {
        let _ = writeln!(text, "## Sheets\n");
        for problem in problems {
            let _ = writeln!(text, "- {}", markdown_text(problem));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_not_computed_by_a_spreadsheet() {
        assert_eq!(not_a_formula("=1+1"), "'=1+1");
        assert_eq!(not_a_formula("-3"), "-3");
        assert_eq!(not_a_formula("no"), "no");
    }
}
