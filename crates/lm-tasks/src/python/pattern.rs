//! Regular expressions as Python's `re` reads them.

use fancy_regex::{Captures, Regex};

use super::notation::translate;
use super::resolve_index;
use crate::error::{Context as _, Result, unusable};

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    source: String,
}

impl Pattern {
    /// # Errors
    /// When it cannot be read.
    pub fn new(source: &str) -> Result<Self> {
        let regex = Regex::new(&translate(source))
            .with_context(|| format!("the regular expression {source:?} cannot be read"))?;
        Ok(Self { regex, source: source.to_owned() })
    }

    /// `re.findall`: of each match its groups, or the whole of it when there are none. A group that
    /// took no part is empty.
    ///
    /// # Errors
    /// When the search takes too long.
    pub fn find_all(&self, text: &str) -> Result<Vec<Vec<String>>> {
        let mut found = Vec::new();
        self.each(text, &mut |captures| {
            let group = |number: usize| {
                captures.get(number).map(|group| group.as_str().to_owned()).unwrap_or_default()
            };
            found.push(match captures.len() {
                1 => vec![group(0)],
                n_groups => (1..n_groups).map(group).collect(),
            });
            Ok(true)
        })?;
        Ok(found)
    }

    /// `re.sub`; with a `count` other than 0, at most that many times.
    ///
    /// # Errors
    /// As [`Pattern::find_all`], and when the replacement names a group that does not exist.
    pub fn replace(&self, text: &str, replacement: &str, count: usize) -> Result<String> {
        let parts = self.parts(replacement)?;
        let (mut out, mut end, mut n_replaced) = (String::new(), 0, 0);
        self.each(text, &mut |captures| {
            let Some(whole) = captures.get(0) else { return Ok(true) };
            out.push_str(&text[end..whole.start()]);
            for part in &parts {
                match part {
                    Part::Text(text) => out.push_str(text),
                    Part::Group(number) => {
                        out.push_str(captures.get(*number).map_or("", |group| group.as_str()));
                    }
                }
            }
            end = whole.end();
            n_replaced += 1;
            Ok(n_replaced != count)
        })?;
        out.push_str(&text[end..]);
        Ok(out)
    }

    /// Calls `visit` for every match until it stops. An empty match may directly follow another
    /// match, as in Python since 3.7.
    fn each(&self, text: &str, visit: &mut dyn FnMut(&Captures<'_>) -> Result<bool>) -> Result<()> {
        let mut from = 0;
        while from <= text.len() {
            let found = self.regex.captures_from_pos(text, from).with_context(|| {
                format!("the regular expression {:?} takes too long on a text", self.source)
            })?;
            let Some(captures) = found else { break };
            let Some(whole) = captures.get(0) else { break };
            if !visit(&captures)? {
                break;
            }
            from = whole.end();
            if whole.start() == whole.end() {
                from += text[from..].chars().next().map_or(1, char::len_utf8);
            }
        }
        Ok(())
    }

    /// A replacement, with its `\1` and `\g<name>` parsed.
    fn parts(&self, replacement: &str) -> Result<Vec<Part>> {
        let no_group = || {
            unusable!(
                "the replacement {replacement:?} names a group that {:?} does not have",
                self.source
            )
        };
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut chars = replacement.chars().peekable();
        while let Some(char) = chars.next() {
            if char != '\\' {
                text.push(char);
                continue;
            }
            let name = match chars.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    let second = chars.next_if(char::is_ascii_digit);
                    [Some(digit), second].into_iter().flatten().collect()
                }
                Some('g') if chars.next_if_eq(&'<').is_some() => {
                    let name: String = chars.by_ref().take_while(|&char| char != '>').collect();
                    name
                }
                Some('n') => {
                    text.push('\n');
                    continue;
                }
                Some('t') => {
                    text.push('\t');
                    continue;
                }
                Some(other) => {
                    if other != '\\' {
                        text.push('\\');
                    }
                    text.push(other);
                    continue;
                }
                None => {
                    text.push('\\');
                    continue;
                }
            };
            let number = match name.parse::<usize>() {
                Ok(number) => Some(number),
                Err(_) => self.regex.capture_names().position(|other| other == Some(&*name)),
            };
            let number = number.filter(|&number| number < self.regex.captures_len());
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Group(number.ok_or_else(no_group)?));
        }
        parts.push(Part::Text(text));
        Ok(parts)
    }
}

enum Part {
    Text(String),
    Group(usize),
}

/// The part of a match that a filter extracts: the group, or of several the first that is not
/// empty.
pub(crate) fn select(found: &[Vec<String>], index: i64) -> Option<Option<&str>> {
    let groups = &found[resolve_index(index, found.len())?];
    match &groups[..] {
        [one] => Some(Some(one)),
        several => Some(several.iter().find(|group| !group.is_empty()).map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pattern: &str, text: &str) -> Vec<Vec<String>> {
        Pattern::new(pattern).unwrap().find_all(text).unwrap()
    }

    fn replaced(pattern: &str, text: &str, replacement: &str) -> String {
        Pattern::new(pattern).unwrap().replace(text, replacement, 0).unwrap()
    }

    #[test]
    fn groups_are_found_and_those_that_took_no_part_are_empty() {
        assert_eq!(all(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "is $1,5 or 7"), [["$1,5", ""], ["", "7"]]);
        assert_eq!(all(r"#### (\-?[0-9\.\,]+)", "x #### -1,000."), [["-1,000."]]);
        assert_eq!(all("a.", "abac"), [["ab"], ["ac"]]);
    }

    #[test]
    fn the_end_may_be_before_the_last_line_break() {
        assert_eq!(replaced(r"\.$", "18.\n", ""), "18\n");
        assert_eq!(replaced(r"\.\Z", "18.\n", ""), "18.\n");
        assert_eq!(replaced(r"(?m)a$", "a\na", "b"), "b\nb");
    }

    #[test]
    fn braces_and_brackets_stand_for_themselves_where_python_lets_them() {
        assert_eq!(replaced(r"{\s*([^}]*?)\s*}", "{ a }", r"{\1}"), "{a}");
        assert_eq!(replaced("[[&&]", "[&a", ""), "a");
        assert_eq!(replaced("[]a]", "]ab", ""), "b");
        assert_eq!(replaced(r"a{2}", "aaa", "b"), "ba");
    }

    #[test]
    fn groups_are_put_in() {
        assert_eq!(replaced(r"(?P<x>\w) (\w)", "a b", r"\g<x>\2\\\n"), "ab\\\n");
        let pattern = Pattern::new("a").unwrap();
        assert!(pattern.replace("a", r"\1", 0).is_err());
        assert_eq!(pattern.replace("aaa", "b", 2).unwrap(), "bba");
    }

    #[test]
    fn an_empty_match_may_follow_another_match() {
        assert_eq!(replaced("x*", "-x-", "."), ".-..-.");
        assert_eq!(all("x*", "éx").len(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = Pattern::new("(a").unwrap_err().to_string();
        assert!(error.contains("\"(a\""), "{error}");
    }
}
