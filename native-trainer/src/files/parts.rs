//! A model part by part, to be streamed through memory.

use anyhow::Context as _;
use boomerang_core::checkpoint::Fingerprints;
use boomerang_core::model::{DecoderLayer, LanguageModel};
use burn::tensor::Device;

use super::ModelFolder;

impl ModelFolder {
    /// One layer; the file's pages are released afterwards.
    ///
    /// # Errors
    /// When the weights do not match the config.
    ///
    /// # Panics
    /// When the model has no such layer.
    pub fn layer(&self, number: usize, device: &Device) -> anyhow::Result<DecoderLayer> {
        let layer = self.checkpoint()?.read_layer_of(self.config(), number, device, |bytes| {
            self.release(bytes);
        });
        layer.with_context(|| self.path().display().to_string())
    }

    /// Embedding, final norm and head, as a model without layers.
    ///
    /// # Errors
    /// When the weights do not match the config.
    pub fn ends(&self, device: &Device) -> anyhow::Result<LanguageModel> {
        let ends = self.checkpoint()?.read_ends_of(self.config(), device, |bytes| {
            self.release(bytes);
        });
        ends.with_context(|| self.path().display().to_string())
    }

    /// The fingerprint of each part, by its weights; reads all of them once.
    ///
    /// # Errors
    /// Names the tensor that is missing.
    pub fn fingerprints(&self) -> anyhow::Result<Fingerprints> {
        let found = self.checkpoint()?.fingerprints(self.config(), |bytes| self.release(bytes));
        found.with_context(|| self.path().display().to_string())
    }
}
