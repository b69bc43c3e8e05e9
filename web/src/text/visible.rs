//! Characters that would not be seen, or would change how the text around them is shown.

/// A text of users or models as it is shown: control characters, and those that reverse or isolate the
/// direction of writing, by their code points. Line breaks and tabs stay.
pub fn visible(text: &str) -> String {
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    let is_direction = matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_direction || character.is_control() && !matches!(character, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reversal_of_direction_is_shown_and_has_no_effect() {
        assert_eq!(visible("a\u{202e}b"), "a⟨U+202E⟩b");
        assert_eq!(visible("\u{2067}\u{0}\u{7f}"), "⟨U+2067⟩⟨U+0000⟩⟨U+007F⟩");
    }

    #[test]
    fn scripts_of_any_direction_stay_as_they_are() {
        for text in ["line\n\tnext", "שלום", "مرحبا", "नमस्ते", "👩\u{200d}🔬", "می\u{200c}خواهم"]
        {
            assert_eq!(visible(text), text);
        }
    }
}
