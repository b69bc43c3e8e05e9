//! The files of a bundle as a family.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::{BundleError, BundleFile, Manifest, ModelFiles};
use crate::checkpoint::Checkpoint;
use crate::config::{LayerKind, ModelConfig};
use crate::model::{DecoderLayer, LanguageModel};
use crate::plan::Owner;
use crate::prune::{Family, Student, Teacher};
use crate::tokenizer::Tokenizer;

/// Bundle files as they arrive, each checked and put on the device at once, so that the bytes can
/// be let go of.
pub struct BundleLoader {
    manifest: Manifest,
    config: ModelConfig,
    device: Device,
    layers: BTreeMap<String, DecoderLayer>,
    ends: BTreeMap<String, LanguageModel>,
    tokenizer: Option<Tokenizer>,
}

impl BundleLoader {
    /// # Errors
    /// [`BundleError::Config`].
    pub fn new(manifest: Manifest, device: Device) -> Result<Self, BundleError> {
        let config = manifest.config()?;
        let (layers, ends) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { manifest, config, device, layers, ends, tokenizer: None })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Takes one of [`Manifest::files`].
    ///
    /// # Errors
    /// [`BundleError`] when the bytes are not the file's.
    pub fn add(&mut self, file: &BundleFile, bytes: &[u8]) -> Result<(), BundleError> {
        file.verify(bytes)?;
        let path = file.path.clone();
        if path == self.manifest.tokenizer.path {
            self.tokenizer = Some(Tokenizer::from_json(bytes)?);
            return Ok(());
        }
        let wrap = |source| BundleError::Checkpoint { path: path.clone(), source };
        let checkpoint = Checkpoint::parse([(path.clone(), bytes)]).map_err(wrap)?;
        let tied_ends = [&self.manifest.student, &self.manifest.teacher]
            .into_iter()
            .find(|files| files.ends.path == path)
            .map(|files| files.tied);
        if let Some(tied) = tied_ends {
            let config = self.config.with_layers(Vec::new(), tied);
            let ends = checkpoint.read_model(&config, &self.device).map_err(wrap)?;
            self.ends.insert(path, ends);
        } else {
            let kind = self.kind(&path)?;
            let layer = checkpoint.read_layer(&self.config, kind, &self.device).map_err(wrap)?;
            self.layers.insert(path, layer);
        }
        Ok(())
    }

    /// The kind of the layer in this file, which is its teacher layer's.
    fn kind(&self, path: &str) -> Result<LayerKind, BundleError> {
        let place = |files: &ModelFiles| files.layers.iter().position(|file| file.path == path);
        let in_student = || place(&self.manifest.student).map(|at| self.manifest.plan.kept()[at]);
        let layer = place(&self.manifest.teacher).or_else(in_student).unwrap_or(0);
        let (found, expected) = (self.config.n_layers(), self.manifest.plan.n_teacher_layers());
        let kind = self.config.layers.get(layer).copied();
        kind.ok_or(BundleError::Layers { owner: Owner::Teacher, found, expected })
    }

    /// Tokenizer and family, when everything has arrived.
    ///
    /// # Errors
    /// [`BundleError::Missing`] names a file that has not.
    pub fn finish(self) -> Result<(Manifest, Tokenizer, Family), BundleError> {
        let assemble = |files: &ModelFiles| -> Result<LanguageModel, BundleError> {
            let missing = |file: &BundleFile| BundleError::Missing { path: file.path.clone() };
            let ends = self.ends.get(&files.ends.path).ok_or_else(|| missing(&files.ends))?;
            let layers: Vec<DecoderLayer> = files
                .layers
                .iter()
                .map(|file| self.layers.get(&file.path).cloned().ok_or_else(|| missing(file)))
                .collect::<Result<_, _>>()?;
            Ok(ends.with_layers(layers))
        };
        let teacher = Teacher::new(assemble(&self.manifest.teacher)?);
        let student = Student::new(assemble(&self.manifest.student)?, self.manifest.plan.clone())?;
        let family = Family::new(teacher, student)?;
        let path = &self.manifest.tokenizer.path;
        let tokenizer =
            self.tokenizer.ok_or_else(|| BundleError::Missing { path: path.clone() })?;
        Ok((self.manifest, tokenizer, family))
    }
}
