//! Differences between the layers of one model, and how `config.json` expresses them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConfigError;
use super::keys::{Keys, invalid};
use crate::architecture::{PositionRule, Traits, WindowRule};

/// Attention settings that may differ between layers. They move with the layer when it gets another
/// index: deriving them from the new index would change the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LayerKind {
    /// Size of the sliding window, the query itself included; `None` for full attention.
    pub window: Option<usize>,
    /// Index in [`super::ModelConfig::rotary`] of the rotary embedding; `None` for none.
    pub rotary: Option<usize>,
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The kind of each of `n_layers` layers.
///
/// # Errors
/// [`ConfigError`] names a list of the wrong length, an unsupported kind of attention, or a key
/// that contradicts another one.
pub(super) fn read(
    keys: Keys<'_>,
    traits: &Traits,
    n_layers: usize,
) -> Result<Vec<LayerKind>, ConfigError> {
    let types = types(keys, n_layers)?;
    let is_rotated = is_rotated(keys, traits, n_layers)?;
    let window = window(keys, traits)?;
    let by_rule = by_rule(keys, traits, window.is_some(), &is_rotated)?;
    let is_listed = |layer: usize| types.as_ref().map(|types| types[layer] == SLIDING);
    let kind = |layer: usize| {
        let is_windowed = match is_listed(layer) {
            // For these architectures transformers ignores the list.
            Some(listed) if matches!(traits.windows, WindowRule::None | WindowRule::All) => {
                if listed != by_rule[layer] {
                    return Err(contradicted(listed, traits));
                }
                listed
            }
            Some(listed) => listed,
            None => by_rule[layer],
        };
        let table = match traits.positions {
            PositionRule::RotaryByWindow | PositionRule::RotaryScaledWithoutWindow => {
                usize::from(is_windowed)
            }
            _ => 0,
        };
        let window = match (is_windowed, window) {
            (true, None) => return Err(no_window(keys, traits)),
            (is_windowed, window) => window.filter(|_| is_windowed),
        };
        Ok(LayerKind { window, rotary: is_rotated[layer].then_some(table) })
    };
    (0..n_layers).map(kind).collect()
}

/// Which layers have a window if there is no `layer_types`.
fn by_rule(
    keys: Keys<'_>,
    traits: &Traits,
    has_window: bool,
    is_rotated: &[bool],
) -> Result<Vec<bool>, ConfigError> {
    let layers = 0..is_rotated.len() as u64;
    Ok(match traits.windows {
        WindowRule::None => vec![false; is_rotated.len()],
        WindowRule::All | WindowRule::AllUnlessListed => vec![has_window; is_rotated.len()],
        WindowRule::WithoutRope => {
            is_rotated.iter().map(|is_rotated| has_window && !is_rotated).collect()
        }
        WindowRule::FromLayer => {
            let first = keys.count_or("max_window_layers", 28)?;
            layers.map(|layer| has_window && layer >= first).collect()
        }
        WindowRule::AllButEach(key, default) => {
            let n = key.map(|key| keys.size_or(key, Some(default))).transpose()?;
            let n = n.unwrap_or(default) as u64;
            layers.map(|layer| !(layer + 1).is_multiple_of(n)).collect()
        }
    })
}

fn contradicted(listed: bool, traits: &Traits) -> ConfigError {
    ConfigError::Unsupported {
        key: "layer_types",
        value: format!("{:?}", if listed { SLIDING } else { FULL }),
        expected: match traits.windows {
            WindowRule::None => {
                "\"full_attention\" for every layer: this architecture has no windows"
            }
            _ => {
                "the same for every layer, consistent with sliding_window: this architecture \
                 ignores layer_types"
            }
        },
    }
}

/// The error for a windowed layer without a window size.
fn no_window(keys: Keys<'_>, traits: &Traits) -> ConfigError {
    let found = |key: &str| keys.0.get(key).map_or_else(|| "absent".to_owned(), Value::to_string);
    const IN_USE: &str = "use_sliding_window";
    let may_be_off = matches!(traits.windows, WindowRule::FromLayer | WindowRule::WithoutRope);
    if may_be_off && keys.present(IN_USE) != Some(&Value::Bool(true)) {
        let expected = "true, because layer_types has \"sliding_attention\"";
        return ConfigError::Unsupported { key: IN_USE, value: found(IN_USE), expected };
    }
    ConfigError::Invalid {
        key: "sliding_window",
        found: found("sliding_window"),
        expected: "a number, because layers have \"sliding_attention\"",
    }
}

/// The inverse of [`read`], for a new sequence of layers.
pub(super) fn write(json: &mut Map<String, Value>, traits: &Traits, layers: &[LayerKind]) {
    if let Some(window) = layers.iter().find_map(|layer| layer.window) {
        json.insert("sliding_window".into(), window.into());
        if matches!(traits.windows, WindowRule::FromLayer | WindowRule::WithoutRope) {
            json.insert("use_sliding_window".into(), true.into());
        }
    }
    if json.contains_key("max_window_layers") {
        // For programs that do not read `layer_types`: the number of layers before the first
        // windowed one.
        let old = json.get("max_window_layers").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let n_before = match layers.iter().position(|layer| layer.window.is_some()) {
            Some(first) => first as u64,
            None => old.min(layers.len() as u64),
        };
        json.insert("max_window_layers".into(), n_before.into());
    }
    if traits.positions == PositionRule::RotaryInSomeLayers {
        let flags = layers.iter().map(|layer| u64::from(layer.rotary.is_some()));
        json.insert("no_rope_layers".into(), flags.collect());
    }
    // The old list, which may have the wrong length, is removed before reading.
    let is_listed = json.remove("layer_types").is_some();
    let by_rule = read(Keys(json), traits, layers.len());
    if is_listed || !by_rule.is_ok_and(|by_rule| by_rule == layers) {
        let name = |layer: &LayerKind| if layer.window.is_some() { SLIDING } else { FULL };
        json.insert("layer_types".into(), layers.iter().map(name).collect());
    }
}

fn types<'a>(keys: Keys<'a>, n_layers: usize) -> Result<Option<Vec<&'a str>>, ConfigError> {
    let Some(types) = keys.by_layer("layer_types", n_layers)? else { return Ok(None) };
    let name = |value: &'a Value| match value.as_str() {
        Some(name @ (FULL | SLIDING)) => Ok(name),
        _ => Err(ConfigError::Unsupported {
            key: "layer_types",
            value: value.to_string(),
            expected: "\"full_attention\" or \"sliding_attention\"",
        }),
    };
    types.iter().map(name).collect::<Result<_, _>>().map(Some)
}

fn is_rotated(keys: Keys<'_>, traits: &Traits, n_layers: usize) -> Result<Vec<bool>, ConfigError> {
    match traits.positions {
        PositionRule::Rotary
        | PositionRule::RotaryByWindow
        | PositionRule::RotaryScaledWithoutWindow => Ok(vec![true; n_layers]),
        PositionRule::Learned => Ok(vec![false; n_layers]),
        PositionRule::RotaryInSomeLayers => {
            if let Some(flags) = keys.by_layer("no_rope_layers", n_layers)? {
                let flag = |value: &Value| match value.as_u64() {
                    Some(flag @ (0 | 1)) => Ok(flag == 1),
                    _ => Err(invalid("no_rope_layers", value, "0 or 1 for each layer")),
                };
                return flags.iter().map(flag).collect();
            }
            let interval = keys.size_or("no_rope_layer_interval", Some(4))?;
            Ok((1..=n_layers).map(|number| !number.is_multiple_of(interval)).collect())
        }
    }
}

fn window(keys: Keys<'_>, traits: &Traits) -> Result<Option<usize>, ConfigError> {
    const KEY: &str = "sliding_window";
    let is_in_use = match traits.windows {
        WindowRule::None => false,
        WindowRule::All | WindowRule::AllUnlessListed | WindowRule::AllButEach(..) => true,
        WindowRule::FromLayer | WindowRule::WithoutRope => {
            keys.flag("use_sliding_window", false)?
        }
    };
    // A null means no window; only an absent key means the default.
    match keys.0.get(KEY) {
        _ if !is_in_use => Ok(None),
        Some(Value::Null) => Ok(None),
        Some(_) => keys.size(KEY).map(Some),
        None => Ok(traits.defaults.window),
    }
}
