//! Translates Python's regular expressions to those of `fancy-regex`.

/// The differences: the end of a text, and characters that need a backslash.
pub(super) fn translate(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    // With the multi-line flag, `$` is the end of each line in both.
    let is_by_line = source
        .split("(?")
        .skip(1)
        .any(|flags| flags.chars().take_while(char::is_ascii_lowercase).any(|flag| flag == 'm'));
    let mut out = String::new();
    let mut at = 0;
    // Where the class began that is being read.
    let mut class: Option<usize> = None;
    while let Some(&char) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match (char, class) {
            ('\\', None) if next == Some('Z') => {
                out.push_str("\\z");
                at += 1;
            }
            ('\\', _) => {
                out.push(char);
                out.extend(next);
                at += 1;
            }
            ('[', None) => {
                class = Some(at);
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    at += 1;
                }
                // A bracket at the start of a class is literal.
                if chars.get(at + 1) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            ('[', Some(_)) => out.push_str("\\["),
            ('&' | '~' | '-', Some(_)) if next == Some(char) => {
                out.push('\\');
                out.push(char);
            }
            ('$', None) if !is_by_line => out.push_str("(?=\\n?\\z)"),
            ('{', None) if !is_repetition(&chars[at..]) => out.push_str("\\{"),
            ('}', None) if !closes_repetition(&chars[..at]) => out.push_str("\\}"),
            _ => out.push(char),
        }
        at += 1;
    }
    out
}

/// Whether this is `{2}`, `{2,}`, `{,3}` or `{2,3}`; else a brace is literal.
fn is_repetition(chars: &[char]) -> bool {
    let inside: String = chars[1..].iter().take_while(|&&char| char != '}').collect();
    let is_closed = chars.len() > inside.chars().count() + 1;
    let numbers: Vec<&str> = inside.split(',').collect();
    is_closed
        && numbers.len() <= 2
        && numbers.iter().any(|number| !number.is_empty())
        && numbers.iter().all(|number| number.chars().all(|char| char.is_ascii_digit()))
}

fn closes_repetition(before: &[char]) -> bool {
    let is_open = |&index: &usize| before[index] == '{';
    let opened = (0..before.len()).rev().find(is_open);
    opened.is_some_and(|opened| {
        let is_escaped = opened > 0 && before[opened - 1] == '\\';
        let mut whole = before[opened..].to_vec();
        whole.push('}');
        // `\x{41}`, `\p{L}` and the like are not Python's, so that only repetitions are left.
        !is_escaped && is_repetition(&whole)
    })
}
