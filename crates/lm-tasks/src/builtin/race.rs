//! RACE: an article with several questions, of which the last one is evaluated.

use super::text as column;
use crate::error::{Context as _, Result};
use crate::python::{Value, literal};

/// The article, its other questions with their answers, and the last one.
pub(super) fn text(document: &Value) -> Result<Value> {
    let problems = problems(document)?;
    let mut text = format!("Article: {}\n\n", column(document, "article")?);
    let (last, others) = problems.split_last().context("the document has no question")?;
    for problem in others {
        let question = column(problem, "question")?;
        let answer = options(problem)?.get(answer(problem)?).copied();
        let answer = answer.context("the answer of a question is not among its options")?;
        // A gap at the end is filled with the answer, after one of the two spaces before it.
        text += &match question.strip_suffix("  _  .") {
            Some(start) => format!("{start} {answer}\n"),
            None => format!("Question: {question}\nAnswer: {answer}\n"),
        };
    }
    Ok((text + column(last, "question")?).into())
}

pub(super) fn target(document: &Value) -> Result<Value> {
    Ok(answer(&last(document)?)?.into())
}

pub(super) fn choices(document: &Value) -> Result<Value> {
    let last = last(document)?;
    let options = options(&last)?;
    Ok(options.get(..4).context("a question has fewer than four answers")?.to_vec().into())
}

fn problems(document: &Value) -> Result<Vec<Value>> {
    let problems = literal(column(document, "problems")?)?;
    problems.as_list().map(<[Value]>::to_vec).context("\"problems\" is not a list")
}

fn last(document: &Value) -> Result<Value> {
    problems(document)?.pop().context("the document has no question")
}

fn options(problem: &Value) -> Result<Vec<&str>> {
    let options = problem.get("options").and_then(Value::as_list);
    let options = options.context("a question has no \"options\"")?;
    options.iter().map(|option| option.as_str().context("an answer is not a text")).collect()
}

fn answer(problem: &Value) -> Result<usize> {
    let letter = column(problem, "answer")?;
    ["A", "B", "C", "D"]
        .iter()
        .position(|known| *known == letter)
        .with_context(|| format!("the answer is {letter:?}; expected A, B, C or D"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_questions_come_with_their_answers() {
        let problems = "[{'question': 'It is  _  .', 'answer': 'B', 'options': ['a', 'b', 'c', 'd']}, \
            {'question': 'Why?', 'answer': 'A', 'options': ['a', 'b', 'c', 'd']}, \
            {'question': 'Who?', 'answer': 'D', 'options': ['w', 'x', 'y', 'z']}]";
        let document = Value::map([("article", "Text.".into()), ("problems", problems.into())]);
        let expected = "Article: Text.\n\nIt is b\nQuestion: Why?\nAnswer: a\nWho?";
        assert_eq!(text(&document).unwrap(), expected.into());
        assert_eq!(target(&document).unwrap(), Value::Int(3));
        assert_eq!(choices(&document).unwrap(), vec!["w", "x", "y", "z"].into());
    }
}
