//! The memory that a model's weights take, by part.

use std::collections::BTreeMap;

use super::LanguageModel;
use super::packed::Packs;
use super::parameters::for_each;

/// Bytes of the weights of a model's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartBytes {
    pub embedding: u64,
    /// First layer first.
    pub layers: Vec<u64>,
    /// The final norm, and the transform of a masked language model.
    pub norm: u64,
    /// 0 if the head is tied to the embedding.
    pub head: u64,
}

impl LanguageModel {
    /// Bytes of the weights as they are in memory: f32, or the format that a matrix is packed in.
    pub fn part_bytes(&self) -> PartBytes {
        let mut clone = self.clone();
        let packed: BTreeMap<String, u64> = clone
            .packed_mut()
            .into_iter()
            .filter_map(|(path, slot)| Some((path, slot.n_bytes()?)))
            .collect();
        let mut bytes = PartBytes { layers: vec![0; self.n_layers()], ..PartBytes::default() };
        for_each(self, |parameter, _| {
            let wide = parameter.shape.iter().product::<usize>() * size_of::<f32>();
            let n_bytes = packed.get(&parameter.path).copied().unwrap_or(wide as u64);
            let mut names = parameter.path.split('.');
            match (names.next(), names.next().and_then(|name| name.parse::<usize>().ok())) {
                (Some("embedding"), _) => bytes.embedding += n_bytes,
                (Some("layers"), Some(layer)) => bytes.layers[layer] += n_bytes,
                (Some("head"), _) => bytes.head += n_bytes,
                _ => bytes.norm += n_bytes,
            }
        });
        bytes
    }
}
