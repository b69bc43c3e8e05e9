//! Tokens and texts as tables and CSV files show them.

/// A token with visible whitespace.
pub fn visible(text: &str) -> String {
    if text.is_empty() {
        return "∅".to_owned();
    }
    text.replace(' ', "·").replace('\n', "⏎").replace('\t', "⇥")
}

/// A field of a CSV file.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_is_visible() {
        assert_eq!(visible(" a\n"), "·a⏎");
    }
}
