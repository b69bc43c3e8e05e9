//! A GGUF file as a model folder: its weights in f32, to the bit as they are stored, in a temporary folder
//! that all commands read as any other.

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use boomerang_core::checkpoint::files::{CONFIG, STUDENT_CONFIG, TOKENIZER, WEIGHTS};
use boomerang_core::checkpoint::{Precision, write_model};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Gguf, config_of, import, import_tokenizer};
use boomerang_core::prune::StudentConfig;
use boomerang_files::ScratchFolder;
use burn::tensor::Device;

use super::gguf::{GgufFile, gguf_plan};
use super::in_memory::require_memory_in_f32;
use crate::exit::{Exit, OrExit as _};
use crate::progress::note;

/// Writes the model of a file into a temporary folder, which lives as long as the value.
///
/// # Errors
/// When the file is damaged, or has something that is not understood; when the disk is full.
pub(super) fn imported(path: &Path) -> anyhow::Result<ScratchFolder> {
    let file = GgufFile::open(path)?;
    let gguf = file.parse().or_exit(Exit::Unusable)?;
    let named = || path.display().to_string();
    require_memory_in_f32(path, &gguf)?;
    let model = import(&gguf, &Device::flex()).with_context(named).or_exit(Exit::Unusable)?;
    let folder = folder_of(&file, &gguf, model.config())?;
    let weights = folder.path().join(WEIGHTS);
    let out = fs::File::create(&weights).with_context(|| weights.display().to_string())?;
    write_model(&model, Precision::F32, &mut BufWriter::new(out)).with_context(|| {
        format!("writing the weights of {} into {}", path.display(), folder.path().display())
    })?;
    Ok(folder)
}

/// As [`imported`], without the weights.
///
/// # Errors
/// As [`imported`].
pub(super) fn imported_without_weights(file: &GgufFile) -> anyhow::Result<ScratchFolder> {
    let gguf = file.parse().or_exit(Exit::Unusable)?;
    let named = || file.path().display().to_string();
    let config = config_of(&gguf).with_context(named).or_exit(Exit::Unusable)?;
    folder_of(file, &gguf, &config)
}

/// Config, plan and tokenizer of a file in a temporary folder.
fn folder_of(
    file: &GgufFile,
    gguf: &Gguf<'_>,
    config: &ModelConfig,
) -> anyhow::Result<ScratchFolder> {
    let path = file.path();
    let folder = ScratchFolder::create("gguf").context("creating a temporary folder")?;
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text)
            .with_context(|| format!("writing a temporary {name} for {}", path.display()))
    };
    write(CONFIG, &config.to_json())?;
    if let Some(plan) = gguf_plan(path, gguf)? {
        write(STUDENT_CONFIG, &StudentConfig::of(&plan).to_json())?;
    }
    match import_tokenizer(&gguf.metadata) {
        Ok(None) => {}
        Ok(Some(tokenizer)) => {
            write(TOKENIZER, &tokenizer.tokenizer)?;
            write("tokenizer_config.json", &tokenizer.tokenizer_config)?;
        }
        Err(error) => note(&format!("{}: opened without a tokenizer: {error}", path.display())),
    }
    Ok(folder)
}
