//! Differences between two configs that prevent combining their layers in one model.

use std::fmt::{Debug, Display};

use super::ModelConfig;
use crate::architecture::{PositionRule, WindowRule};

impl ModelConfig {
    /// The first difference that prevents combining layers of the two models in one stack, with
    /// both values; `None` if they are compatible. The number of layers, the tying of the head and
    /// what a layer keeps as its [`super::LayerKind`] may differ.
    pub fn difference(&self, other: &Self) -> Option<String> {
        self.architecture_difference(other)
            .or_else(|| self.size_difference(other))
            .or_else(|| self.window_difference(other))
            .or_else(|| self.rotary_difference(other))
            .or_else(|| self.setting_difference(other))
    }

    fn architecture_difference(&self, other: &Self) -> Option<String> {
        let types = (self.traits().model_type, other.traits().model_type);
        let fits = self.architecture.shares_layers_with(other.architecture);
        (!fits).then(|| format!("model_type {:?} and {:?}", types.0, types.1))
    }

    fn size_difference(&self, other: &Self) -> Option<String> {
        let names = self.traits().keys;
        let learned = self.traits().positions == PositionRule::Learned;
        [
            row("vocab_size", self.vocab, other.vocab),
            row(names.d_model, self.d_model, other.d_model),
            row(names.d_ff, self.d_ff, other.d_ff),
            row("head_dim", self.d_head, other.d_head),
            row(names.n_heads, self.n_heads, other.n_heads),
            row("num_key_value_heads", self.n_kv_heads, other.n_kv_heads),
            // DistilBERT has none, but uses BERT's layers.
            row("type_vocab_size", self.n_token_types, other.n_token_types)
                .filter(|_| self.architecture == other.architecture),
            row(names.max_seq, self.max_seq, other.max_seq).filter(|_| learned),
        ]
        .into_iter()
        .find_map(|row| row)
    }

    /// A config has a single window size, and not every architecture can specify per layer whether
    /// it has a window.
    fn window_difference(&self, other: &Self) -> Option<String> {
        let windows = |config: &Self| -> Vec<Option<usize>> {
            let mut windows: Vec<_> = config.layers.iter().map(|layer| layer.window).collect();
            windows.sort_unstable();
            windows.dedup();
            windows
        };
        let (ours, theirs) = (windows(self), windows(other));
        let [our_size, their_size] =
            [&ours, &theirs].map(|windows| windows.iter().copied().flatten().next());
        let sizes_differ = our_size.is_some() && their_size.is_some() && our_size != their_size;
        let only_alike = self.traits().windows == WindowRule::All && ours != theirs;
        if !(sizes_differ || only_alike) {
            return None;
        }
        row("sliding_window", show(our_size), show(their_size))
    }

    fn rotary_difference(&self, other: &Self) -> Option<String> {
        let theta = self.traits().keys.rope_theta;
        let tables = self.rotary.iter().zip(&other.rotary);
        let differing = tables.into_iter().find(|(ours, theirs)| ours != theirs);
        match differing {
            Some((ours, theirs)) if ours.theta != theirs.theta => {
                row(theta, ours.theta, theirs.theta)
            }
            Some((ours, theirs)) => row("rotary embeddings", ours, theirs),
            None => row("rotary tables", self.rotary.len(), other.rotary.len()),
        }
    }

    fn setting_difference(&self, other: &Self) -> Option<String> {
        let names = self.traits().keys;
        [
            row(names.norm_epsilon.unwrap_or("epsilon"), self.norm_epsilon, other.norm_epsilon),
            row(names.activation, debug(&self.activation), debug(&other.activation)),
            row("attention scale", self.attention_scale, other.attention_scale),
            row(
                "attn_logit_softcapping",
                show(self.attention_softcap),
                show(other.attention_softcap),
            ),
            row("final_logit_softcapping", show(self.logit_softcap), show(other.logit_softcap)),
            row("parallel residual", self.parallel, other.parallel),
            row(
                "biases of queries, keys and values",
                self.query_key_value_bias,
                other.query_key_value_bias,
            ),
            row(
                "bias of the attention's output",
                self.attention_output_bias,
                other.attention_output_bias,
            ),
            row("biases of the MLP", self.mlp_bias, other.mlp_bias),
        ]
        .into_iter()
        .find_map(|row| row)
    }
}

fn row<V: PartialEq + Display>(key: &str, ours: V, theirs: V) -> Option<String> {
    (ours != theirs).then(|| format!("{key} {ours} and {theirs}"))
}

fn show<V: Display>(value: Option<V>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?}")
}
