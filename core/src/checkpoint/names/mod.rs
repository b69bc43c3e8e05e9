//! Maps parameters to Hugging Face tensor names, one table row each.

mod masked;
mod rows;

use crate::config::ModelConfig;
use rows::{Fusion, Layout, Row, Table};

/// How a parameter is stored in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Linear weights are `[d_input, d_output]` here and in most checkpoints `[d_output, d_input]`.
    pub transposed: bool,
    pub share: Share,
}

/// The share of a stored tensor's outputs that belongs to a parameter; fused tensors hold several
/// parameters.
///
/// The outputs are divided into `groups` groups of `per_group` blocks; the parameter has the blocks
/// `start..end` of every group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub groups: usize,
    pub per_group: usize,
    pub start: usize,
    pub end: usize,
}

impl Share {
    pub const WHOLE: Self = Self { groups: 1, per_group: 1, start: 0, end: 1 };

    /// Number of outputs of the stored tensor, given that of the parameter; `None` if not
    /// divisible.
    pub(super) fn n_stored(self, n_outputs: usize) -> Option<usize> {
        let n_own = self.groups * (self.end - self.start);
        n_outputs.is_multiple_of(n_own).then(|| n_outputs / n_own * self.groups * self.per_group)
    }

    /// Ranges of the stored outputs that belong to the parameter, in order.
    pub(crate) fn ranges(self, n_stored: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let group = n_stored / self.groups;
        let block = group / self.per_group;
        (0..self.groups).map(move |number| {
            number * group + self.start * block..number * group + self.end * block
        })
    }
}

/// The tensor names of one model.
#[derive(Clone, Copy, Debug)]
pub struct Names<'config> {
    table: Table,
    config: &'config ModelConfig,
}

/// Name and layout of the tensor that stores a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorLocation {
    /// The canonical tensor name, used for writing.
    pub name: String,
    /// Alternative names, accepted for reading.
    pub also: Vec<String>,
    pub storage: Storage,
}

impl TensorLocation {
    /// All accepted names, the canonical one first.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.also)
    }

    /// The stored tensor's shape, given the parameter's; `None` if the outputs are not divisible.
    pub(super) fn stored_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let (&n_outputs, inputs) = shape.split_last()?;
        let mut stored = inputs.to_vec();
        stored.push(self.storage.share.n_stored(n_outputs)?);
        if self.storage.transposed {
            stored.reverse();
        }
        Some(stored)
    }
}

impl<'config> Names<'config> {
    pub fn of(config: &'config ModelConfig) -> Self {
        Self { table: Table::of(config.architecture), config }
    }

    /// Locates a parameter in a checkpoint.
    ///
    /// `path` is a parameter of a model (`layers.3.mlp.up.weight`, `norm.gamma`) or, for the file
    /// of a single layer, of a layer (`mlp.up.weight`). `None` for an unknown path.
    pub fn find(&self, path: &str) -> Option<TensorLocation> {
        let look_up = |rows: &[Row], path: &str| {
            rows.iter().find(|row| row.0 == path).map(|&(_, name, layout)| (name, layout))
        };
        let look_up_in_layer =
            |path: &str| self.table.layer.iter().find_map(|rows| look_up(rows, path));
        let numbered = path.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
        let (name, layout) = match numbered {
            Some((number, part)) => {
                let (name, layout) = look_up_in_layer(part)?;
                (format!("{}.{number}.{name}", self.table.layer_prefix), layout)
            }
            None => {
                let found = look_up_in_layer(path).or_else(|| look_up(self.table.ends, path));
                let (name, layout) = found?;
                (name.to_owned(), layout)
            }
        };
        let with_other_prefixes = self.table.also.iter().filter_map(|(ours, theirs)| {
            name.strip_prefix(ours).map(|rest| format!("{theirs}{rest}"))
        });
        let mut also: Vec<String> = with_other_prefixes.collect();
        for (ours, theirs) in self.table.also_ending {
            let names = std::iter::once(&name).chain(&also);
            let with_other_suffixes =
                names.filter_map(|name| Some(format!("{}{theirs}", name.strip_suffix(ours)?)));
            let with_other_suffixes: Vec<String> = with_other_suffixes.collect();
            also.extend(with_other_suffixes);
        }
        Some(TensorLocation { name, also, storage: self.storage(layout) })
    }

    /// The index of the layer that a tensor belongs to, and its name inside the layer.
    pub(crate) fn in_layer<'name>(&self, name: &'name str) -> Option<(usize, &'name str)> {
        let canonical = self.table.layer_prefix;
        let others = self.table.also.iter().filter_map(|(ours, theirs)| {
            canonical.strip_prefix(ours).map(|rest| format!("{theirs}{rest}"))
        });
        let rest = std::iter::once(canonical.to_owned())
            .chain(others)
            .find_map(|prefix| name.strip_prefix(&*prefix)?.strip_prefix('.'))?;
        let (number, part) = rest.split_once('.')?;
        Some((number.parse().ok()?, part))
    }

    /// Whether a tensor with this name inside a layer stores a parameter.
    pub(crate) fn is_layer_part(&self, part: &str) -> bool {
        self.layer_paths()
            .any(|path| self.find(path).is_some_and(|found| found.names().any(|name| name == part)))
    }

    /// The canonical name of a layer's tensor, given its name inside the layer.
    pub(super) fn of_layer_part(&self, layer: usize, part: &str) -> String {
        format!("{}.{layer}.{part}", self.table.layer_prefix)
    }

    /// The part of a model that a tensor belongs to: `layers`, `embedding`, `norm`, `transform` or
    /// `head`; `None` if it is not used.
    pub fn part(&self, name: &str) -> Option<&'static str> {
        if self.in_layer(name).is_some() {
            return Some("layers");
        }
        let path = self.end_paths().find(|path| {
            self.find(path).is_some_and(|found| found.names().any(|other| other == name))
        })?;
        path.split('.').next()
    }

    /// Paths of the parameters inside a layer, including those that this model does not have.
    pub(super) fn layer_paths(&self) -> impl Iterator<Item = &'static str> {
        self.table.layer.iter().flat_map(|rows| rows.iter().map(|row| row.0))
    }

    /// Paths of the parameters outside of layers.
    pub(super) fn end_paths(&self) -> impl Iterator<Item = &'static str> {
        self.table.ends.iter().map(|row| row.0)
    }

    fn storage(&self, layout: Layout) -> Storage {
        let (transposed, fusion) = match layout {
            Layout::AsStored => return Storage { transposed: false, share: Share::WHOLE },
            Layout::Transposed => return Storage { transposed: true, share: Share::WHOLE },
            Layout::Fused(transposed, fusion) => (transposed, fusion),
        };
        let (n_heads, n_kv) = (self.config.n_heads, self.config.n_kv_heads);
        let n_all = n_heads + 2 * n_kv;
        let n_shared = n_heads / n_kv;
        let (groups, per_group, start, end) = match fusion {
            Fusion::Query => (1, n_all, 0, n_heads),
            Fusion::Key => (1, n_all, n_heads, n_heads + n_kv),
            Fusion::Value => (1, n_all, n_heads + n_kv, n_all),
            Fusion::HeadQuery => (n_heads, 3, 0, 1),
            Fusion::HeadKey => (n_heads, 3, 1, 2),
            Fusion::HeadValue => (n_heads, 3, 2, 3),
            Fusion::GroupQuery => (n_kv, n_shared + 2, 0, n_shared),
            Fusion::GroupKey => (n_kv, n_shared + 2, n_shared, n_shared + 1),
            Fusion::GroupValue => (n_kv, n_shared + 2, n_shared + 1, n_shared + 2),
            Fusion::Gate => (1, 2, 0, 1),
            Fusion::Up => (1, 2, 1, 2),
        };
        Storage { transposed, share: Share { groups, per_group, start, end } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(model_type: &str) -> ModelConfig {
        let json = serde_json::json!({
            "model_type": model_type, "vocab_size": 5, "hidden_size": 8, "intermediate_size": 6,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 2,
        });
        ModelConfig::from_json(&json.to_string()).unwrap()
    }

    #[test]
    fn a_path_names_its_tensor() {
        let config = config("qwen3");
        let names = Names::of(&config);
        let found = names.find("layers.12.mlp.up.weight").unwrap();
        assert_eq!(found.name, "model.layers.12.mlp.up_proj.weight");
        assert_eq!(found.also, ["layers.12.mlp.up_proj.weight"]);
        assert!(found.storage.transposed);
        assert_eq!(names.find("norm.gamma").unwrap().name, "model.norm.weight");
        assert_eq!(names.find("layers.0.mlp.sideways"), None);
    }

    #[test]
    fn the_first_berts_are_found_by_their_old_names() {
        let config = config("bert");
        let found = Names::of(&config).find("layers.1.mlp_sum_norm.beta").unwrap();
        assert_eq!(found.name, "bert.encoder.layer.1.output.LayerNorm.bias");
        let also =
            ["encoder", "bert.encoder"].map(|start| format!("{start}.layer.1.output.LayerNorm"));
        let expected =
            [format!("{}.bias", also[0]), format!("{}.beta", also[1]), format!("{}.beta", also[0])];
        assert_eq!(found.also, expected);
    }

    #[test]
    fn shares_of_a_tensor_cover_it_once() {
        for model_type in ["phi3", "internlm2"] {
            let config = config(model_type);
            let names = Names::of(&config);
            let share = |part: &str| {
                let path = format!("layers.0.attention.{part}.weight");
                names.find(&path).unwrap().storage.share
            };
            let mut covered: Vec<usize> = ["query", "key", "value"]
                .into_iter()
                .flat_map(|part| share(part).ranges(16).flatten())
                .collect();
            covered.sort_unstable();
            assert!(covered.into_iter().eq(0..16), "{model_type}");
        }
    }
}
