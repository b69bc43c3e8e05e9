//! Parameter counts, computed from the config.
//!
//! Counted in `u64`: `usize` has 32 bits on wasm, and models have more than four billion
//! parameters. The largest sizes that a config may hold give less than 2^63.

use super::ModelConfig;
use crate::architecture::{MlpKind, NormKind, Objective, PositionRule, QueryKeyNorm};

impl ModelConfig {
    /// Number of parameters; tied embeddings are counted once.
    pub fn n_params(&self) -> u64 {
        self.n_params_of(self.n_layers(), self.tied)
    }

    /// Number of parameters of a member with `n_layers` layers; `tied` counts one matrix for
    /// embedding and head.
    pub fn n_params_of(&self, n_layers: usize, tied: bool) -> u64 {
        self.n_end_params(tied) + n_layers as u64 * self.n_layer_params()
    }

    /// Parameters of one layer.
    pub fn n_layer_params(&self) -> u64 {
        let traits = self.traits();
        let (d_model, d_ff) = (self.d_model as u64, self.d_ff as u64);
        let d_query = (self.n_heads * self.d_head) as u64;
        let d_key = (self.n_kv_heads * self.d_head) as u64;
        let when = |condition: bool, size: u64| if condition { size } else { 0 };
        let query_key_norm = match traits.query_key_norm {
            QueryKeyNorm::None => 0,
            QueryKeyNorm::Head => 2 * self.norm_params(self.d_head as u64),
            QueryKeyNorm::All => self.norm_params(d_query) + self.norm_params(d_key),
        };
        let attention = d_model * (2 * d_query + 2 * d_key)
            + when(self.query_key_value_bias, d_query + 2 * d_key)
            + when(self.attention_output_bias, d_model);
        let n_inner = match traits.mlp {
            MlpKind::Gated => 2,
            MlpKind::Plain => 1,
        };
        let mlp = (n_inner + 1) * d_model * d_ff + when(self.mlp_bias, n_inner * d_ff + d_model);
        let norms = traits.norm;
        let n_norms = 2 * [norms.before, norms.after, norms.after_sum]
            .into_iter()
            .map(u64::from)
            .sum::<u64>();
        attention + query_key_norm + mlp + n_norms * self.norm_params(d_model)
    }

    /// Size in bytes of the KV cache for `batch` sequences of `context` positions with `n_bytes`
    /// per value; a layer with a window keeps at most that many positions. 0 for a masked language
    /// model.
    pub fn cache_bytes(&self, context: u64, batch: u64, n_bytes: u64) -> u64 {
        if self.is_masked() {
            return 0;
        }
        let n_positions = self
            .layers
            .iter()
            .map(|kind| kind.window.map_or(context, |window| context.min(window as u64)))
            .fold(0, u64::saturating_add);
        let values_per_position = 2 * (self.n_kv_heads * self.d_head) as u64;
        n_positions
            .saturating_mul(values_per_position)
            .saturating_mul(batch)
            .saturating_mul(n_bytes)
    }

    /// Number of parameters outside of layers; `tied` counts one matrix for embedding and head.
    pub fn n_end_params(&self, tied: bool) -> u64 {
        let (d_model, vocab) = (self.d_model as u64, self.vocab as u64);
        let n_matrices = if tied { 1 } else { 2 };
        let positions = match self.traits().positions {
            PositionRule::Learned => self.max_seq as u64 * d_model,
            _ => 0,
        };
        let norm = self.norm_params(d_model);
        let embedding_norm = if self.traits().normalizes_embedding { norm } else { 0 };
        let transform = match self.traits().objective {
            Objective::NextToken => 0,
            Objective::MaskedToken => d_model * d_model + d_model + vocab,
        };
        n_matrices * vocab * d_model
            + positions
            + self.n_token_types as u64 * d_model
            + embedding_norm
            + transform
            + norm
    }

    fn norm_params(&self, size: u64) -> u64 {
        match self.traits().norm.kind {
            NormKind::Rms | NormKind::RmsAroundOne => size,
            NormKind::Layer => 2 * size,
        }
    }
}
