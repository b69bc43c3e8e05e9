//! Numbers as they are shown.

/// `5.24 M`, `1.72 B`.
pub fn params(n_params: u64) -> String {
    boomerang_core::chart::Format::Count.value(n_params as f64)
}

/// `12.4 MB`, in units of a million bytes.
pub fn bytes(n_bytes: u64) -> String {
    let n_bytes = n_bytes as f64;
    match n_bytes {
        size if size >= 999.5e6 => format!("{:.2} GB", size / 1e9),
        size if size >= 99.95e6 => format!("{:.0} MB", size / 1e6),
        size if size >= 999.5e3 => format!("{:.1} MB", size / 1e6),
        size if size >= 1e3 => format!("{:.0} kB", size / 1e3),
        size => format!("{size:.0} bytes"),
    }
}

/// `61.3 %`.
pub fn percent(part: f64) -> String {
    boomerang_core::chart::Format::Percent.value(part)
}

/// `61 %`.
pub fn whole_percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// `1 layer`, `2 layers`.
pub fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// `1,234,567`.
pub fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut number = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            number.push(',');
        }
        number.push(digit);
    }
    number
}

/// With a capital letter first.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `8 s`, `3 min`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        long if long >= 99.5 => format!("{:.0} min", long / 60.0),
        short => format!("{:.0} s", short.max(1.0)),
    }
}

/// `41`, `4.1`, `0.41`: speeds with two digits.
pub fn speed(per_second: f64) -> String {
    match per_second {
        fast if fast >= 9.95 => format!("{fast:.0}"),
        slow if slow >= 0.995 => format!("{slow:.1}"),
        slower => format!("{slower:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn bytes_have_the_unit_that_keeps_them_short() {
        let written = [12, 12_345, 1_234_567, 123_456_789, 1_234_567_890].map(bytes);
        assert_eq!(written, ["12 bytes", "12 kB", "1.2 MB", "123 MB", "1.23 GB"]);
    }

    #[test]
    fn a_time_left_is_at_least_a_second() {
        assert_eq!([0.2, 8.4, 100.0, 240.0].map(seconds), ["1 s", "8 s", "2 min", "4 min"]);
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!([count(1, "layer"), count(0, "layer")], ["1 layer", "0 layers"]);
    }

    #[test]
    fn only_the_first_letter_changes() {
        assert_eq!(["cross-entropy", "KL", ""].map(capitalized), ["Cross-entropy", "KL", ""]);
    }

    #[test]
    fn a_speed_has_two_digits() {
        assert_eq!([41.26, 4.126, 0.4126].map(speed), ["41", "4.1", "0.41"]);
    }
}
