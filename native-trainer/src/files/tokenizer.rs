//! A model's tokenizer, and the token that separates documents.

use anyhow::Context as _;
use boomerang_core::checkpoint::files::{CONFIG, TOKENIZER};
use boomerang_core::tokenizer::Tokenizer;

use super::kinds::{has_slow_tokenizer, no_tokenizer};
use super::{ModelFolder, read_if_present};
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
        no_tokenizer(self.extras())
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
        let path = self.extras().join(TOKENIZER);
        Ok(Some(Tokenizer::from_json(&json).with_context(|| path.display().to_string())?))
    }

    /// The token that separates documents; `None` when `config.json` names none.
    ///
    /// # Errors
    /// When it is outside the model's vocabulary.
    pub fn eos_token(&self) -> anyhow::Result<Option<u32>> {
        let token = self.config().eos_token();
        token.with_context(|| self.extras().join(CONFIG).display().to_string())
    }
}
