//! HellaSwag: the sentence and its endings, without markup of their sources.

use std::sync::LazyLock;

use super::{column, text};
use crate::error::{Context as _, Result};
use crate::python::{Pattern, Value, capitalize, strip};

/// Adds the columns `query`, `choices` and `gold`.
pub(super) fn process(document: &mut Value) -> Result<()> {
    let context = format!("{} {}", text(document, "ctx_a")?, capitalize(text(document, "ctx_b")?));
    let query = clean(&format!("{}: {context}", text(document, "activity_label")?))?;
    let endings = column(document, "endings")?.as_list().unwrap_or_default();
    let endings = endings.iter().map(|ending| clean(ending.as_str().unwrap_or_default()));
    let endings: Vec<String> = endings.collect::<Result<_>>()?;
    let label = column(document, "label")?;
    let gold = match label.as_str() {
        Some(label) => label.trim().parse()?,
        None => label.as_int().unwrap_or_default(),
    };
    document.set("query", query.into());
    document.set("choices", endings.into());
    document.set("gold", Value::Int(gold));
    Ok(())
}

fn clean(text: &str) -> Result<String> {
    let text = strip(text).replace(" [title]", ". ");
    // The rest in brackets is WikiHow's markup.
    static BRACKETS: LazyLock<Option<Pattern>> = LazyLock::new(|| Pattern::new(r"\[.*?\]").ok());
    let brackets = BRACKETS.as_ref().context("the pattern of brackets cannot be read")?;
    let text = brackets.replace(&text, "", 0)?;
    Ok(text.replace("  ", " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_out() {
        let mut document = Value::map([
            ("activity_label", "Baking".into()),
            ("ctx_a", "A man [header] bakes.".into()),
            ("ctx_b", "he Then".into()),
            ("endings", vec![" eats [step]  it [title] Well "].into()),
            ("label", "0".into()),
        ]);
        process(&mut document).unwrap();
        assert_eq!(document.get("query").unwrap(), &"Baking: A man bakes. He then".into());
        assert_eq!(document.get("choices").unwrap(), &vec!["eats  it. Well"].into());
        assert_eq!(document.get("gold").unwrap(), &Value::Int(0));
    }
}
