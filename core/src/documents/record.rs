//! Converts a JSON object to a document.

use super::{Content, Conversation, Document, Json, JsonValue, Location, MarkedText, Problem};

/// Token ids with padding on the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Left padding is moved to the right.
    pub ids: Vec<u32>,
    pub n_tokens: usize,
    /// Whether each id is a target; `None` if every token is.
    pub is_label: Option<Vec<bool>>,
}

impl TokenRow {
    /// The ids without padding.
    pub fn tokens(&self) -> &[u32] {
        &self.ids[..self.n_tokens]
    }

    /// The tokens without padding, each with whether it is a label.
    pub fn labelled(&self, end_token: Option<u32>) -> impl Iterator<Item = (u32, bool)> {
        labelled(self.tokens(), self.is_label.as_deref(), end_token)
    }
}

/// Tokens of a document, each with whether it is a label, and the token that ends it, which is one if
/// the token before it is. Without `is_label` all of them are.
pub fn labelled(
    tokens: &[u32],
    is_label: Option<&[bool]>,
    end_token: Option<u32>,
) -> impl Iterator<Item = (u32, bool)> {
    let of_token = move |index: usize| is_label.is_none_or(|flags| flags.get(index) == Some(&true));
    let of_end = tokens.len().checked_sub(1).is_none_or(of_token);
    let end = end_token.map(|token| (token, of_end));
    tokens.iter().enumerate().map(move |(index, &token)| (token, of_token(index))).chain(end)
}

/// A problem and its byte offset.
pub(super) type At = (usize, Problem);

/// Keys by which other tools exclude tokens from the loss.
const LOSS_MASKS: [&str; 5] =
    ["loss_mask", "completion_mask", "assistant_masks", "assistant_mask", "loss_weights"];

/// The label of tokens that are not targets, as in transformers.
const NOT_A_LABEL: i64 = -100;

/// The document in an object; `None` if it has no tokens.
///
/// # Errors
/// The problem and the byte offset of the value that has it.
pub fn document(object: &Json, from: &Location) -> Result<Option<Document>, (usize, Problem)> {
    let JsonValue::Map(entries) = &object.value else {
        return Err((object.at, Problem::NotAnObject(object.value.kind())));
    };
    let find = |key: &'static str| find(entries, key);
    let mut given = Vec::new();
    for key in ["text", "input_ids", "messages", "prompt"] {
        given.extend(find(key)?.map(|value| (key, value)));
    }
    let content = match given[..] {
        [] => return Err((object.at, Problem::NoText(keys(entries)))),
        [(first, value), (second, _), ..] => {
            return Err((value.at, Problem::Several(first, second)));
        }
        [("text", text)] => match &text.value {
            JsonValue::Text(text) if text.is_empty() => return Ok(None),
            JsonValue::Text(text) => Content::Text(text.clone()),
            _ => return Err(wrong(text, "text", "a string")),
        },
        [("messages", list)] => {
            let messages = messages(list, "messages")?;
            if !messages.iter().any(is_of_assistant) {
                return Err((list.at, Problem::NoResponse));
            }
            let tools = find("tools")?.cloned();
            Content::Conversation(Conversation { messages, n_prompt: 0, tools })
        }
        [("prompt", prompt)] => {
            let Some(completion) = find("completion")? else {
                return Err((object.at, Problem::NoCompletion));
            };
            continued(prompt, completion, find("tools")?)?
        }
        [(_, ids)] => {
            for key in LOSS_MASKS {
                if let Some(mask) = find(key)? {
                    return Err((mask.at, Problem::LossMask(key)));
                }
            }
            let row = token_row(ids, find("attention_mask")?, find("labels")?)?;
            if row.n_tokens == 0 {
                return Ok(None);
            }
            Content::Tokens(row)
        }
    };
    Ok(Some(Document { content, from: from.clone() }))
}

/// A prompt and its completion: strings, or messages.
fn continued(prompt: &Json, completion: &Json, tools: Option<&Json>) -> Result<Content, At> {
    match (&prompt.value, &completion.value) {
        (JsonValue::Text(start), JsonValue::Text(_)) if start.is_empty() => {
            Err(wrong(prompt, "prompt", "a text to continue"))
        }
        (JsonValue::Text(start), JsonValue::Text(rest)) => {
            let text = format!("{start}{rest}");
            let response = start.len()..text.len();
            Ok(Content::Completion(MarkedText { text, responses: vec![response], special: true }))
        }
        (JsonValue::List(_), JsonValue::List(_)) => {
            let mut all = messages(prompt, "prompt")?;
            let n_prompt = all.len();
            all.extend(messages(completion, "completion")?);
            if !all[n_prompt..].iter().any(is_of_assistant) {
                return Err((completion.at, Problem::NoResponse));
            }
            Ok(Content::Conversation(Conversation {
                messages: all,
                n_prompt,
                tools: tools.cloned(),
            }))
        }
        (JsonValue::Text(_), _) => Err(wrong(completion, "completion", "a string, as prompt is")),
        (JsonValue::List(_), _) => Err(wrong(completion, "completion", "a list, as prompt is")),
        _ => Err(wrong(prompt, "prompt", "a string or a list of messages")),
    }
}

/// A list of objects with a `role`.
fn messages(of: &Json, key: &str) -> Result<Vec<Json>, At> {
    let JsonValue::List(items) = &of.value else {
        return Err(wrong(of, key, "a list of messages"));
    };
    for (index, item) in items.iter().enumerate() {
        if role(item).is_none() {
            return Err(wrong(item, format!("{key}[{index}]"), "an object with \"role\""));
        }
    }
    if items.is_empty() {
        return Err(wrong(of, key, "at least one message"));
    }
    Ok(items.clone())
}

fn role(message: &Json) -> Option<&str> {
    let JsonValue::Map(entries) = &message.value else { return None };
    entries.iter().find_map(|(key, value)| match &value.value {
        JsonValue::Text(role) if key == "role" => Some(role.as_str()),
        _ => None,
    })
}

fn is_of_assistant(message: &Json) -> bool {
    role(message) == Some("assistant")
}

/// The value of a key; null counts as absent, since exported tables use it for missing values.
fn find<'a>(entries: &'a [(String, Json)], key: &'static str) -> Result<Option<&'a Json>, At> {
    let mut found = entries.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
    let first = found.next();
    match found.next() {
        Some(second) => Err((second.at, Problem::Twice(key))),
        None => Ok(first.filter(|value| value.value != JsonValue::Null)),
    }
}

/// The keys of an object, for an error.
fn keys(entries: &[(String, Json)]) -> String {
    const N_NAMED: usize = 6;
    let named: Vec<String> = entries
        .iter()
        .take(N_NAMED)
        .map(|(key, value)| match value.value {
            JsonValue::Null => format!("{key:?}: null"),
            _ => format!("{key:?}"),
        })
        .collect();
    match named.len() {
        0 => "an object without keys".to_owned(),
        _ if entries.len() > N_NAMED => format!("{}, …", named.join(", ")),
        _ => named.join(", "),
    }
}

fn wrong(found: &Json, what: impl Into<String>, expected: &'static str) -> At {
    let shown = match &found.value {
        JsonValue::Int(number) => number.to_string(),
        JsonValue::Float(number) => format!("{number:?}"),
        value => value.kind().to_owned(),
    };
    (found.at, Problem::Type { what: what.into(), expected, found: shown })
}

/// The values of a list, each converted by `read`.
fn list<T>(
    list: &Json,
    key: &str,
    expected: &'static str,
    read: impl Fn(&JsonValue) -> Option<T>,
) -> Result<Vec<T>, At> {
    let JsonValue::List(items) = &list.value else { return Err(wrong(list, key, "a list")) };
    let item = |(index, item): (usize, &Json)| {
        read(&item.value).ok_or_else(|| wrong(item, format!("{key}[{index}]"), expected))
    };
    items.iter().enumerate().map(item).collect()
}

fn token_row(ids: &Json, mask: Option<&Json>, labels: Option<&Json>) -> Result<TokenRow, At> {
    let mut row = list(ids, "input_ids", "a token id", |value| match *value {
        JsonValue::Int(number) => u32::try_from(number).ok(),
        _ => None,
    })?;
    let n_ids = row.len();
    let as_many = |list: &Json, key, found| match found == n_ids {
        true => Ok(()),
        false => Err((list.at, Problem::Length { key, expected: n_ids, found })),
    };
    let shown = match mask {
        None => 0..n_ids,
        Some(mask) => {
            let flags = list(mask, "attention_mask", "0 or 1", |value| match *value {
                JsonValue::Int(0) | JsonValue::Bool(false) => Some(false),
                JsonValue::Int(1) | JsonValue::Bool(true) => Some(true),
                _ => None,
            })?;
            as_many(mask, "attention_mask", flags.len())?;
            let start = flags.iter().position(|&flag| flag).unwrap_or(0);
            let end = flags.iter().rposition(|&flag| flag).map_or(0, |last| last + 1);
            if let Some(hole) = flags[start..end].iter().position(|&flag| !flag) {
                return Err((mask.at, Problem::Hole { index: start + hole }));
            }
            start..end
        }
    };
    let is_label = match labels {
        None => None,
        Some(labels) => {
            let values = list(labels, "labels", "a whole number", |value| match *value {
                JsonValue::Int(number) => Some(number),
                _ => None,
            })?;
            as_many(labels, "labels", values.len())?;
            for index in shown.clone() {
                let (found, expected) = (values[index], row[index]);
                if found != NOT_A_LABEL && found != i64::from(expected) {
                    return Err((labels.at, Problem::Label { index, found, expected }));
                }
            }
            let is_label: Vec<bool> = values.iter().map(|&label| label != NOT_A_LABEL).collect();
            // A mask in which all tokens are targets is dropped.
            (!is_label[shown.clone()].iter().all(|&flag| flag)).then_some(is_label)
        }
    };
    row.rotate_left(shown.start);
    let is_label = is_label.map(|mut is_label| {
        is_label.rotate_left(shown.start);
        is_label
    });
    Ok(TokenRow { ids: row, n_tokens: shown.len(), is_label })
}
