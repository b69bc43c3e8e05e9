//! Where `config.json` has the parameters of rotary embeddings: transformers 4 in keys of their own
//! beside `rope_scaling`, transformers 5 all in `rope_parameters`.
//!
//! A file may have both. It is read when the two generations compute the same from it, or when it
//! has only what one of them writes; otherwise it is refused with both readings.

use serde_json::{Map, Value};

use super::ConfigError;
use super::keys::{Keys, invalid, positive};
use super::rotary::{RopeScaling, Rotary};
use crate::architecture::{PositionRule, Traits};

const SCALING: &str = "rope_scaling";
const PARAMETERS: &str = "rope_parameters";
const ORIGINAL: &str = "original_max_position_embeddings";
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The tables of a model: none for learned positions, a second one where windowed layers have
/// another base.
///
/// # Errors
/// [`ConfigError`] names a variant that is not supported, a parameter that is missing, or two keys
/// that disagree.
pub(super) fn read(
    keys: Keys<'_>,
    traits: &Traits,
    d_head: usize,
    max_seq: usize,
) -> Result<Vec<Rotary>, ConfigError> {
    if traits.positions == PositionRule::Learned {
        return Ok(Vec::new());
    }
    let reader = Reader { keys, traits, d_head, max_seq };
    let (older, newer) = (object(keys, SCALING)?, object(keys, PARAMETERS)?);
    let by_kind = [FULL, SLIDING].iter().any(|kind| newer.contains_key(*kind));
    if traits.positions != PositionRule::RotaryByWindow {
        if by_kind {
            return Err(unsupported(&newer, "one set of parameters for all layers"));
        }
        let theta = (traits.keys.rope_theta, traits.defaults.rope_theta);
        return Ok(vec![reader.merged(&older, &newer, theta)?]);
    }
    if !by_kind && !newer.is_empty() {
        return Err(unsupported(&newer, "parameters for full_attention and sliding_attention"));
    }
    let full = object(Keys(&newer), FULL)?;
    // In this family transformers 5 adds the older key to the newer ones.
    let both = full.iter().chain(&older).map(|(key, value)| (key.clone(), value.clone())).collect();
    let theta = (traits.keys.rope_theta, traits.defaults.rope_theta);
    let global = match (older.is_empty(), full.is_empty()) {
        (false, false) => reader.merged(&older, &both, theta)?,
        _ => reader.merged(&older, &full, theta)?,
    };
    let local = object(Keys(&newer), SLIDING)?;
    let local = reader.merged(&Map::new(), &local, ("rope_local_base_freq", 10_000.0))?;
    Ok(vec![global, local])
}

/// Empty for a key that is not there.
fn object(keys: Keys<'_>, key: &'static str) -> Result<Map<String, Value>, ConfigError> {
    match keys.present(key) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(value) => Err(invalid(key, value, "an object")),
    }
}

fn unsupported(parameters: &Map<String, Value>, expected: &'static str) -> ConfigError {
    let value = Value::Object(parameters.clone()).to_string();
    ConfigError::Unsupported { key: PARAMETERS, value, expected }
}

fn two_readings(what: &str, older: impl ToString, newer: impl ToString) -> ConfigError {
    let (older, newer) = (older.to_string(), newer.to_string());
    ConfigError::TwoReadings { what: what.to_owned(), older, newer }
}

/// The key under which a base is kept outside of objects, and what a file without it means.
type Theta = (&'static str, f64);

struct Reader<'a> {
    keys: Keys<'a>,
    traits: &'a Traits,
    d_head: usize,
    max_seq: usize,
}

impl Reader<'_> {
    /// The table, where `rope_scaling` and `rope_parameters` may both be there.
    fn merged(
        &self,
        older: &Map<String, Value>,
        newer: &Map<String, Value>,
        theta: Theta,
    ) -> Result<Rotary, ConfigError> {
        if older.is_empty() {
            return self.table(newer, PARAMETERS, theta);
        }
        // transformers 4 knows no `rope_parameters`, and in 5 `rope_scaling` takes their place.
        let table = self.table(older, SCALING, theta)?;
        if newer.is_empty() {
            return Ok(table);
        }
        match self.table(newer, PARAMETERS, theta)? {
            other if other == table => Ok(table),
            other => Err(ConfigError::Disagree {
                keys: format!("{SCALING} and {PARAMETERS}"),
                values: format!("{table} and {other}"),
            }),
        }
    }

    fn table(
        &self,
        parameters: &Map<String, Value>,
        place: &'static str,
        theta: Theta,
    ) -> Result<Rotary, ConfigError> {
        let inner = Keys(parameters);
        let kind = self.kind(parameters, place)?;
        let fraction = self.fraction(inner, place, kind)?;
        let d_rotated = (self.d_head as f64 * fraction) as usize;
        if d_rotated < 2 || d_rotated > self.d_head || !d_rotated.is_multiple_of(2) {
            return Err(ConfigError::Invalid {
                key: "head_dim",
                found: format!("{}, of which {d_rotated} are rotated", self.d_head),
                expected: "an even number of rotated dimensions",
            });
        }
        let theta = self.either(inner, "rope_theta", place, theta.0, theta.1)?;
        Ok(Rotary { theta, d_rotated, scaling: self.scaling(inner, place, kind, d_rotated)? })
    }

    /// A number that is in `parameters` for transformers 5, and for 4 under a key of its own.
    fn either(
        &self,
        inner: Keys<'_>,
        inner_key: &'static str,
        place: &'static str,
        key: &'static str,
        default: f64,
    ) -> Result<f64, ConfigError> {
        match (inner.positive(inner_key)?, self.keys.positive(key)?) {
            (Some(newer), Some(older)) if newer != older => Err(two_readings(key, older, newer)),
            (Some(newer), None) if place == SCALING && newer != default => {
                Err(two_readings(key, default, newer))
            }
            (newer, older) => Ok(newer.or(older).unwrap_or(default)),
        }
    }

    fn fraction(
        &self,
        inner: Keys<'_>,
        place: &'static str,
        kind: &str,
    ) -> Result<f64, ConfigError> {
        const KEY: &str = "partial_rotary_factor";
        if let Some(key) = self.traits.keys.rotary_fraction {
            return self.either(inner, KEY, place, key, self.traits.defaults.rotary_fraction);
        }
        // Of the families that rotate whole heads only the scalings look at the key, and the heads
        // do not fit what they make of it.
        let found = inner.present(KEY).or(self.keys.present(KEY));
        match found.filter(|found| kind != "default" && found.as_f64() != Some(1.0)) {
            None => Ok(1.0),
            Some(found) => Err(ConfigError::Unsupported {
                key: KEY,
                value: found.to_string(),
                expected: "1, because this family rotates whole heads",
            }),
        }
    }

    /// The scaling's name, one of the family's.
    fn kind<'p>(
        &self,
        parameters: &'p Map<String, Value>,
        place: &'static str,
    ) -> Result<&'p str, ConfigError> {
        let inner = Keys(parameters);
        let (newer, older) = (inner.present("rope_type"), inner.present("type"));
        if let (Some(newer), Some(older)) = (newer, older)
            && newer != older
        {
            return Err(two_readings(&format!("{place}'s rope_type and type"), older, newer));
        }
        let kind = newer.or(older).map_or(Some("default"), Value::as_str);
        let kind = kind.filter(|kind| self.traits.rope_types.contains(kind));
        kind.ok_or_else(|| ConfigError::RopeType {
            key: place,
            value: Value::Object(parameters.clone()).to_string(),
            expected: self.traits.rope_types.join(", "),
        })
    }

    fn scaling(
        &self,
        inner: Keys<'_>,
        place: &'static str,
        kind: &str,
        d_rotated: usize,
    ) -> Result<RopeScaling, ConfigError> {
        let required = |key| inner.positive(key)?.ok_or(ConfigError::Missing { key });
        match kind {
            "linear" => Ok(RopeScaling::Linear { factor: required("factor")? }),
            "dynamic" => {
                Ok(RopeScaling::Dynamic { factor: required("factor")?, window: self.max_seq })
            }
            "llama3" => {
                let (low, high) = (required("low_freq_factor")?, required("high_freq_factor")?);
                if low >= high {
                    let found = Value::from(high);
                    return Err(invalid("high_freq_factor", &found, "more than low_freq_factor"));
                }
                let original_seq = inner.size(ORIGINAL)?;
                let outer = self.keys.size_or(ORIGINAL, Some(original_seq))?;
                if outer != original_seq {
                    return Err(two_readings(ORIGINAL, original_seq, outer));
                }
                Ok(RopeScaling::Llama3 { factor: required("factor")?, low, high, original_seq })
            }
            "longrope" | "su" => self.long_rope(inner, place, d_rotated),
            // What remains of the names that families have.
            _ => Ok(RopeScaling::None),
        }
    }

    fn long_rope(
        &self,
        inner: Keys<'_>,
        place: &'static str,
        d_rotated: usize,
    ) -> Result<RopeScaling, ConfigError> {
        let factors = |key| {
            let value = inner.present(key).ok_or(ConfigError::Missing { key })?;
            let list = value.as_array().filter(|list| list.len() == d_rotated / 2);
            let list = list.ok_or_else(|| invalid(key, value, "a number for each rotated pair"))?;
            list.iter().map(|value| positive(key, value)).collect::<Result<Vec<_>, _>>()
        };
        let size = |keys: Keys<'_>| keys.present(ORIGINAL).map(|_| keys.size(ORIGINAL)).transpose();
        // Both generations prefer the key outside, and only 5 looks inside.
        let outer = size(self.keys)?.or(self.traits.defaults.original_seq);
        let original_seq = match (outer, size(inner)?) {
            (Some(outer), _) => outer,
            (None, Some(found)) if place == SCALING && found != self.max_seq => {
                return Err(two_readings(ORIGINAL, self.max_seq, found));
            }
            (None, found) => found.unwrap_or(self.max_seq),
        };
        if original_seq < 2 {
            return Err(invalid(ORIGINAL, &original_seq.into(), "at least 2"));
        }
        let ratio = self.max_seq as f64 / original_seq as f64;
        let magnitude_of = |factor: f64| {
            let magnitude = (1.0 + factor.ln() / (original_seq as f64).ln()).sqrt();
            if factor <= 1.0 { 1.0 } else { magnitude }
        };
        let magnitude = match (inner.positive("attention_factor")?, inner.positive("factor")?) {
            (Some(magnitude), _) => magnitude,
            (None, Some(factor)) if outer.is_some() && factor != ratio => {
                return Err(two_readings("the factor of longrope", ratio, factor));
            }
            (None, factor) => magnitude_of(factor.unwrap_or(ratio)),
        };
        Ok(RopeScaling::LongRope {
            short: factors("short_factor")?,
            long: factors("long_factor")?,
            original_seq,
            magnitude,
        })
    }
}
