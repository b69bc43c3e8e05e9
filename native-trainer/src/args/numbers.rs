//! Numbers on the command line, checked where they are read: what would give NaN, or do nothing, is
//! wrong usage.

/// A number above 0: a learning rate, a temperature, a norm to clip to.
///
/// # Errors
/// States what was expected.
pub fn positive(text: &str) -> Result<f64, String> {
    finite(text).filter(|&number| number > 0.0).ok_or_else(|| expected("a number above 0", text))
}

/// A number of at least 0: the weight of a loss term, a tolerance.
///
/// # Errors
/// States what was expected.
pub fn non_negative(text: &str) -> Result<f64, String> {
    finite(text)
        .filter(|&number| number >= 0.0)
        .ok_or_else(|| expected("a number of at least 0", text))
}

/// As [`non_negative`], for what is computed in f32.
///
/// # Errors
/// States what was expected.
pub fn non_negative_f32(text: &str) -> Result<f32, String> {
    let number = non_negative(text)? as f32;
    if number.is_finite() { Ok(number) } else { Err(expected("a number below 3.4e38", text)) }
}

/// A fraction, from 0 to 1.
///
/// # Errors
/// States what was expected.
pub fn share(text: &str) -> Result<f64, String> {
    finite(text)
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| expected("a number from 0 to 1", text))
}

/// A probability with which something is replaced or left out: from 0 to below 1, as something has to
/// stay.
///
/// # Errors
/// States what was expected.
pub fn probability(text: &str) -> Result<f64, String> {
    finite(text)
        .filter(|number| (0.0..1.0).contains(number))
        .ok_or_else(|| expected("a number from 0 to below 1", text))
}

/// Any number, of either sign.
///
/// # Errors
/// States what was expected.
pub fn number(text: &str) -> Result<f64, String> {
    finite(text).ok_or_else(|| expected("a number", text))
}

/// How many: at least 1.
///
/// # Errors
/// States what was expected.
pub fn count(text: &str) -> Result<usize, String> {
    let number = text.trim().parse::<usize>().ok().filter(|&number| number > 0);
    number.ok_or_else(|| expected("a whole number of at least 1", text))
}

/// How many, where one is none: sizes of a curve.
///
/// # Errors
/// States what was expected.
pub fn at_least_two(text: &str) -> Result<usize, String> {
    let number = text.trim().parse::<usize>().ok().filter(|&number| number > 1);
    number.ok_or_else(|| expected("a whole number of at least 2", text))
}

/// Tokens of a sequence that is trained on: a token is predicted from the one before it.
///
/// # Errors
/// States what was expected.
pub fn sequence_length(text: &str) -> Result<usize, String> {
    at_least_two(text)
}

/// `1.1B`, `350M`, `2GB`, `1.5GiB`, `123456`.
///
/// # Errors
/// Shows what an amount looks like.
pub fn parse_amount(text: &str) -> Result<u64, String> {
    let expected = || format!("invalid amount {text:?}; expected e.g. 350M, 1.1B, 1.2GB or 1.5GiB");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| expected())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "b" | "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(expected()),
    };
    Ok((number * factor) as u64)
}

/// A number of tokens above 0: `10M`, `2.1B`.
///
/// # Errors
/// Shows what an amount looks like.
pub fn tokens(text: &str) -> Result<u64, String> {
    match parse_amount(text)? {
        0 => Err("expected more than 0 tokens".to_owned()),
        n_tokens => Ok(n_tokens),
    }
}

/// A number of bytes above 0.
///
/// # Errors
/// Shows what an amount looks like.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    match parse_amount(text)? {
        0 => Err("expected more than 0 bytes".to_owned()),
        bytes => Ok(bytes),
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_finite_number_is_refused() {
        for text in ["nan", "inf", "-inf", "1e999", "", "x", "-1"] {
            assert!(positive(text).is_err() && non_negative(text).is_err(), "{text}");
            assert!(share(text).is_err() && count(text).is_err(), "{text}");
        }
        assert!(number("nan").is_err() && number("1e999").is_err());
    }

    #[test]
    fn the_ends_of_each_range_are_where_they_should_be() {
        assert_eq!(non_negative("0"), Ok(0.0));
        assert!(positive("0").is_err() && count("0").is_err() && sequence_length("1").is_err());
        assert_eq!((share("1"), number("-2"), sequence_length("2")), (Ok(1.0), Ok(-2.0), Ok(2)));
        assert!(non_negative_f32("1e39").is_err());
        assert!(probability("0").is_ok() && probability("1").is_err());
    }

    #[test]
    fn amounts_have_the_usual_units() {
        assert_eq!(parse_amount("1.5B"), Ok(1_500_000_000));
        assert_eq!(parse_amount("2GiB"), Ok(2_147_483_648));
        assert_eq!(parse_amount("70"), Ok(70));
        assert!(parse_amount("many").is_err() && parse_amount("1.2XB").is_err());
    }
}
