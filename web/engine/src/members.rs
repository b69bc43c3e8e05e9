//! The members that answer a request, once their files are loaded.

use boomerang_core::bundle::{BundleError, ChatFormat};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, Patch};
use boomerang_core::tokenizer::Tokenizer;

use crate::bundle::Bundle;
use crate::messages::Prompt;
use crate::notice::{Notice, chain};
use crate::prompt::EncodedPrompt;
use crate::worker::Worker;

/// Members whose files are loaded, with what they share.
pub(crate) struct ReadyMembers {
    /// One for each requested patch, in their order.
    pub(crate) members: Vec<LanguageModel>,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) chat: Option<ChatFormat>,
}

impl Worker {
    /// The members of these patches, once their files are loaded; `None` when the request is stopped
    /// before.
    pub(crate) async fn ready_members(
        &self,
        id: u32,
        patches: &[Patch],
    ) -> Result<Option<ReadyMembers>, Notice> {
        loop {
            let missing = match self.loaded_members(patches)? {
                Ok(members) => return Ok(Some(members)),
                Err(missing) => missing,
            };
            self.prioritize(patches);
            if !self.next_file_loaded().await {
                let why = format!("{}, and loading has stopped", chain(&missing));
                let next = "Load the rest, or choose a size that is loaded.";
                return Err(Notice::new("This size is not loaded.", why, next));
            }
            if self.is_stopped(id) {
                return Ok(None);
            }
        }
    }

    /// How many tokens a prompt has; `None` until the tokenizer is loaded, or for a conversation that
    /// cannot be rendered.
    pub(crate) fn n_tokens(&self, prompt: &Prompt) -> Option<usize> {
        let bundle = self.bundle.borrow();
        let loader = &bundle.as_ref()?.loader;
        let tokenizer = loader.tokenizer().ok()?;
        let prompt = EncodedPrompt::new(prompt, loader.manifest().chat.as_ref(), tokenizer);
        Some(prompt.ok()?.tokens.len())
    }

    pub(crate) fn plan(&self) -> Result<LayerPlan, Notice> {
        let bundle = self.bundle.borrow();
        let bundle = bundle.as_ref().ok_or_else(not_loaded)?;
        Ok(bundle.loader.manifest().plan.clone())
    }

    /// Every member on the path, student first.
    pub(crate) fn path(&self) -> Result<Vec<Patch>, Notice> {
        let bundle = self.bundle.borrow();
        let manifest = bundle.as_ref().ok_or_else(not_loaded)?.loader.manifest();
        manifest.order.path(&manifest.plan).map_err(|error| {
            let next = "Create the bundle again with this version of Boomerang.";
            Notice::new("The model cannot be used.", error, next)
        })
    }

    pub(crate) fn teacher_patch(&self) -> Result<Patch, Notice> {
        Ok(Patch::all(&self.plan()?))
    }

    /// Cloning a model copies no weights, and another family may be loaded meanwhile.
    fn loaded_members(
        &self,
        patches: &[Patch],
    ) -> Result<Result<ReadyMembers, BundleError>, Notice> {
        let bundle = self.bundle.borrow();
        let Bundle { loader, end_tokens, .. } = bundle.as_ref().ok_or_else(not_loaded)?;
        let members = || -> Result<ReadyMembers, BundleError> {
            Ok(ReadyMembers {
                members: patches
                    .iter()
                    .map(|patch| loader.member(patch))
                    .collect::<Result<_, _>>()?,
                tokenizer: loader.tokenizer()?.clone(),
                end_tokens: end_tokens.clone(),
                chat: loader.manifest().chat.clone(),
            })
        };
        Ok(members())
    }
}

pub(crate) fn not_loaded() -> Notice {
    Notice::new("The request cannot be answered.", "No model is loaded.", "Load the model first.")
}

/// A text that a member cannot process, or not in one pass.
pub(crate) fn not_processed(error: impl std::error::Error) -> Notice {
    Notice::new("This text cannot be processed.", chain(&error), "Try another text.")
}

/// A result that cannot be shown.
pub(crate) fn not_finite() -> Notice {
    let why = "the device returned NaN or an infinite value";
    Notice::new("The model cannot be measured.", why, "Reload the page, or choose the CPU.")
}
