//! The behavior of Python that lm-evaluation-harness depends on: values and how they are printed
//! and parsed, regular expressions, random numbers.

mod literal;
mod notation;
mod pattern;
mod print;
mod random;
mod value;

pub use literal::literal;
pub use pattern::Pattern;
pub(super) use pattern::select;
pub use print::{float, json, repr, text};
pub use random::Random;
pub use value::Value;

pub use boomerang_core::evaluate::is_blank;

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// `str.capitalize()`: the first character as in a title, the others small.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    // "ß" is "SS" in capitals and "Ss" in a title.
    let mut upper = first.to_uppercase();
    let head: String = upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect();
    head + &chars.as_str().to_lowercase()
}

/// An index into a sequence of `len`, as in Python: negative ones count from its end.
pub fn resolve_index(index: i64, len: usize) -> Option<usize> {
    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
    let resolved = if index < 0 { len.checked_sub(from_end)? } else { from_end };
    (resolved < len).then_some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_is_capital_and_the_rest_small() {
        assert_eq!(capitalize("then HE left"), "Then he left");
        assert_eq!(capitalize("ßa"), "Ssa");
        assert_eq!(capitalize(""), "");
    }

    #[test]
    fn negative_indices_count_from_the_end() {
        assert_eq!(
            [-1, 0, 3, -4].map(|index| resolve_index(index, 3)),
            [Some(2), Some(0), None, None]
        );
    }
}
