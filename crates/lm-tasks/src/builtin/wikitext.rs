//! WikiText: detokenized articles.

use super::text as column;
use crate::error::Result;
use crate::python::{Pattern, Value};

/// The article as it is in the dataset, whose words and bytes are counted.
pub(super) fn page(document: &Value) -> Result<&str> {
    column(document, "page")
}

/// Spaces around punctuation, in the order in which lm-evaluation-harness removes them.
const SIGNS: [(&str, &str); 9] = [
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    (" : ", ": "),
    (" ; ", "; "),
    (" . ", ". "),
    (" ! ", "! "),
    (" ? ", "? "),
    (" , ", ", "),
];

/// Spaces inside brackets and quotes.
const PAIRS: [(&str, &str); 5] = [
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    ("\"\\s*([^\"]*?)\\s*\"", "\"\\1\""),
    (r"'\s*([^']*?)\s*'", r"'\1'"),
];

const OTHERS: [(&str, &str); 8] = [
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (" \u{b0} ", "\u{b0}"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
];

/// The article as a text.
pub(super) fn target(document: &Value) -> Result<Value> {
    let mut text = page(document)?.replace("s '", "s'");
    text = Pattern::new("/' [0-9]/")?.replace(&text, "/'[0-9]/", 0)?;
    for (from, to) in SIGNS {
        text = text.replace(from, to);
    }
    for (pattern, replacement) in PAIRS {
        text = Pattern::new(pattern)?.replace(&text, replacement, 0)?;
    }
    for (from, to) in OTHERS {
        text = text.replace(from, to);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_signs_are_taken_out() {
        let page = " = Robots = \n \n The well @-@ known ( old ) \" robot \" cost 1 @,@ 000 , said Ann 's .\n";
        let document = Value::map([("page", page.into())]);
        let expected = " = Robots =\n\nThe well-known (old) \"robot\" cost 1,000, said Ann's .\n";
        assert_eq!(target(&document).unwrap(), expected.into());
    }
}
