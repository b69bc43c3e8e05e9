//! Loads the files of a bundle as a family.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::{BundleError, BundleFile, Manifest, ModelFiles};
use crate::checkpoint::Checkpoint;
use crate::config::{LayerKind, ModelConfig};
use crate::model::{DecoderLayer, LanguageModel, WeightFormat};
use crate::plan::{HeadPolicy, LayerSource, Owner, Patch};
use crate::prune::{Family, Student, Teacher};
use crate::tokenizer::Tokenizer;

/// Loads bundle files one by one; each is verified and moved to the device at once, so that its
/// bytes can be freed.
pub struct BundleLoader {
    manifest: Manifest,
    config: ModelConfig,
    device: Device,
    format: WeightFormat,
    layers: BTreeMap<String, DecoderLayer>,
    /// By the paths of [`ModelFiles::ends`].
    ends: BTreeMap<String, LanguageModel>,
    /// The student's, with its [`ModelFiles::own_ends`] in them.
    own_ends: Option<LanguageModel>,
    /// The file of own ends, until the ends that they belong to are loaded: a few vectors.
    early: Option<Vec<u8>>,
    tokenizer: Option<Tokenizer>,
}

impl BundleLoader {
    /// # Errors
    /// [`BundleError::Config`].
    pub fn new(manifest: Manifest, device: Device) -> Result<Self, BundleError> {
        let config = manifest.config()?;
        Ok(Self {
            manifest,
            config,
            device,
            format: WeightFormat::F32,
            layers: BTreeMap::new(),
            ends: BTreeMap::new(),
            own_ends: None,
            early: None,
            tokenizer: None,
        })
    }

    /// Keeps the matrices of files that are added from now on in this format, where the device is the
    /// CPU.
    #[must_use]
    pub fn in_format(self, format: WeightFormat) -> Self {
        Self { format, ..self }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Loads one of [`Manifest::files`].
    ///
    /// # Errors
    /// [`BundleError`] if the bytes do not match the manifest or are not the expected tensors.
    pub fn add(&mut self, file: &BundleFile, bytes: &[u8]) -> Result<(), BundleError> {
        file.verify(bytes)?;
        let path = file.path.clone();
        if path == self.manifest.tokenizer.path {
            self.tokenizer = Some(Tokenizer::from_json(bytes)?);
            return Ok(());
        }
        if self.manifest.student.own_ends.as_ref() == Some(file) {
            self.early = Some(bytes.to_vec());
            return self.complete_ends();
        }
        let wrap = |source| BundleError::Checkpoint { path: path.clone(), source };
        let checkpoint = Checkpoint::parse([(path.clone(), bytes)]).map_err(wrap)?;
        let tied_ends = [&self.manifest.student, &self.manifest.teacher]
            .into_iter()
            .find(|files| files.ends.path == path)
            .map(|files| files.tied);
        if let Some(tied) = tied_ends {
            let config = self.config.with_layers(Vec::new(), tied);
            let ends = checkpoint.read_model_as(self.format, &config, &self.device, |_| {});
            let ends = ends.map_err(wrap)?;
            self.ends.insert(path, ends);
            self.complete_ends()?;
        } else {
            let kind = self.kind(&path)?;
            let layer = checkpoint.read_layer_as(self.format, &self.config, kind, &self.device);
            let layer = layer.map_err(wrap)?;
            self.layers.insert(path, layer);
        }
        Ok(())
    }

    /// Puts the student's own ends into those that they belong to, once both are there.
    fn complete_ends(&mut self) -> Result<(), BundleError> {
        let ModelFiles { ends, own_ends, .. } = &self.manifest.student;
        if let Some(BundleFile { path, .. }) = own_ends
            && let Some(ends) = self.ends.get(&ends.path)
            && let Some(bytes) = self.early.take()
        {
            let own = Checkpoint::parse([(path.clone(), &*bytes)])
                .and_then(|own| own.read_vectors_over(ends, &self.device))
                .map_err(|source| BundleError::Checkpoint { path: path.clone(), source })?;
            self.own_ends = Some(own);
        }
        Ok(())
    }

    /// Reuses the files of this bundle that another loader has already loaded; copies no weights.
    pub fn take_from(&mut self, other: &Self) {
        // Layers are built according to the config.
        let (own, theirs) = (&self.manifest, &other.manifest);
        if own.config != theirs.config || own.end_tokens != theirs.end_tokens {
            return;
        }
        let their_files: Vec<&BundleFile> = theirs.files().collect();
        let shared = own.files().filter(|file| their_files.contains(file));
        for path in shared.map(|file| &file.path) {
            if let Some(layer) = other.layers.get(path) {
                self.layers.insert(path.clone(), layer.clone());
            }
            if let Some(ends) = other.ends.get(path) {
                self.ends.insert(path.clone(), ends.clone());
            }
            if *path == self.manifest.tokenizer.path {
                self.tokenizer.clone_from(&other.tokenizer);
            }
        }
        if other.own_ends.is_some() && own.student.ends().eq(theirs.student.ends()) {
            self.own_ends.clone_from(&other.own_ends);
        }
    }

    /// The kind of the layer in this file, which is that of its teacher layer.
    fn kind(&self, path: &str) -> Result<LayerKind, BundleError> {
        let index = |files: &ModelFiles| files.layers.iter().position(|file| file.path == path);
        let in_student =
            || index(&self.manifest.student).map(|index| self.manifest.plan.kept()[index]);
        let layer = index(&self.manifest.teacher).or_else(in_student).unwrap_or(0);
        let (found, expected) = (self.config.n_layers(), self.manifest.plan.n_teacher_layers());
        let kind = self.config.layers.get(layer).copied();
        kind.ok_or(BundleError::Layers { owner: Owner::Teacher, found, expected })
    }

    /// Whether this file is loaded.
    pub fn has(&self, file: &BundleFile) -> bool {
        let path = &file.path;
        let is_tokenizer = *path == self.manifest.tokenizer.path && self.tokenizer.is_some();
        let is_own = self.manifest.student.own_ends.as_ref() == Some(file);
        let has_own = self.early.is_some() || self.own_ends.is_some();
        is_tokenizer
            || (is_own && has_own)
            || self.ends.contains_key(path)
            || self.layers.contains_key(path)
    }

    /// Embedding, norm and head of one of the two models.
    fn ends(&self, files: &ModelFiles) -> Result<&LanguageModel, BundleError> {
        let base = self.ends.get(&files.ends.path).ok_or_else(|| missing(&files.ends))?;
        match &files.own_ends {
            Some(own) => self.own_ends.as_ref().ok_or_else(|| missing(own)),
            None => Ok(base),
        }
    }

    /// The tokenizer, once it is loaded.
    ///
    /// # Errors
    /// [`BundleError::Missing`].
    pub fn tokenizer(&self) -> Result<&Tokenizer, BundleError> {
        self.tokenizer.as_ref().ok_or_else(|| missing(&self.manifest.tokenizer))
    }

    /// A member, once all of its [`Manifest::files_of`] are loaded; copies no weights.
    ///
    /// # Errors
    /// [`BundleError::Missing`] names a file that is not loaded.
    pub fn member(&self, patch: &Patch) -> Result<LanguageModel, BundleError> {
        let recipe = self.manifest.plan.recipe(patch);
        let with = |policy| recipe.ends(policy, |owner| self.manifest.of(owner).tied);
        // One matrix for embedding and head, where it is both models'.
        let tied = with(HeadPolicy::Teacher).filter(|_| self.manifest.shares_ends());
        let ends = tied.or_else(|| with(HeadPolicy::Untied));
        let ends = ends.expect("two matrices are always possible");
        let end = |owner| self.ends(self.manifest.of(owner));
        let layer = |source: &LayerSource| {
            let (owner, layer) = source.place();
            let file = &self.manifest.of(owner).layers[layer];
            self.layers.get(&file.path).cloned().ok_or_else(|| missing(file))
        };
        Ok(LanguageModel::assemble(
            end(ends.embedding)?,
            recipe.layers.iter().map(layer).collect::<Result<_, _>>()?,
            end(ends.norm)?,
            ends.head.map(end).transpose()?,
            &self.config,
        ))
    }

    /// Manifest, tokenizer and family, once all files are loaded.
    ///
    /// # Errors
    /// [`BundleError::Missing`] names a file that is not loaded.
    pub fn finish(self) -> Result<(Manifest, Tokenizer, Family), BundleError> {
        let assemble = |files: &ModelFiles| -> Result<LanguageModel, BundleError> {
            let ends = self.ends(files)?;
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
        let tokenizer = self.tokenizer.ok_or_else(|| missing(&self.manifest.tokenizer))?;
        Ok((self.manifest, tokenizer, family))
    }
}

fn missing(file: &BundleFile) -> BundleError {
    BundleError::Missing { path: file.path.clone() }
}
