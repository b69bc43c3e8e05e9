//! In what the layers of one model differ, and how `config.json` says so.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConfigError;
use super::keys::{Keys, invalid};
use crate::architecture::{PositionRule, Traits, WindowRule};

/// What a layer does that its neighbour may not. It stays with the layer when the layer is moved to
/// another place: renumbering by position would give another model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LayerKind {
    /// How many positions a query sees, itself included; `None` for all.
    pub window: Option<usize>,
    /// Which of [`super::ModelConfig::rotary`] turns queries and keys; `None` for none.
    pub rotary: Option<usize>,
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The kind of each of `n_layers` layers.
///
/// # Errors
/// [`ConfigError`] names the list that is too short, or the kind of attention that is not supported.
pub(super) fn read(
    keys: Keys<'_>,
    traits: &Traits,
    n_layers: usize,
) -> Result<Vec<LayerKind>, ConfigError> {
    let types = types(keys, n_layers)?;
    let is_rotated = is_rotated(keys, traits, n_layers)?;
    let window = window(keys, traits)?;
    let is_windowed = |layer: usize| match (&types, traits.windows) {
        (_, WindowRule::None) => false,
        (_, WindowRule::All) => true,
        (Some(types), _) => types[layer] == SLIDING,
        (None, WindowRule::WithoutRope) => !is_rotated[layer],
        (None, WindowRule::FromLayer) => {
            layer as u64 >= keys.present("max_window_layers").and_then(Value::as_u64).unwrap_or(28)
        }
        (None, WindowRule::AllButEach(key, default)) => {
            let n = keys.present(key).and_then(Value::as_u64).unwrap_or(default as u64).max(1);
            !(layer as u64 + 1).is_multiple_of(n)
        }
    };
    let kind = |layer: usize| {
        let window = window.filter(|_| is_windowed(layer));
        let table = match traits.positions {
            PositionRule::RotaryByWindow => usize::from(window.is_some()),
            _ => 0,
        };
        LayerKind { window, rotary: is_rotated[layer].then_some(table) }
    };
    Ok((0..n_layers).map(kind).collect())
}

/// Writes what [`read`] reads, for layers in a new arrangement.
pub(super) fn write(json: &mut Map<String, Value>, traits: &Traits, layers: &[LayerKind]) {
    let has_types = !matches!(traits.windows, WindowRule::None | WindowRule::All);
    let has_windows = layers.iter().any(|layer| layer.window.is_some());
    if json.contains_key("layer_types") || has_types && has_windows {
        let name = |layer: &LayerKind| if layer.window.is_some() { SLIDING } else { FULL };
        json.insert("layer_types".into(), layers.iter().map(name).collect());
    }
    if json.contains_key("max_window_layers") {
        // For readers that know no `layer_types`: the layers before the first one with a window.
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
        PositionRule::Rotary | PositionRule::RotaryByWindow => Ok(vec![true; n_layers]),
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
        WindowRule::All | WindowRule::AllButEach(..) => true,
        WindowRule::FromLayer | WindowRule::WithoutRope => {
            keys.flag("use_sliding_window", false)?
        }
    };
    // A null means none; only a key that is not there at all means the default.
    match keys.0.get(KEY) {
        _ if !is_in_use => Ok(None),
        Some(Value::Null) => Ok(None),
        Some(_) => keys.size(KEY).map(Some),
        None => Ok(traits.defaults.window),
    }
}
