//! The parameters of rotary position embeddings (RoPE, arXiv:2104.09864), and their variants for
//! long texts.

use serde_json::{Map, Value};

use super::ConfigError;
use super::keys::{Keys, invalid, positive};
use crate::architecture::{PositionRule, Traits};

/// How fast each pair of a head's dimensions turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    pub theta: f64,
    /// Dimensions of a head that turn, from the first; even.
    pub d_rotated: usize,
    pub scaling: RopeScaling,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    None,
    /// All positions are divided by the factor.
    Linear {
        factor: f64,
    },
    /// Slow pairs turn slower by the factor, fast ones as before (Llama 3.1).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original_seq: usize,
    },
    /// A factor for each pair, one list for texts up to `original_seq` and one for longer ones
    /// (LongRoPE, arXiv:2402.13753). Cosines and sines are multiplied by `magnitude`.
    LongRope {
        short: Vec<f64>,
        long: Vec<f64>,
        original_seq: usize,
        magnitude: f64,
    },
}

impl Rotary {
    /// Radians that each pair turns from one position to the next, in a text of `seq` positions.
    ///
    /// In f32, as transformers computes it, so that long positions round alike.
    pub fn frequencies(&self, seq: usize) -> Vec<f32> {
        let d_rotated = self.d_rotated as f32;
        let exponent = |pair: usize| (2 * pair) as f32 / d_rotated;
        let power = |pair: usize| (self.theta as f32).powf(exponent(pair));
        let pairs = 0..self.d_rotated / 2;
        match &self.scaling {
            RopeScaling::None => pairs.map(|pair| 1.0 / power(pair)).collect(),
            RopeScaling::Linear { factor } => {
                pairs.map(|pair| 1.0 / power(pair) / *factor as f32).collect()
            }
            RopeScaling::Llama3 { factor, low, high, original_seq } => {
                let (factor, low, high) = (*factor as f32, *low as f32, *high as f32);
                let original_seq = *original_seq as f32;
                let scaled = |pair: usize| {
                    let frequency = 1.0 / power(pair);
                    let turns = original_seq * frequency / std::f32::consts::TAU;
                    let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - share) * frequency / factor + share * frequency
                };
                pairs.map(scaled).collect()
            }
            RopeScaling::LongRope { short, long, original_seq, .. } => {
                let factors = if seq > *original_seq { long } else { short };
                pairs.map(|pair| 1.0 / (factors[pair] as f32 * power(pair))).collect()
            }
        }
    }

    /// Cosines and sines are multiplied by this.
    pub fn magnitude(&self) -> f32 {
        match self.scaling {
            RopeScaling::LongRope { magnitude, .. } => magnitude as f32,
            _ => 1.0,
        }
    }
}

/// The tables of a model: none for learned positions, a second one where windowed layers have
/// another base.
///
/// # Errors
/// [`ConfigError`] names a variant that is not supported, or a parameter that is missing.
pub(super) fn read(
    keys: Keys<'_>,
    traits: &Traits,
    d_head: usize,
    max_seq: usize,
) -> Result<Vec<Rotary>, ConfigError> {
    if traits.positions == PositionRule::Learned {
        return Ok(Vec::new());
    }
    let empty = Map::new();
    let object = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned();
    // transformers 5 has everything in `rope_parameters`, by kind of layer where they differ.
    let nested = object(keys.present("rope_parameters")).unwrap_or_default();
    let by_kind = |kind: &str| object(nested.get(kind));
    let is_by_kind = by_kind("full_attention").is_some();
    let scaling = object(keys.present("rope_scaling")).unwrap_or_default();
    let theta = keys.positive(traits.keys.rope_theta)?.unwrap_or(traits.defaults.rope_theta);

    let global =
        if is_by_kind { by_kind("full_attention").unwrap_or_default() } else { nested.clone() };
    let global = if global.is_empty() { scaling } else { global };
    let reader = Reader { keys, traits, d_head, max_seq };
    let mut tables = vec![reader.table(&global, theta)?];
    if traits.positions == PositionRule::RotaryByWindow {
        let theta = keys.positive("rope_local_base_freq")?.unwrap_or(10_000.0);
        let local = by_kind("sliding_attention");
        tables.push(reader.table(local.as_ref().unwrap_or(&empty), theta)?);
    }
    Ok(tables)
}

struct Reader<'a> {
    keys: Keys<'a>,
    traits: &'a Traits,
    d_head: usize,
    max_seq: usize,
}

impl Reader<'_> {
    fn table(&self, parameters: &Map<String, Value>, theta: f64) -> Result<Rotary, ConfigError> {
        let inner = Keys(parameters);
        let fraction_key = self.traits.keys.rotary_fraction;
        let fraction = match inner.positive("partial_rotary_factor")? {
            Some(fraction) => fraction,
            None => {
                let default = self.traits.defaults.rotary_fraction;
                self.keys.positive(fraction_key)?.unwrap_or(default)
            }
        };
        let d_rotated = (self.d_head as f64 * fraction) as usize;
        if d_rotated < 2 || d_rotated > self.d_head || !d_rotated.is_multiple_of(2) {
            return Err(ConfigError::Invalid {
                key: "head_dim",
                found: format!("{}, of which {d_rotated} are rotated", self.d_head),
                expected: "an even number of rotated dimensions",
            });
        }
        let theta = inner.positive("rope_theta")?.unwrap_or(theta);
        Ok(Rotary { theta, d_rotated, scaling: self.scaling(parameters, d_rotated)? })
    }

    fn scaling(
        &self,
        parameters: &Map<String, Value>,
        d_rotated: usize,
    ) -> Result<RopeScaling, ConfigError> {
        let inner = Keys(parameters);
        let required = |key| inner.positive(key)?.ok_or(ConfigError::Missing { key });
        let kind = inner.present("rope_type").or_else(|| inner.present("type"));
        match kind.map_or(Some("default"), Value::as_str) {
            // Dynamic scaling begins beyond the model's window, where no text is taken.
            Some("default" | "dynamic") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: required("factor")? }),
            Some("llama3") => {
                let (low, high) = (required("low_freq_factor")?, required("high_freq_factor")?);
                if low >= high {
                    let found = Value::from(high);
                    return Err(invalid("high_freq_factor", &found, "more than low_freq_factor"));
                }
                Ok(RopeScaling::Llama3 {
                    factor: required("factor")?,
                    low,
                    high,
                    original_seq: inner.size("original_max_position_embeddings")?,
                })
            }
            Some("longrope" | "su") => self.long_rope(inner, d_rotated),
            _ => Err(ConfigError::Unsupported {
                key: "rope_scaling",
                value: Value::Object(parameters.clone()).to_string(),
                expected: "rope_type \"default\", \"linear\", \"dynamic\", \"llama3\" or \"longrope\"",
            }),
        }
    }

    fn long_rope(&self, inner: Keys<'_>, d_rotated: usize) -> Result<RopeScaling, ConfigError> {
        const ORIGINAL: &str = "original_max_position_embeddings";
        let factors = |key| {
            let value = inner.present(key).ok_or(ConfigError::Missing { key })?;
            let list = value.as_array().filter(|list| list.len() == d_rotated / 2);
            let list = list.ok_or_else(|| invalid(key, value, "a number for each rotated pair"))?;
            list.iter().map(|value| positive(key, value)).collect::<Result<Vec<_>, _>>()
        };
        let original = if inner.present(ORIGINAL).is_some() { inner } else { self.keys };
        let original_seq = original.size_or(ORIGINAL, Some(self.max_seq))?;
        let factor = match inner.positive("factor")? {
            Some(factor) if self.keys.present(ORIGINAL).is_none() => factor,
            _ => self.max_seq as f64 / original_seq as f64,
        };
        let magnitude = match inner.positive("attention_factor")? {
            Some(magnitude) => magnitude,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / (original_seq as f64).ln()).sqrt(),
        };
        Ok(RopeScaling::LongRope {
            short: factors("short_factor")?,
            long: factors("long_factor")?,
            original_seq,
            magnitude,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_slows_only_the_slow_pairs() {
        let plain = Rotary { theta: 1e4, d_rotated: 8, scaling: RopeScaling::None };
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_seq: 64 };
        let scaled = Rotary { scaling, ..plain.clone() };
        let (plain, scaled) = (plain.frequencies(8), scaled.frequencies(8));
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[3] / scaled[3] - 8.0).abs() < 1e-5);
    }

    #[test]
    fn long_texts_have_other_factors() {
        let scaling = RopeScaling::LongRope {
            short: vec![1.0, 1.0],
            long: vec![2.0, 4.0],
            original_seq: 16,
            magnitude: 1.2,
        };
        let rotary = Rotary { theta: 1e4, d_rotated: 4, scaling };
        assert_eq!(rotary.frequencies(16)[0], 1.0);
        assert_eq!(rotary.frequencies(17)[0], 0.5);
    }
}
