//! A model's tokenizer, and the token that separates documents.

use anyhow::Context as _;
use boomerang_core::checkpoint::files::{CONFIG, TOKENIZER};
use boomerang_core::tokenizer::Tokenizer;

use super::kinds::{has_slow_tokenizer, no_tokenizer};
use super::{ModelFolder, read_if_present};
use crate::exit::{Exit, OrExit as _};
use crate::progress::note;

impl ModelFolder {
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn tokenizer_json(&self) -> anyhow::Result<Option<Vec<u8>>> {
        self.extra(TOKENIZER)
    }

    /// A file beside weights and config.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn extra(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(read_if_present(&self.extras().join(name))?)
    }

    /// Why the folder has no `tokenizer.json`, and what to do.
    pub fn no_tokenizer(&self) -> String {
        let path = self.named(TOKENIZER);
        if path.ends_with(TOKENIZER) {
            return no_tokenizer(self.extras());
        }
        format!(
            "{} has no tokenizer, or none that is read (see docs/formats.md); use the model's \
             folder of safetensors, with its tokenizer.json",
            path.display()
        )
    }

    /// # Errors
    /// When there is none, or it is not a tokenizer.
    pub fn required_tokenizer(&self) -> anyhow::Result<Tokenizer> {
        self.tokenizer()?.with_context(|| self.no_tokenizer()).or_exit(Exit::Unusable)
    }

    /// Warns on standard error when there is only a tokenizer of an unsupported kind.
    ///
    /// # Errors
    /// When `tokenizer.json` exists and is not a tokenizer.
    pub fn tokenizer(&self) -> anyhow::Result<Option<Tokenizer>> {
        let Some(json) = self.tokenizer_json()? else {
            if has_slow_tokenizer(self.extras()) {
                note(&self.no_tokenizer());
            }
            return Ok(None);
        };
        let named = || self.named(TOKENIZER).display().to_string();
        Ok(Some(Tokenizer::from_json(&json).with_context(named)?))
    }

    /// The token that separates documents; `None` when `config.json` names none.
    ///
    /// # Errors
    /// When it is outside the model's vocabulary.
    pub fn eos_token(&self) -> anyhow::Result<Option<u32>> {
        let token = self.config().eos_token();
        token.with_context(|| self.named(CONFIG).display().to_string())
    }
}
