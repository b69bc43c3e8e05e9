//! Placeholders of a lesson's text: names in braces, for numbers and texts of the loaded family.

/// One part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    /// The name between the braces.
    Placeholder(&'a str),
}

/// A text in its parts; braces around anything but lower-case words are text.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let name = text[open + 1..].split('}').next().filter(|name| {
            open + 1 + name.len() < text.len()
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ')
        });
        let Some(name) = name else {
            from = open + 1;
            continue;
        };
        if start < open {
            parts.push(Part::Text(&text[start..open]));
        }
        parts.push(Part::Placeholder(name));
        start = open + name.len() + 2;
        from = start;
    }
    if start < text.len() {
        parts.push(Part::Text(&text[start..]));
    }
    parts
}

/// The names of the placeholders in a text.
pub(crate) fn in_text(text: &str) -> Vec<&str> {
    let name = |part| match part {
        Part::Placeholder(name) => Some(name),
        Part::Text(_) => None,
    };
    parts(text).into_iter().filter_map(name).collect()
}

/// The text with every placeholder replaced by what `value` gives.
///
/// # Errors
/// The name without a value.
pub(crate) fn replaced(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let part = |part| match part {
        Part::Text(text) => Ok(text.to_owned()),
        Part::Placeholder(name) => value(name).ok_or_else(|| name.to_owned()),
    };
    parts(text).into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_in_braces_are_placeholders() {
        let text = "{student layers} of {teacher layers}, {}, {A}, {open";
        assert_eq!(in_text(text), ["student layers", "teacher layers"]);
        let filled = replaced(text, |name| Some(name.len().to_string()));
        assert_eq!(filled.unwrap(), "14 of 14, {}, {A}, {open");
        assert_eq!(replaced("a {b}", |_| None), Err("b".to_owned()));
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_text(text in "[{}a-cä ]{0,20}") {
            let whole: String = parts(&text).into_iter().map(|part| match part {
                Part::Text(text) => text.to_owned(),
                Part::Placeholder(name) => format!("{{{name}}}"),
            }).collect();
            prop_assert_eq!(whole, text);
        }
    }
}
