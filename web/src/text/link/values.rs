//! Values of links as they are written and read, and how a query encodes them.

pub(super) fn print_blocks(blocks: &[bool]) -> String {
    blocks.iter().map(|&is_patched| if is_patched { '1' } else { '0' }).collect()
}

pub(super) fn parse_blocks(text: &str) -> Option<Vec<bool>> {
    let flag = |digit| match digit {
        '0' => Some(false),
        '1' => Some(true),
        _ => None,
    };
    text.chars().map(flag).collect::<Option<Vec<_>>>().filter(|blocks| !blocks.is_empty())
}

pub(super) fn print_spans(spans: &[(Vec<bool>, usize)]) -> String {
    let span =
        |(blocks, n_tokens): &(Vec<bool>, usize)| format!("{}:{n_tokens}", print_blocks(blocks));
    spans.iter().map(span).collect::<Vec<_>>().join(",")
}

pub(super) fn parse_spans(text: &str) -> Option<Vec<(Vec<bool>, usize)>> {
    let span = |span: &str| {
        let (blocks, n_tokens) = span.split_once(':')?;
        Some((parse_blocks(blocks)?, n_tokens.parse().ok().filter(|&n: &usize| n > 0)?))
    };
    text.split(',').map(span).collect()
}

pub(super) fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

pub(super) fn print_stops(stops: &[usize]) -> String {
    stops.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}

pub(super) fn parse_stops(text: &str) -> Option<Vec<usize>> {
    text.split('-').map(|stop| stop.parse().ok()).collect()
}

pub(super) fn parse_temperature(text: &str) -> Option<f64> {
    text.parse().ok().filter(|temperature| (0.0..=100.0).contains(temperature))
}

pub(super) fn parse_fingerprint(text: &str) -> Option<String> {
    let is_hash =
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

/// As browsers encode a query, but without escaping characters that are valid in it.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~:/,!*".contains(&byte) => {
                encoded.push(byte.into());
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A percent sign without an escape is kept; invalid UTF-8 becomes replacement characters.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        });
        match (bytes[at], escaped) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
