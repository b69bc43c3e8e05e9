//! File names of a model folder.

pub const CONFIG: &str = "config.json";
pub const STUDENT_CONFIG: &str = "student_config.json";
/// Hashes of the teacher that a student was pruned from.
pub const FINGERPRINTS: &str = "fingerprints.json";
pub const TOKENIZER: &str = "tokenizer.json";
/// Defines the end-of-text tokens, among other things.
pub const GENERATION_CONFIG: &str = "generation_config.json";
pub const WEIGHTS: &str = "model.safetensors";
/// Index of sharded weights.
pub const INDEX: &str = "model.safetensors.index.json";

/// Files other than weights and config, which are the same for the whole family.
pub const EXTRAS: &[&str] = &[
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    GENERATION_CONFIG,
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
];
