//! A mean and its standard error, the form in which all measurements are compared and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub mean: f64,
    /// Standard error of the mean; NaN in memory and null in JSON where it is unknown, for example
    /// for a single measurement.
    #[serde(with = "unknown")]
    pub stderr: f64,
}

impl Estimate {
    /// Aggregates one `(value, standard error)` per seed; `None` without any.
    ///
    /// All seeds answer the same questions, so the sampling error of the questions does not shrink
    /// with the number of seeds; the standard error over seeds is added in quadrature.
    pub fn over_seeds(values: &[(f64, f64)]) -> Option<Self> {
        match values {
            [] => None,
            [(mean, stderr)] => Some(Self { mean: *mean, stderr: *stderr }),
            _ => {
                let column = |pick: fn(&(f64, f64)) -> f64| values.iter().map(pick).collect();
                let (means, errors): (Vec<f64>, Vec<f64>) =
                    (column(|value| value.0), column(|value| value.1));
                let of_measurement = mean(&errors);
                Some(Self { mean: mean(&means), stderr: stderr(&means).hypot(of_measurement) })
            }
        }
    }

    /// Distance from 0 in standard errors; infinite for a standard error of 0.
    pub fn z(self) -> f64 {
        if self.stderr > 0.0 { self.mean / self.stderr } else { self.mean * f64::INFINITY }
    }

    /// `0.0123 ± 0.0004` with `n_digits` decimals; without the error where it is unknown.
    pub fn to_text(self, n_digits: usize) -> String {
        let Self { mean, stderr } = self;
        if stderr.is_finite() {
            format!("{mean:.n_digits$} ± {stderr:.n_digits$}")
        } else {
            format!("{mean:.n_digits$}")
        }
    }

    /// Of a share in percent: `61.3 % ± 4.9`; without the error where it is unknown.
    pub fn to_percent(self) -> String {
        let Self { mean, stderr } = self.scaled(100.0);
        if stderr.is_finite() {
            format!("{mean:.1} % ± {stderr:.1}")
        } else {
            format!("{mean:.1} %")
        }
    }

    /// The same estimate in another unit, such as percent.
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, stderr: self.stderr * factor.abs() }
    }
}

/// With four decimals.
impl fmt::Display for Estimate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text(4))
    }
}

/// Arithmetic mean; 0 for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard error of the mean of a sample; 0 for fewer than two values.
pub fn stderr(values: &[f64]) -> f64 {
    let n_values = values.len() as f64;
    if values.len() < 2 {
        return 0.0;
    }
    let center = mean(values);
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    (squares / (n_values - 1.0) / n_values).sqrt()
}

/// Serializes unknown standard errors: NaN in memory, null in JSON.
pub(crate) mod unknown {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(stderr: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*stderr).filter(|stderr| stderr.is_finite()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_error_is_not_shown() {
        assert_eq!(Estimate { mean: 0.5, stderr: 0.25 }.to_text(2), "0.50 ± 0.25");
        assert_eq!(Estimate { mean: 0.5, stderr: f64::NAN }.to_text(2), "0.50");
        assert_eq!(Estimate { mean: 0.6125, stderr: 0.0489 }.to_percent(), "61.3 % ± 4.9");
        assert_eq!(Estimate { mean: 0.5, stderr: f64::NAN }.to_percent(), "50.0 %");
    }

    #[test]
    fn the_error_of_the_questions_does_not_shrink_with_the_seeds() {
        let one = Estimate::over_seeds(&[(1.0, 0.5)]).unwrap();
        let same = Estimate::over_seeds(&[(1.0, 0.5), (1.0, 0.5)]).unwrap();
        assert_eq!(one, same);
        let apart = Estimate::over_seeds(&[(2.0, 0.0), (4.0, 0.0)]).unwrap();
        assert_eq!(apart, Estimate { mean: 3.0, stderr: 1.0 });
        assert_eq!(Estimate::over_seeds(&[]), None);
    }

    #[test]
    fn an_unknown_error_is_null_in_json() {
        let estimate = Estimate { mean: 1.5, stderr: f64::NAN };
        let json = serde_json::to_string(&estimate).unwrap();
        assert_eq!(json, r#"{"mean":1.5,"stderr":null}"#);
        assert!(serde_json::from_str::<Estimate>(&json).unwrap().stderr.is_nan());
    }
}
