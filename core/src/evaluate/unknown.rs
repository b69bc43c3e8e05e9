//! Standard errors that nothing is known of: NaN in memory, null in JSON, left out where they are read.

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

pub(super) fn serialize<S: Serializer>(stderr: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Some(*stderr).filter(|stderr| stderr.is_finite()).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// `0.0123 ± 0.0004`; without the error where it is not known, which takes two measurements.
pub fn plus_minus(mean: f64, stderr: f64, n_digits: usize) -> String {
    if stderr.is_finite() {
        format!("{mean:.n_digits$} ± {stderr:.n_digits$}")
    } else {
        format!("{mean:.n_digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::plus_minus;

    #[test]
    fn an_error_that_is_not_known_is_not_shown() {
        assert_eq!(plus_minus(0.5, 0.25, 2), "0.50 ± 0.25");
        assert_eq!(plus_minus(0.5, f64::NAN, 2), "0.50");
    }
}
