//! Who takes part in an answer: members, once their files are here.

use boomerang_core::bundle::BundleError;
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::{LayerPlan, Patch};
use boomerang_core::tokenizer::Tokenizer;

use crate::arriving::Bundle;
use crate::notice::{Notice, chain};
use crate::worker::Worker;

pub(crate) struct Cast {
    /// As many as patches, in their order.
    pub(crate) members: Vec<LanguageModel>,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) end_tokens: Vec<u32>,
}

impl Worker {
    /// The members of these patches, once their files are here; `None` when the reader stops waiting.
    pub(crate) async fn cast(&self, id: u32, patches: &[Patch]) -> Result<Option<Cast>, Notice> {
        loop {
            let missing = match self.cast_now(patches)? {
                Ok(cast) => return Ok(Some(cast)),
                Err(missing) => missing,
            };
            self.want(patches);
            if !self.next_arrival().await {
                let why = format!("{}, and loading has stopped", chain(&missing));
                let next = "Load the rest, or choose a size that is here.";
                return Err(Notice::new("This size is not here.", why, next));
            }
            if self.is_stopped(id) {
                return Ok(None);
            }
        }
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
            let next = "The bundle has to be made again with this version of Boomerang.";
            Notice::new("The model cannot be used.", error, next)
        })
    }

    pub(crate) fn teacher_patch(&self) -> Result<Patch, Notice> {
        Ok(Patch::all(&self.plan()?))
    }

    /// Cloning a model copies no weights, and a new family may be loaded meanwhile.
    fn cast_now(&self, patches: &[Patch]) -> Result<Result<Cast, BundleError>, Notice> {
        let bundle = self.bundle.borrow();
        let Bundle { loader, end_tokens, .. } = bundle.as_ref().ok_or_else(not_loaded)?;
        let members = || -> Result<Cast, BundleError> {
            Ok(Cast {
                members: patches
                    .iter()
                    .map(|patch| loader.member(patch))
                    .collect::<Result<_, _>>()?,
                tokenizer: loader.tokenizer()?.clone(),
                end_tokens: end_tokens.clone(),
            })
        };
        Ok(members())
    }
}

pub(crate) fn not_loaded() -> Notice {
    Notice::new("There is no model to ask.", "No model is loaded.", "Load it first.")
}

/// A text that a member cannot read, or not in one go.
pub(crate) fn unread(error: impl std::error::Error) -> Notice {
    Notice::new("This text cannot be read.", chain(&error), "Try another text.")
}

/// The reader has no use for it.
pub(crate) fn no_number() -> Notice {
    let why = "the device gave a result that is no number";
    Notice::new("The model cannot be measured.", why, "Reload the page, or choose the CPU.")
}
