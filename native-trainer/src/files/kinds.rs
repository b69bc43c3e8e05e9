//! Folders that hold an adapter or a quantized model, recognized by their files.

use std::path::Path;

use boomerang_core::config::ModelConfig;
use serde_json::Value;

use super::{parent, read_if_present};
use crate::exit::Exit;

const ADAPTER_CONFIG: &str = "adapter_config.json";
/// An adapter's weights, in the formats that peft writes.
const ADAPTER_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Files that quantization tools leave beside the weights, and their methods.
const QUANTIZED: [(&str, &str); 5] = [
    ("quantize_config.json", "GPTQ"),
    ("quant_config.json", "AWQ or HQQ"),
    ("hf_quant_config.json", "NVIDIA ModelOpt"),
    ("quantization_config.json", "the method named there"),
    ("quant_strategy.json", "the method named there"),
];

/// Files of tokenizers without a `tokenizer.json`, and their kinds.
const SLOW_TOKENIZERS: [(&str, &str); 3] =
    [("tokenizer.model", "SentencePiece"), ("vocab.json", "BPE"), ("vocab.txt", "WordPiece")];

/// Refuses adapters and quantized models.
///
/// # Errors
/// Names what the folder holds, and what to use instead.
pub(super) fn refuse_other_kinds(folder: &Path) -> anyhow::Result<()> {
    let has = |name: &&str| folder.join(name).is_file();
    if let Some(file) = [ADAPTER_CONFIG].iter().chain(&ADAPTER_WEIGHTS).find(|name| has(name)) {
        return Err(Exit::Unusable.error(adapter(folder, file)?));
    }
    match QUANTIZED.iter().find(|(name, _)| has(name)) {
        None => Ok(()),
        Some((name, method)) => Err(Exit::Unusable.error(format!(
            "{}: quantized with {method} (found: {name}); Boomerang reads weights in f32, f16, bf16 \
             and unscaled 8-bit floats; use the original model, or dequantize it",
            folder.display()
        ))),
    }
}

fn adapter(folder: &Path, file: &str) -> anyhow::Result<String> {
    let config = read_if_present(&folder.join(ADAPTER_CONFIG))?.unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let kind = config["peft_type"].as_str().unwrap_or("peft");
    let base = match config["base_model_name_or_path"].as_str() {
        Some(base) if !base.is_empty() => format!("its base model {base}"),
        _ => "its base model".to_owned(),
    };
    Ok(format!(
        "{} holds an adapter ({kind}, found: {file}), which is not a full model; merge it into \
         {base} and use the result: python3 -c \"from peft import AutoPeftModelForCausalLM; \
         AutoPeftModelForCausalLM.from_pretrained('{}').merge_and_unload()\
         .save_pretrained('MERGED')\"",
        folder.display(),
        folder.display()
    ))
}

/// Why a folder has no tokenizer, and what to do.
pub(super) fn no_tokenizer(folder: &Path) -> String {
    let slow = SLOW_TOKENIZERS.iter().find(|(name, _)| folder.join(name).is_file());
    match slow {
        None => format!("{} has no tokenizer.json", folder.display()),
        Some((name, kind)) => format!(
            "{} has no tokenizer.json, only {name} ({kind}), which is not supported; convert it: \
             python3 -c \"from transformers import AutoTokenizer; \
             AutoTokenizer.from_pretrained('{}').save_pretrained('{}')\"",
            folder.display(),
            folder.display(),
            folder.display()
        ),
    }
}

/// Whether a folder has a tokenizer that could be converted.
pub(super) fn has_slow_tokenizer(folder: &Path) -> bool {
    SLOW_TOKENIZERS.iter().any(|(name, _)| folder.join(name).is_file())
}

/// A path to a file of an adapter is reported like its folder.
pub(super) fn refuse_file_of_other_kind(path: &Path) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_adapters = name == ADAPTER_CONFIG || ADAPTER_WEIGHTS.contains(&&*name);
    if is_adapters { refuse_other_kinds(parent(path)) } else { Ok(()) }
}

/// Refuses a masked language model where one that predicts the next token is needed; `why` is part
/// of the sentence.
pub fn require_next_token(config: &ModelConfig, why: &str) -> anyhow::Result<()> {
    if !config.is_masked() {
        return Ok(());
    }
    Err(Exit::Unusable.error(format!(
        "{} is a masked language model, and {why}; masked ones can only be pruned, patched, verified \
         and evaluated",
        config.traits().model_type
    )))
}

#[cfg(test)]
mod tests {
    use super::super::testing::folder_of;
    use super::*;
    use crate::exit::{code_of, describe};

    #[test]
    fn an_adapter_is_named_with_its_base_model() {
        let config = br#"{"peft_type": "LORA", "base_model_name_or_path": "owner/base"}"#;
        let folder = folder_of(&[(ADAPTER_CONFIG, config), (ADAPTER_WEIGHTS[0], b"")]);
        let error = refuse_other_kinds(folder.path()).unwrap_err();
        let sentence = describe(&error);
        assert_eq!(code_of(&error), Exit::Unusable);
        assert!(sentence.contains("holds an adapter (LORA, found: adapter_config.json)"));
        assert!(sentence.contains("owner/base") && sentence.contains("merge_and_unload"));
        let file = folder.path().join(ADAPTER_CONFIG);
        assert!(refuse_file_of_other_kind(&file).is_err());
    }

    #[test]
    fn a_file_of_a_quantization_tool_shows_a_quantized_model() {
        for (name, _) in QUANTIZED {
            let folder = folder_of(&[(name, b"{}")]);
            let sentence = describe(&refuse_other_kinds(folder.path()).unwrap_err());
            assert!(sentence.contains(&format!("(found: {name})")), "{sentence}");
        }
        assert!(refuse_other_kinds(folder_of(&[("config.json", b"{}")]).path()).is_ok());
    }

    #[test]
    fn a_tokenizer_that_is_not_read_is_named_with_the_way_to_convert_it() {
        let folder = folder_of(&[("tokenizer.model", b"")]);
        let sentence = no_tokenizer(folder.path());
        assert!(sentence.contains("only tokenizer.model (SentencePiece)"), "{sentence}");
        assert!(sentence.contains("save_pretrained"), "{sentence}");
        assert!(no_tokenizer(folder_of(&[]).path()).ends_with("has no tokenizer.json"));
    }
}
