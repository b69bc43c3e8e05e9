//! The sizes of members: in parameters, in files, on a device.

use std::collections::HashSet;

use boomerang_core::plan::{Patch, Recipe};
use serde::{Deserialize, Serialize};

use super::FamilyCard;

/// The size of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSize {
    pub n_layers: usize,
    pub n_params: u64,
    /// As stored in the bundle.
    pub n_bytes: u64,
}

impl FamilyCard {
    pub fn size(&self, patch: &Patch) -> MemberSize {
        let recipe = self.manifest.plan.recipe(patch);
        let n_params = self.n_params(&recipe);
        MemberSize { n_layers: recipe.layers.len(), n_params, n_bytes: self.n_bytes(&recipe) }
    }

    /// The largest matrix, in bytes on a GPU, with 32 bits per weight.
    pub fn largest_tensor_bytes(&self) -> u64 {
        let rows = self.config.vocab.max(self.config.d_ff);
        (rows as u64).saturating_mul(self.config.d_model as u64).saturating_mul(4)
    }

    /// The largest matrix, in bytes of its file.
    pub fn largest_stored_bytes(&self) -> u64 {
        self.largest_tensor_bytes() / 32 * u64::from(self.bits_per_param())
    }

    /// Whether the program for the CPU keeps matrices in memory as their files have them.
    pub fn stays_packed(&self) -> bool {
        self.manifest.stays_packed(&self.config)
    }

    /// Bytes on the CPU for the smallest size of the bundle's path, for the two smallest together, and so
    /// on; shared weights count once.
    pub fn bytes_of_each(&self) -> Vec<u64> {
        let Self { config, manifest, .. } = self;
        let mut seen = HashSet::new();
        let bits_per_param =
            if self.stays_packed() { u64::from(self.bits_per_param()) } else { 32 };
        let mut n_params = 0_u64;
        let with = |patch: &Patch| {
            let recipe = manifest.plan.recipe(patch);
            for owner in [recipe.embedding, recipe.head] {
                let files = manifest.of(owner);
                if seen.insert(&files.ends.path) {
                    n_params += config.n_end_params(files.tied);
                }
            }
            for source in recipe.layers {
                let (owner, layer) = source.place();
                let file = manifest.of(owner).layers.get(layer);
                if file.is_some_and(|file| seen.insert(&file.path)) {
                    n_params += config.n_layer_params();
                }
            }
            n_params.saturating_mul(bits_per_param) / 8
        };
        self.measured_path.iter().map(with).collect()
    }

    /// As the last of [`FamilyCard::bytes_of_each`] for the `n_sizes` smallest sizes.
    pub fn bytes_in_memory(&self, n_sizes: usize) -> u64 {
        n_sizes.checked_sub(1).and_then(|last| self.bytes_of_each().get(last).copied()).unwrap_or(0)
    }

    /// Bytes of the files of the `n_sizes` smallest sizes of the bundle's path, with the tokenizer.
    pub fn bytes_to_load(&self, n_sizes: usize) -> u64 {
        let mut seen = HashSet::new();
        let files = self.measured_path.iter().take(n_sizes);
        let files = files.flat_map(|patch| self.manifest.files_of(patch));
        files.filter(|file| seen.insert(&file.path)).map(|file| file.bytes).sum()
    }

    fn n_params(&self, recipe: &Recipe) -> u64 {
        self.config.n_params_of(recipe.layers.len(), self.shares_matrix(recipe))
    }

    /// Whether embedding and head are one matrix.
    fn shares_matrix(&self, recipe: &Recipe) -> bool {
        let is_same = recipe.embedding == recipe.head || self.manifest.shares_ends();
        is_same && self.manifest.of(recipe.head).tied
    }

    /// Bytes of the layers' files, and the member's share of the ends' files.
    fn n_bytes(&self, recipe: &Recipe) -> u64 {
        let Self { config, manifest, .. } = self;
        let layers = recipe.layers.iter().filter_map(|source| {
            let (owner, layer) = source.place();
            manifest.of(owner).layers.get(layer)
        });
        let bytes_per_param = [recipe.embedding, recipe.head].map(|owner| {
            let files = manifest.of(owner);
            files.ends.bytes as f64 / config.n_end_params(files.tied) as f64
        });
        let n_end_params = config.n_end_params(self.shares_matrix(recipe));
        let ends = bytes_per_param.iter().sum::<f64>() / 2.0 * n_end_params as f64;
        layers.map(|file| file.bytes).sum::<u64>() + ends.round() as u64
    }

    /// Whether a patch needs only files of the `n_sizes` smallest sizes of the bundle's path.
    pub fn is_within(&self, patch: &Patch, n_sizes: usize) -> bool {
        let of = |patch: &Patch| self.manifest.files_of(patch);
        let available: HashSet<&str> =
            self.measured_path.iter().take(n_sizes).flat_map(of).map(|file| &*file.path).collect();
        of(patch).iter().all(|file| available.contains(&*file.path))
    }

    /// Bits per weight in the files.
    pub fn bits_per_param(&self) -> u32 {
        self.manifest.bits_per_param(&self.config)
    }
}
