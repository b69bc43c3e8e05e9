//! What the files of a model are called.

pub const CONFIG: &str = "config.json";
pub const STUDENT_CONFIG: &str = "student_config.json";
/// What a student was made from.
pub const FINGERPRINTS: &str = "fingerprints.json";
pub const TOKENIZER: &str = "tokenizer.json";
/// Says where a generated text ends, among other things.
pub const GENERATION_CONFIG: &str = "generation_config.json";
pub const WEIGHTS: &str = "model.safetensors";
/// Names the files of weights that are in several.
pub const INDEX: &str = "model.safetensors.index.json";

/// What belongs to a model beside its weights and config, and is the same for the whole family.
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
