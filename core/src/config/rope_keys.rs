//! The parameters of rotary embeddings in `config.json`: transformers 4 has separate keys and
//! `rope_scaling`, transformers 5 a single object `rope_parameters`.
//!
//! A file may have both. It is accepted if both versions of transformers compute the same from it,
//! or if it has only the keys of one; otherwise the error shows both readings.

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
/// Keys that say nothing about a scaling.
const OF_ANY_KIND: [&str; 3] = ["rope_theta", "partial_rotary_factor", ORIGINAL];

/// The rotary embeddings of a model: none for learned positions, two if windowed layers have
/// another base.
///
/// # Errors
/// [`ConfigError`] names an unsupported variant, a missing parameter, or two keys that disagree.
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
        let table = reader.merged(&older, &newer, theta)?;
        let unscaled = Rotary { scaling: RopeScaling::None, ..table.clone() };
        return Ok(match traits.positions {
            PositionRule::RotaryScaledWithoutWindow => vec![table, unscaled],
            _ => vec![table],
        });
    }
    if !by_kind && !newer.is_empty() {
        return Err(unsupported(&newer, "parameters for full_attention and sliding_attention"));
    }
    let full = object(Keys(&newer), FULL)?;
    // For this architecture transformers 5 merges the old key into the new ones.
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

/// The object under a key; empty if the key is absent.
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

/// The top-level key of a base, and its default.
type Theta = (&'static str, f64);

struct Reader<'a> {
    keys: Keys<'a>,
    traits: &'a Traits,
    d_head: usize,
    max_seq: usize,
}

impl Reader<'_> {
    /// The rotary embedding from `rope_scaling` and `rope_parameters`, of which both may be
    /// present.
    fn merged(
        &self,
        older: &Map<String, Value>,
        newer: &Map<String, Value>,
        theta: Theta,
    ) -> Result<Rotary, ConfigError> {
        if older.is_empty() {
            return self.table(newer, PARAMETERS, theta);
        }
        // transformers 4 does not read `rope_parameters`, and in transformers 5 `rope_scaling`
        // overrides it.
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
        source: &'static str,
        theta: Theta,
    ) -> Result<Rotary, ConfigError> {
        let inner = Keys(parameters);
        let kind = self.kind(parameters, source)?;
        let fraction = self.fraction(inner, source, kind)?;
        let d_rotated = (self.d_head as f64 * fraction) as usize;
        if d_rotated < 2 || d_rotated > self.d_head || !d_rotated.is_multiple_of(2) {
            return Err(ConfigError::Invalid {
                key: "head_dim",
                found: format!("{}, of which {d_rotated} are rotated", self.d_head),
                expected: "an even number of rotated dimensions",
            });
        }
        let theta = self.either(inner, "rope_theta", source, theta.0, theta.1)?;
        Ok(Rotary { theta, d_rotated, scaling: self.scaling(inner, source, kind, d_rotated)? })
    }

    /// A value that transformers 5 reads from `rope_parameters` and transformers 4 from a top-level
    /// key.
    fn either(
        &self,
        inner: Keys<'_>,
        inner_key: &'static str,
        source: &'static str,
        key: &'static str,
        default: f64,
    ) -> Result<f64, ConfigError> {
        match (inner.positive(inner_key)?, self.keys.positive(key)?) {
            (Some(newer), Some(older)) if newer != older => Err(two_readings(key, older, newer)),
            (Some(newer), None) if source == SCALING && newer != default => {
                Err(two_readings(key, default, newer))
            }
            (newer, older) => Ok(newer.or(older).unwrap_or(default)),
        }
    }

    fn fraction(
        &self,
        inner: Keys<'_>,
        source: &'static str,
        kind: &str,
    ) -> Result<f64, ConfigError> {
        const KEY: &str = "partial_rotary_factor";
        if let Some(key) = self.traits.keys.rotary_fraction {
            return self.either(inner, KEY, source, key, self.traits.defaults.rotary_fraction);
        }
        // For architectures that rotate whole heads only the scalings read the key, and the result
        // does not match the heads.
        let found = inner.present(KEY).or(self.keys.present(KEY));
        match found.filter(|found| kind != "default" && found.as_f64() != Some(1.0)) {
            None => Ok(1.0),
            Some(found) => Err(ConfigError::Unsupported {
                key: KEY,
                value: found.to_string(),
                expected: "1, because this architecture rotates whole heads",
            }),
        }
    }

    /// The name of the scaling, checked to be supported for the architecture.
    fn kind<'p>(
        &self,
        parameters: &'p Map<String, Value>,
        source: &'static str,
    ) -> Result<&'p str, ConfigError> {
        let inner = Keys(parameters);
        let (newer, older) = (inner.present("rope_type"), inner.present("type"));
        if let (Some(newer), Some(older)) = (newer, older)
            && newer != older
        {
            return Err(two_readings(&format!("{source}'s rope_type and type"), older, newer));
        }
        // Without `rope_type` the embeddings are not scaled. Where a scaling's parameters stand without
        // it, transformers 4 raises an error and transformers 5 ignores them.
        let is_unscaled = || parameters.keys().all(|key| OF_ANY_KIND.contains(&key.as_str()));
        let kind = match newer.or(older) {
            Some(kind) => kind.as_str(),
            None => is_unscaled().then_some("default"),
        };
        let kind = kind.filter(|kind| self.traits.rope_types.contains(kind));
        kind.ok_or_else(|| ConfigError::RopeType {
            key: source,
            value: Value::Object(parameters.clone()).to_string(),
            expected: self.traits.rope_types.join(", "),
        })
    }

    fn scaling(
        &self,
        inner: Keys<'_>,
        source: &'static str,
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
            "longrope" | "su" => self.long_rope(inner, source, d_rotated),
            "yarn" => self.yarn(inner),
            // `default`, the only other name.
            _ => Ok(RopeScaling::None),
        }
    }

    /// As transformers' `_compute_yarn_parameters` reads it.
    fn yarn(&self, inner: Keys<'_>) -> Result<RopeScaling, ConfigError> {
        let factor = inner.positive("factor")?.ok_or(ConfigError::Missing { key: "factor" })?;
        let original_seq = match inner.present(ORIGINAL) {
            Some(_) => inner.size(ORIGINAL)?,
            None => self.max_seq,
        };
        let outer = self.keys.size_or(ORIGINAL, Some(original_seq))?;
        if outer != original_seq {
            return Err(two_readings(ORIGINAL, original_seq, outer));
        }
        let by = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let scales = (inner.positive("mscale")?, inner.positive("mscale_all_dim")?);
        let magnitude = match (inner.positive("attention_factor")?, scales) {
            (Some(magnitude), _) => magnitude,
            (None, (Some(scale), Some(of_all))) => by(scale) / by(of_all),
            (None, _) => by(1.0),
        };
        let [fast, slow] = [
            inner.positive("beta_fast")?.unwrap_or(32.0),
            inner.positive("beta_slow")?.unwrap_or(1.0),
        ];
        let truncates = inner.flag("truncate", true)?;
        Ok(RopeScaling::Yarn { factor, fast, slow, original_seq, magnitude, truncates })
    }

    fn long_rope(
        &self,
        inner: Keys<'_>,
        source: &'static str,
        d_rotated: usize,
    ) -> Result<RopeScaling, ConfigError> {
        let factors = |key| {
            let value = inner.present(key).ok_or(ConfigError::Missing { key })?;
            let list = value.as_array().filter(|list| list.len() == d_rotated / 2);
            let list = list.ok_or_else(|| invalid(key, value, "a number for each rotated pair"))?;
            list.iter().map(|value| positive(key, value)).collect::<Result<Vec<_>, _>>()
        };
        let size = |keys: Keys<'_>| keys.present(ORIGINAL).map(|_| keys.size(ORIGINAL)).transpose();
        // Both versions prefer the top-level key, and only transformers 5 reads the inner one.
        let outer = size(self.keys)?.or(self.traits.defaults.original_seq);
        let original_seq = match (outer, size(inner)?) {
            (Some(outer), _) => outer,
            (None, Some(found)) if source == SCALING && found != self.max_seq => {
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
