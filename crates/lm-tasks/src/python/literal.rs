//! `ast.literal_eval`: Python literals, read without running code.

use super::Value;
use crate::error::{Result, unusable};

/// Maximum nesting: deeper than any choice, and far below the limit of the stack.
const MAX_DEPTH: usize = 64;

/// Reads numbers, texts, `True`, `False`, `None`, and lists, tuples and maps of these.
///
/// # Errors
/// Names the position of the error.
pub fn literal(text: &str) -> Result<Value> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let outcome = reader.all();
    outcome.map_err(|what| {
        let beginning: String = text.chars().take(60).collect();
        unusable!("not a Python literal: {what} at character {} of {beginning:?}", reader.at)
    })
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn all(&mut self) -> Result<Value, &'static str> {
        let value = self.value(0)?;
        self.blanks();
        if self.at < self.chars.len() { Err("unexpected text") } else { Ok(value) }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|char| matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{c}')) {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: char) -> bool {
        let is_there = self.peek() == Some(expected);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > MAX_DEPTH {
            return Err("nested too deeply");
        }
        self.blanks();
        match self.peek() {
            None => Err("a value is missing"),
            Some('[') => self.items(']', depth).map(|(values, _)| Value::List(values)),
            // A tuple becomes a list; a single value in brackets is itself.
            Some('(') => self.items(')', depth).and_then(|(mut values, n_commas)| {
                match (values.len(), n_commas) {
                    (1, 0) => values.pop().ok_or("empty brackets"),
                    _ => Ok(Value::List(values)),
                }
            }),
            Some('{') => self.map(depth),
            Some('\'' | '"') => self.texts(),
            Some(char) if char.is_ascii_digit() || matches!(char, '-' | '+' | '.') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn items(&mut self, end: char, depth: usize) -> Result<(Vec<Value>, usize), &'static str> {
        self.at += 1;
        let (mut values, mut n_commas) = (Vec::new(), 0);
        loop {
            self.blanks();
            if self.take(end) {
                return Ok((values, n_commas));
            }
            if values.len() > n_commas {
                return Err("a comma is missing");
            }
            values.push(self.value(depth + 1)?);
            self.blanks();
            n_commas += usize::from(self.take(','));
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.at += 1;
        let (mut map, mut is_separated) = (Value::Map(Vec::new()), true);
        loop {
            self.blanks();
            if self.take('}') {
                return Ok(map);
            }
            if !is_separated {
                return Err("a comma is missing");
            }
            let Value::Text(key) = self.value(depth + 1)? else {
                return Err("a key is not a text");
            };
            self.blanks();
            if !self.take(':') {
                return Err("a colon is missing");
            }
            let value = self.value(depth + 1)?;
            map.set(&key, value);
            self.blanks();
            is_separated = self.take(',');
        }
    }

    /// Adjacent texts are concatenated.
    fn texts(&mut self) -> Result<Value, &'static str> {
        let mut text = String::new();
        while let Some(quote @ ('\'' | '"')) = self.peek() {
            self.at += 1;
            let is_long = self.chars[self.at..].starts_with(&[quote, quote]);
            if is_long {
                self.at += 2;
            }
            self.one_text(quote, is_long, &mut text)?;
            self.blanks();
        }
        Ok(Value::Text(text))
    }

    fn one_text(
        &mut self,
        quote: char,
        is_long: bool,
        text: &mut String,
    ) -> Result<(), &'static str> {
        loop {
            let char = self.peek().ok_or("a quote is missing")?;
            self.at += 1;
            match char {
                '\\' => self.escape(text)?,
                '\n' if !is_long => return Err("a line ends inside a text"),
                _ if char == quote && !is_long => return Ok(()),
                _ if char == quote && self.chars[self.at..].starts_with(&[quote, quote]) => {
                    self.at += 2;
                    return Ok(());
                }
                _ => text.push(char),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), &'static str> {
        let char = self.peek().ok_or("a quote is missing")?;
        self.at += 1;
        let n_digits = match char {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => {
                let mut code = char.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|char| char.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                text.push(char::from_u32(code).ok_or("no character")?);
                return Ok(());
            }
            _ => {
                match char {
                    '\n' => {}
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'a' => text.push('\u{7}'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'v' => text.push('\u{b}'),
                    '\\' | '\'' | '"' => text.push(char),
                    // Python keeps the backslash of an unknown escape.
                    _ => text.extend(['\\', char]),
                }
                return Ok(());
            }
        };
        let digits = self.chars.get(self.at..self.at + n_digits).ok_or("an escape is too short")?;
        let digits: String = digits.iter().collect();
        let code = u32::from_str_radix(&digits, 16).map_err(|_| "an escape is not a number")?;
        self.at += n_digits;
        text.push(char::from_u32(code).ok_or("an unpaired surrogate")?);
        Ok(())
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let start = self.at;
        while self.peek().is_some_and(|char| {
            char.is_ascii_alphanumeric()
                || matches!(char, '.' | '_')
                || (matches!(char, '-' | '+')
                    && (self.at == start || matches!(self.chars[self.at - 1], 'e' | 'E')))
        }) {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().filter(|&&char| char != '_').collect();
        let is_float = text.contains(['.', 'e', 'E']);
        let number = if is_float {
            text.parse().ok().map(Value::Float)
        } else {
            // Python has no numbers with a leading zero.
            let digits = text.trim_start_matches(['-', '+']);
            let is_octal = digits.len() > 1 && digits.starts_with('0');
            text.parse().ok().filter(|_| !is_octal).map(Value::Int)
        };
        number.ok_or("invalid number")
    }

    fn word(&mut self) -> Result<Value, &'static str> {
        let start = self.at;
        while self.peek().is_some_and(|char| char.is_alphanumeric() || char == '_') {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        match &*word {
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            "None" => Ok(Value::None),
            _ => {
                self.at = start;
                Err("a name is not a literal")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::repr;
    use super::*;

    #[test]
    fn literals_are_read() {
        let read = |text: &str| literal(text).unwrap();
        assert_eq!(read(" ['a', \"b's\", 'c' 'd',]"), vec!["a", "b's", "cd"].into());
        assert_eq!(
            read("(1, -2.5, True, None)"),
            Value::List(vec![Value::Int(1), Value::Float(-2.5), Value::Bool(true), Value::None])
        );
        assert_eq!(read("{'a': (1)}"), Value::map([("a", Value::Int(1))]));
        assert_eq!(read(r"'\x41\u00e9\n\'\101\d'"), "Aé\n'A\\d".into());
        assert_eq!(read("'''a\n'b'''"), "a\n'b".into());
    }

    #[test]
    fn what_is_not_a_literal_is_refused() {
        for text in ["", "[1 2]", "'a", "open('x')", "007", "[", "{1: 2}", "['a'] x", "1 + 2"] {
            assert!(literal(text).is_err(), "{text}");
        }
        assert!(literal(&"[".repeat(100_000)).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::None),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e20..1e20_f64).prop_map(Value::Float),
            ".*".prop_map(Value::Text),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(Value::List)
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in values()) {
            prop_assert_eq!(literal(&repr(&value)).unwrap(), value);
        }

        #[test]
        fn no_text_ends_the_program(text in ".*") {
            let _ = literal(&text);
        }
    }
}
