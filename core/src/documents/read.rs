//! Reads files as documents, by their extensions.

use super::decode::{LineColumn, decode};
use super::json::{Fault, Json, Parser};
use super::record::document;
use super::{Content, Document, DocumentError, Documents, Location, Problem, Record, TextUnit};

/// File format of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    /// One value per line, or a list if the file starts with one.
    JsonLines,
    /// A list, or a sequence of values.
    Json,
}

impl Format {
    /// By the file extension, in upper or lower case.
    ///
    /// # Errors
    /// [`DocumentError`] lists the supported extensions.
    pub fn of(file: &str) -> Result<Self, DocumentError> {
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "txt" | "text" | "md" => Ok(Self::Text),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "json" => Ok(Self::Json),
            _ => Err(Location::file(file).error(Problem::Ending(ending.to_owned()))),
        }
    }
}

/// The documents of a file; those without tokens are skipped.
///
/// # Errors
/// [`DocumentError`] with the location of the problem, or if no document is left.
pub fn read(
    file: &str,
    format: Format,
    bytes: &[u8],
    unit: TextUnit,
) -> Result<Documents, DocumentError> {
    let from = Location::file(file);
    let text = text_of(&from, bytes)?;
    if is_blank(text) {
        return Err(from.error(Problem::Empty));
    }
    let mut documents = Vec::new();
    let mut n_replaced = 0;
    if format == Format::Text {
        let plain = |text: &str, from| Document { content: Content::Text(text.to_owned()), from };
        match unit {
            TextUnit::File => documents.push(plain(text, from.clone())),
            TextUnit::Line => {
                let lines = text.lines().enumerate().filter(|(_, line)| !is_blank(line));
                let at = |number| from.at(Record::Line(number + 1));
                documents.extend(lines.map(|(number, line)| plain(line, at(number))));
            }
        }
    } else {
        let mut add = |text: &str, object: Json, from: Location| {
            let found = document(&object, &from);
            let found = found.map_err(|(at, problem)| located(&from, text, at, problem))?;
            documents.extend(found);
            Ok(())
        };
        n_replaced = each_record(&from, format, text, &mut add)?;
    }
    let is_usable = |document: &Document| match &document.content {
        Content::Text(text) => !is_blank(text),
        Content::Tokens(_) | Content::Completion(_) | Content::Conversation(_) => true,
    };
    if !documents.iter().any(is_usable) {
        return Err(from.error(Problem::NothingUsable));
    }
    Ok(Documents { documents, n_replaced })
}

/// The document in a line of a `.jsonl` file at `from`, and the number of unpaired surrogates in it; `None`
/// for a blank line, and for a document without tokens.
///
/// # Errors
/// [`DocumentError`] with the column.
pub fn read_line(from: &Location, line: &[u8]) -> Result<(Option<Document>, usize), DocumentError> {
    // The text is a single line, of which only the column is of interest.
    let placed = |error: DocumentError| DocumentError {
        at: Location { column: error.at.column, ..from.clone() },
        ..error
    };
    let text = text_of(from, line).map_err(placed)?;
    if text.trim_start().starts_with('[') {
        return Err(from.error(Problem::NotAnObject("a list")));
    }
    let mut found = None;
    let mut add = |text: &str, object: Json, _: Location| {
        found = document(&object, from)
            .map_err(|(at, problem)| placed(located(from, text, at, problem)))?;
        Ok(())
    };
    let n_replaced = each_record(from, Format::JsonLines, text, &mut add).map_err(placed)?;
    Ok((found, n_replaced))
}

/// The values of a JSON file with their locations; none for an empty file. A file with an unknown
/// extension is read as JSON lines.
///
/// # Errors
/// [`DocumentError`] with the location of a syntax error.
pub fn records(file: &str, bytes: &[u8]) -> Result<Vec<(Location, Json)>, DocumentError> {
    let format =
        if Format::of(file) == Ok(Format::Json) { Format::Json } else { Format::JsonLines };
    let mut found = Vec::new();
    let mut add = |_: &str, value: Json, from: Location| {
        found.push((from, value));
        Ok(())
    };
    let from = Location::file(file);
    each_record(&from, format, text_of(&from, bytes)?, &mut add)?;
    Ok(found)
}

/// Callback for a record: the text of the file, the value and its location.
type Add<'a> = dyn FnMut(&str, Json, Location) -> Result<(), DocumentError> + 'a;

/// Returns the number of replaced surrogates.
fn each_record(
    from: &Location,
    format: Format,
    text: &str,
    add: &mut Add<'_>,
) -> Result<usize, DocumentError> {
    let mut counted = Counted { text, at: 0, line: 1 };
    let syntax = |fault: Fault, part: &str, end: &str| {
        let found = match part[fault.at..].chars().next() {
            Some(char) => format!("{char:?}"),
            None => end.to_owned(),
        };
        let problem = Problem::Syntax { expected: fault.expected, found };
        located(from, text, fault.at, problem)
    };
    let mut n_replaced = 0;
    if format == Format::JsonLines && !text.trim_start().starts_with('[') {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let part = &text[..start + line.trim_end_matches(['\n', '\r']).len()];
            let mut parser = Parser::new(part, start);
            if !is_blank(line) {
                let value = parser.value().and_then(|value| match parser.is_at_end() {
                    true => Ok(value),
                    false => parser.fault("the end of the line"),
                });
                let value = value.map_err(|fault| syntax(fault, part, "the end of the line"))?;
                add(text, value, from.at(counted.line_of(start)))?;
            }
            n_replaced += parser.n_replaced;
            start += line.len();
        }
        return Ok(n_replaced);
    }
    let mut parser = Parser::new(text, 0);
    let refuse = |fault| syntax(fault, text, "the end of the file");
    if parser.take(b'[') {
        let mut is_over = parser.take(b']');
        while !is_over {
            let value = parser.value().map_err(refuse)?;
            let line = counted.line_of(value.at);
            add(text, value, from.at(line))?;
            is_over = parser.take(b']');
            if !is_over && !parser.take(b',') {
                return parser.fault("\",\" or \"]\"").map_err(refuse);
            }
        }
        if !parser.is_at_end() {
            return parser.fault("nothing after the list").map_err(refuse);
        }
    }
    while !parser.is_at_end() {
        let value = parser.value().map_err(refuse)?;
        let line = counted.line_of(value.at);
        add(text, value, from.at(line))?;
    }
    Ok(parser.n_replaced)
}

/// Computes line numbers of ascending positions.
struct Counted<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Counted<'_> {
    fn line_of(&mut self, at: usize) -> Record {
        let between = self.text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += between.iter().filter(|&&byte| byte == b'\n').count();
        self.at = at;
        Record::Line(self.line)
    }
}

fn text_of<'a>(from: &Location, bytes: &'a [u8]) -> Result<&'a str, DocumentError> {
    decode(bytes).map_err(|(position, problem)| match position {
        None => from.error(problem),
        Some(LineColumn { line, column }) => {
            Location { column: Some(column), ..from.at(Record::Line(line)) }.error(problem)
        }
    })
}

fn located(from: &Location, text: &str, at: usize, problem: Problem) -> DocumentError {
    let LineColumn { line, column } = LineColumn::of(text, at);
    Location { column: Some(column), ..from.at(Record::Line(line)) }.error(problem)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}
