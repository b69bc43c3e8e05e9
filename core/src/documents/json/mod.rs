//! JSON as written by Python: `NaN` and `Infinity` are numbers, and unpaired surrogates are
//! accepted.
//!
//! Every value carries its position, so that later errors can report it.

/// A value and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Json {
    /// Byte offset in the text.
    pub at: usize,
    pub value: JsonValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    Null,
    Bool(bool),
    Int(i64),
    /// Any number that is not an `i64`.
    Float(f64),
    Text(String),
    List(Vec<Json>),
    /// In the order of the file; keys may be repeated.
    Map(Vec<(String, Json)>),
}

impl JsonValue {
    /// The type with its article, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

/// A syntax error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset in the text.
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// Parses values from one part of a text.
pub(super) struct Parser<'a> {
    /// Up to the end of the part.
    text: &'a str,
    at: usize,
    /// Number of unpaired surrogates, replaced by U+FFFD.
    pub(super) n_replaced: usize,
}

/// Maximum nesting depth, as in serde_json.
const MAX_DEPTH: usize = 128;

const DEPTH: &str = "at most 128 nested lists and objects";

impl<'a> Parser<'a> {
    /// The part of the text from `start` on.
    pub(super) fn new(text: &'a str, start: usize) -> Self {
        Self { text, at: start, n_replaced: 0 }
    }

    /// Position of the next value or punctuation.
    pub(super) fn next_at(&mut self) -> usize {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
        self.at
    }

    /// Whether only whitespace is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.next_at() == self.text.len()
    }

    /// Consumes a punctuation byte if it is next.
    pub(super) fn take(&mut self, sign: u8) -> bool {
        self.next_at();
        let is_next = self.peek() == Some(sign);
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn fault<T>(&self, expected: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, expected })
    }

    pub(super) fn value(&mut self) -> Result<Json, Fault> {
        self.value_inside(0)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn value_inside(&mut self, depth: usize) -> Result<Json, Fault> {
        let at = self.next_at();
        if depth == MAX_DEPTH {
            return self.fault(DEPTH);
        }
        let value = match self.peek() {
            Some(b'"') => JsonValue::Text(self.string()?),
            Some(b'[') => self.list(depth)?,
            Some(b'{') => self.map(depth)?,
            _ => self.word()?,
        };
        Ok(Json { at, value })
    }

    fn list(&mut self, depth: usize) -> Result<JsonValue, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(JsonValue::List(items));
        }
        loop {
            items.push(self.value_inside(depth + 1)?);
            if self.take(b']') {
                return Ok(JsonValue::List(items));
            }
            if !self.take(b',') {
                return self.fault("\",\" or \"]\"");
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<JsonValue, Fault> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.take(b'}') {
            return Ok(JsonValue::Map(entries));
        }
        loop {
            self.next_at();
            if self.peek() != Some(b'"') {
                return self.fault("a key in double quotes");
            }
            let key = self.string()?;
            if !self.take(b':') {
                return self.fault("\":\" after the key");
            }
            entries.push((key, self.value_inside(depth + 1)?));
            if self.take(b'}') {
                return Ok(JsonValue::Map(entries));
            }
            if !self.take(b',') {
                return self.fault("\",\" or \"}\"");
            }
        }
    }

    /// A number or an unquoted literal.
    fn word(&mut self) -> Result<JsonValue, Fault> {
        let words = [
            ("null", JsonValue::Null),
            ("true", JsonValue::Bool(true)),
            ("false", JsonValue::Bool(false)),
            ("NaN", JsonValue::Float(f64::NAN)),
            ("Infinity", JsonValue::Float(f64::INFINITY)),
            ("-Infinity", JsonValue::Float(f64::NEG_INFINITY)),
        ];
        let rest = &self.text[self.at..];
        for (word, value) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<JsonValue, Fault> {
        let start = self.at;
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let first = self.peek();
        let n_digits = self.digits();
        if n_digits == 0 {
            let expected = if is_negative { "a digit" } else { "a value" };
            return self.fault(expected);
        }
        if first == Some(b'0') && n_digits > 1 {
            self.at = start;
            return self.fault("a number without leading zeros");
        }
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            is_whole = false;
            self.at += 1;
            if self.digits() == 0 {
                return self.fault("a digit");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.fault("a digit");
            }
        }
        let digits = &self.text[start..self.at];
        if is_whole && let Ok(number) = digits.parse() {
            return Ok(JsonValue::Int(number));
        }
        match digits.parse() {
            Ok(number) => Ok(JsonValue::Float(number)),
            Err(_) => self.fault("a number"),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// Parses a string; its opening quote is next.
    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let start = self.at;
            let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
            while self.peek().is_some_and(is_plain) {
                self.at += 1;
            }
            string.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return self.fault("an escape such as \\n for a control character"),
                None => return self.fault("the closing quote of the string"),
            }
        }
    }

    /// Parses an escape sequence.
    fn escape(&mut self) -> Result<char, Fault> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let char = match letter {
            Some(b'u') => return self.unicode_escape(),
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return self.fault("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"),
        };
        self.at += 2;
        Ok(char)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let Some(unit) = self.unit_at(self.at) else {
            return self.fault("four hexadecimal digits after \\u");
        };
        self.at += 6;
        if let Some(char) = char::from_u32(unit) {
            return Ok(char);
        }
        let low = self.unit_at(self.at).filter(|low| (0xdc00..0xe000).contains(low));
        if let (0xd800..0xdc00, Some(low)) = (unit, low) {
            self.at += 6;
            let both = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.n_replaced += 1;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// The code unit of `\uXXXX` at a position.
    fn unit_at(&self, at: usize) -> Option<u32> {
        let escape = self.text.as_bytes().get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        let mut digits = digits.iter().map(|&byte| char::from(byte).to_digit(16));
        digits.try_fold(0, |unit, digit| Some(unit * 16 + digit?))
    }
}

#[cfg(test)]
mod tests;
