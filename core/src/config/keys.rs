//! Typed access to the keys of a `config.json`.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::ConfigError;
use crate::architecture::{Bias, Traits};

/// Larger than any size in a model; a hostile file must not make us allocate that much memory.
pub(super) const MAX_SIZE: u64 = 1 << 24;

/// More layers than any model has.
const MAX_LAYERS: usize = 4096;

/// The keys of one file.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Keys<'a> {
    pub(super) fn present(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn size(&self, key: &'static str) -> Result<usize, ConfigError> {
        let value = self.present(key).ok_or(ConfigError::Missing { key })?;
        match value.as_u64() {
            Some(size @ 1..=MAX_SIZE) => Ok(size as usize),
            _ => Err(invalid(key, value, "a whole number from 1 to 16777216")),
        }
    }

    pub(super) fn size_or(
        &self,
        key: &'static str,
        default: Option<usize>,
    ) -> Result<usize, ConfigError> {
        match default {
            Some(default) if self.present(key).is_none() => Ok(default),
            _ => self.size(key),
        }
    }

    pub(super) fn n_layers(&self, key: &'static str) -> Result<usize, ConfigError> {
        match self.size(key)? {
            n_layers @ ..=MAX_LAYERS => Ok(n_layers),
            found => Err(invalid(key, &found.into(), "a whole number from 1 to 4096")),
        }
    }

    pub(super) fn positive(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        self.present(key).map(|value| positive(key, value)).transpose()
    }

    /// A null means false, and is rejected where the default is true.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) if !default => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| invalid(key, value, "true or false")),
        }
    }

    /// A non-negative integer.
    pub(super) fn count_or(&self, key: &'static str, default: u64) -> Result<u64, ConfigError> {
        match self.present(key) {
            None => Ok(default),
            Some(value) => value.as_u64().ok_or_else(|| invalid(key, value, "a whole number")),
        }
    }

    pub(super) fn bias(&self, bias: Bias) -> Result<bool, ConfigError> {
        match bias {
            Bias::Always => Ok(true),
            Bias::Never => Ok(false),
            Bias::Keys(keys) => {
                let present = keys.iter().filter(|key| self.present(key).is_some());
                let mut flags = present.map(|&key| Ok((key, self.flag(key, false)?)));
                let Some(first) = flags.next().transpose()? else { return Ok(false) };
                for other in flags {
                    let other = other?;
                    if other.1 != first.1 {
                        return Err(disagree([first.0, other.0], [first.1, other.1]));
                    }
                }
                Ok(first.1)
            }
            Bias::Unless(key) => self.flag(key, true),
        }
    }

    /// A list with one entry per layer; `None` if the key is absent.
    pub(super) fn by_layer(
        &self,
        key: &'static str,
        n_layers: usize,
    ) -> Result<Option<&'a [Value]>, ConfigError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        match value.as_array() {
            Some(list) if list.len() == n_layers => Ok(Some(list)),
            Some(list) => Err(ConfigError::Invalid {
                key,
                found: format!("a list of {}", list.len()),
                expected: "an entry for each layer",
            }),
            None => Err(invalid(key, value, "a list with an entry for each layer")),
        }
    }
}

/// Renames aliases to the keys of the architecture's config.
///
/// # Errors
/// [`ConfigError::Disagree`] if a key and its alias have different values.
pub(super) fn replace_aliases(
    json: &mut Map<String, Value>,
    traits: &Traits,
) -> Result<(), ConfigError> {
    for &(alias, key) in traits.aliases {
        let Some(value) = json.remove(alias) else { continue };
        match json.get(key).filter(|value| !value.is_null()) {
            Some(other) if *other != value && !value.is_null() => {
                return Err(disagree([alias, key], [value.to_string(), other.to_string()]));
            }
            Some(_) => {}
            None => {
                json.insert(key.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn disagree<V: Display>(keys: [&str; 2], values: [V; 2]) -> ConfigError {
    ConfigError::Disagree {
        keys: format!("{} and {}", keys[0], keys[1]),
        values: format!("{} and {}", values[0], values[1]),
    }
}

pub(super) fn positive(key: &'static str, value: &Value) -> Result<f64, ConfigError> {
    match value.as_f64() {
        Some(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(invalid(key, value, "a positive number")),
    }
}

pub(super) fn invalid(key: &'static str, value: &Value, expected: &'static str) -> ConfigError {
    ConfigError::Invalid { key, found: value.to_string(), expected }
}
