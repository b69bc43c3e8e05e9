//! What tests of a step share.

use burn::tensor::Device;

use super::loss::LossWeights;
use super::{DistillSettings, Initialization, UpdateSettings};
use crate::config::ModelConfig;
use crate::model::LanguageModel;
use crate::prune::Teacher;

/// A decoder of four layers with norms of queries and keys.
pub(super) fn qwen3(tied: bool) -> String {
    let config = serde_json::json!({
        "model_type": "qwen3", "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 64, "tie_word_embeddings": tied,
    });
    config.to_string()
}

/// The same teacher for the same config.
pub(super) fn teacher(config: &str) -> Teacher {
    let config = ModelConfig::from_json(config).unwrap();
    let start = Initialization::HuggingFace;
    Teacher::new(LanguageModel::random(&config, start, 1, &Device::flex()))
}

/// All loss terms, with each state aligned as the plan has it.
pub(super) fn settings(update: UpdateSettings) -> DistillSettings {
    DistillSettings { loss: LossWeights::default(), update, alignment: None }
}
