//! WinoGrande: the text after the gap is scored with each name in the gap.

use super::text as column;
use crate::error::{Context as _, Result, bail};
use crate::python::{Value, strip};

/// The correct one of the two contexts.
pub(super) fn text(document: &Value) -> Result<Value> {
    match column(document, "answer")? {
        "1" => Ok(Value::Int(0)),
        "2" => Ok(Value::Int(1)),
        other => bail!("the answer is {other:?}; expected 1 or 2"),
    }
}

/// The text after the gap.
pub(super) fn target(document: &Value) -> Result<Value> {
    Ok(strip(halves(document)?.1).into())
}

/// The sentence up to the gap, with each name in it.
pub(super) fn choices(document: &Value) -> Result<Value> {
    let before = halves(document)?.0;
    let names = [column(document, "option1")?, column(document, "option2")?];
    Ok(names.map(|name| format!("{before}{name}")).to_vec().into())
}

fn halves(document: &Value) -> Result<(&str, &str)> {
    let sentence = column(document, "sentence")?;
    sentence.split_once('_').with_context(|| format!("the sentence {sentence:?} has no gap (_)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_the_contexts() {
        let document = Value::map([
            ("sentence", "Ann met Eve because _ was early.".into()),
            ("option1", "Ann".into()),
            ("option2", "Eve".into()),
            ("answer", "2".into()),
        ]);
        assert_eq!(text(&document).unwrap(), Value::Int(1));
        assert_eq!(target(&document).unwrap(), "was early.".into());
        let expected = vec!["Ann met Eve because Ann", "Ann met Eve because Eve"];
        assert_eq!(choices(&document).unwrap(), expected.into());
    }
}
