//! A model part by part, to be streamed through memory.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use boomerang_core::checkpoint::Fingerprints;
use boomerang_core::gguf::embedding_fingerprint;
use boomerang_core::model::{DecoderLayer, LanguageModel};
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{FamilyError, Student};
use burn::tensor::Device;

use super::ModelFolder;
use crate::exit::Exit;

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

    /// Whether both models are tied, with the same matrix for embedding and head, such as after a
    /// distillation with frozen ends.
    ///
    /// # Errors
    /// Names the tensor that is missing.
    pub fn shares_tied_matrix(&self, other: &Self) -> anyhow::Result<bool> {
        if !self.config().tied || !other.config().tied {
            return Ok(false);
        }
        let of = |folder: &Self| {
            if let Some(file) = folder.gguf() {
                let found = embedding_fingerprint(&file.parse()?);
                return found.with_context(|| folder.path().display().to_string());
            }
            let checkpoint = folder.checkpoint()?;
            let found =
                checkpoint.embedding_fingerprint(folder.config(), |bytes| folder.release(bytes));
            found.with_context(|| folder.path().display().to_string())
        };
        Ok(of(self)? == of(other)?)
    }

    /// The student that `plan` makes of this teacher around its `ends`; only the kept layers are read.
    ///
    /// # Errors
    /// When the weights do not match the config, or the plan is for another number of layers.
    pub fn pruned(
        &self,
        ends: &LanguageModel,
        plan: &LayerPlan,
        device: &Device,
    ) -> anyhow::Result<Student> {
        let (found, expected) = (self.config().n_layers(), plan.n_teacher_layers());
        if found != expected {
            return Err(FamilyError::TeacherLayers { found, expected }.into());
        }
        let layers = plan.kept().into_iter().map(|number| self.layer(number, device));
        Ok(Student::of_parts(ends, layers.collect::<anyhow::Result<_>>()?, plan.clone())?)
    }

    /// The present state of the weight files.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub fn stamp(&self) -> anyhow::Result<Stamp> {
        let mut files = Vec::new();
        for (path, mapped) in self.weight_files() {
            let about = mapped.file().metadata();
            let about = about.with_context(|| format!("{} cannot be read", path.display()))?;
            files.push((path, about.len(), about.modified().ok()));
        }
        Ok(Stamp(files))
    }

    /// Refuses weight files that were written to: what is mapped from them would be anything, or
    /// nothing.
    ///
    /// # Errors
    /// Names the file.
    pub fn check_unchanged(&self, since: &Stamp) -> anyhow::Result<()> {
        let Stamp(now) = self.stamp()?;
        match since.0.iter().zip(&now).find(|(before, now)| before != now) {
            None => Ok(()),
            Some(((path, ..), _)) => Err(Exit::Unusable.error(format!(
                "{} changed while it was being read; restore it, and write to another file",
                path.display()
            ))),
        }
    }
}

/// Length and time of change of weight files.
pub struct Stamp(Vec<(PathBuf, u64, Option<SystemTime>)>);
