//! Typed access to the keys of a `config.json`.

use serde_json::{Map, Value};

use super::ConfigError;
use crate::architecture::Bias;

/// Larger sizes than any model has; a hostile file must not make us reserve memory for them.
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

    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.present(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| invalid(key, value, "true or false")),
        }
    }

    pub(super) fn bias(&self, bias: Bias) -> Result<bool, ConfigError> {
        match bias {
            Bias::Always => Ok(true),
            Bias::Never => Ok(false),
            Bias::Key(key) => self.flag(key, false),
            Bias::Unless(key) => self.flag(key, true),
        }
    }

    /// A list with an entry for each layer; `None` when the key is absent.
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

pub(super) fn positive(key: &'static str, value: &Value) -> Result<f64, ConfigError> {
    match value.as_f64() {
        Some(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(invalid(key, value, "a positive number")),
    }
}

pub(super) fn invalid(key: &'static str, value: &Value, expected: &'static str) -> ConfigError {
    ConfigError::Invalid { key, found: value.to_string(), expected }
}
