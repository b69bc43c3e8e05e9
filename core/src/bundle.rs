//! A family as static files for the page: one weight file a layer, and a manifest with hashes.
//!
//! The student comes first, then the teacher's layers in the order in which they are patched, so
//! that a page can use what it has while the rest arrives.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError, Precision, layer_to_bytes, model_to_bytes};
use crate::config::{ConfigError, ModelConfig};
use crate::curve::SizeCurve;
use crate::model::{DecoderLayer, LanguageModel};
use crate::plan::{LayerPlan, Owner, PatchOrder, PlanError};
use crate::prune::{Family, FamilyError, Student, Teacher};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// The name of the manifest inside a bundle.
pub const MANIFEST: &str = "manifest.json";

/// Everything about a bundle but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `boomerang-bundle`.
    pub format: String,
    pub version: u32,
    pub name: String,
    /// The teacher's `config.json`.
    pub config: serde_json::Value,
    pub plan: LayerPlan,
    pub order: PatchOrder,
    pub tokenizer: BundleFile,
    pub teacher: ModelFiles,
    pub student: ModelFiles,
    pub curve: SizeCurve,
    /// Cosine of each student layer's output with its block's.
    pub similarity: Vec<f64>,
    /// Prompts to try.
    pub prompts: Vec<String>,
}

/// The files of one parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// Embedding, final norm, and head unless tied.
    pub ends: BundleFile,
    pub tied: bool,
    /// First layer first.
    pub layers: Vec<BundleFile>,
}

/// A file of a bundle, by its path below the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFile {
    pub path: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// Why a bundle cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    #[error("not a bundle manifest: {0}")]
    Manifest(#[from] serde_json::Error),
    #[error(
        "the manifest is of format {format:?} version {version}; expected \"boomerang-bundle\" version 1"
    )]
    Version { format: String, version: u32 },
    #[error("{path:?} is not a plain path below the manifest")]
    Path { path: String },
    #[error("{path} has not arrived")]
    Missing { path: String },
    #[error("{path} has {found} bytes, the manifest says {expected}")]
    Length { path: String, found: usize, expected: u64 },
    #[error("{path} is damaged: its SHA-256 is not the manifest's; fetch it again")]
    Hash { path: String },
    #[error("the manifest lists {found} {owner:?} layers, the plan has {expected}")]
    Layers { owner: Owner, found: usize, expected: usize },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("{path}")]
    Checkpoint { path: String, source: CheckpointError },
    #[error("writing the weights failed")]
    Write(#[from] CheckpointError),
    #[error(transparent)]
    Family(#[from] FamilyError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// What goes into a bundle beside the family.
#[derive(Clone, Debug)]
pub struct BundleContents<'a> {
    pub name: &'a str,
    pub order: PatchOrder,
    pub precision: Precision,
    pub tokenizer_json: &'a [u8],
    pub curve: SizeCurve,
    pub similarity: Vec<f64>,
    pub prompts: Vec<String>,
}

/// The files of a bundle, path and bytes, the manifest last.
///
/// # Errors
/// [`BundleError::Write`].
pub fn bundle_files(
    family: &Family,
    contents: BundleContents<'_>,
) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let mut files = Vec::new();
    let mut add = |path: String, bytes: Vec<u8>| {
        let file = BundleFile::of(path, &bytes);
        files.push((file.path.clone(), bytes));
        file
    };
    let mut add_model = |model: &LanguageModel, owner: &str| -> Result<ModelFiles, BundleError> {
        let precision = contents.precision;
        let architecture = model.config().architecture;
        let ends = model_to_bytes(&model.without_layers(), precision)?;
        let ends = add(format!("{owner}/ends.safetensors"), ends);
        let mut layers = Vec::new();
        for (number, layer) in model.layers().iter().enumerate() {
            let bytes = layer_to_bytes(layer, architecture, precision)?;
            layers.push(add(format!("{owner}/layer-{number:02}.safetensors"), bytes));
        }
        Ok(ModelFiles { ends, tied: model.is_tied(), layers })
    };
    let student = add_model(family.student().model(), "student")?;
    let teacher = add_model(family.teacher().model(), "teacher")?;
    let tokenizer = add("tokenizer.json".to_owned(), contents.tokenizer_json.to_vec());
    let manifest = Manifest {
        format: Manifest::FORMAT.to_owned(),
        version: Manifest::VERSION,
        name: contents.name.to_owned(),
        config: serde_json::from_str(&family.teacher().model().config().to_json())?,
        plan: family.plan().clone(),
        order: contents.order,
        tokenizer,
        teacher,
        student,
        curve: contents.curve,
        similarity: contents.similarity,
        prompts: contents.prompts,
    };
    let manifest = format!("{}\n", serde_json::to_string(&manifest)?);
    files.push((MANIFEST.to_owned(), manifest.into_bytes()));
    Ok(files)
}

impl Manifest {
    pub const FORMAT: &'static str = "boomerang-bundle";
    pub const VERSION: u32 = 1;

    /// # Errors
    /// [`BundleError`] for another format, a path that leads out of the bundle, or lists that do not
    /// fit the plan.
    pub fn from_json(text: &str) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Header {
            format: String,
            version: u32,
        }
        let Header { format, version } = serde_json::from_str(text)?;
        if format != Self::FORMAT || version != Self::VERSION {
            return Err(BundleError::Version { format, version });
        }
        let manifest: Self = serde_json::from_str(text)?;
        if let Some(file) = manifest.files().find(|file| !file.is_below()) {
            return Err(BundleError::Path { path: file.path.clone() });
        }
        let lists = [
            (Owner::Student, manifest.student.layers.len(), manifest.plan.n_student_layers()),
            (Owner::Teacher, manifest.teacher.layers.len(), manifest.plan.n_teacher_layers()),
        ];
        for (owner, found, expected) in lists {
            if found != expected {
                return Err(BundleError::Layers { owner, found, expected });
            }
        }
        manifest.order.layers(&manifest.plan)?;
        manifest.config()?;
        Ok(manifest)
    }

    /// The teacher's config.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn config(&self) -> Result<ModelConfig, ConfigError> {
        ModelConfig::from_json(&self.config.to_string())
    }

    /// Every file but the manifest, in the order in which a page should fetch them: tokenizer,
    /// student, then the teacher in patch order.
    pub fn files(&self) -> impl Iterator<Item = &BundleFile> {
        let student = [&self.student.ends].into_iter().chain(&self.student.layers);
        let order = self.order.layers(&self.plan).unwrap_or_default();
        let teacher_layers = order
            .into_iter()
            .flat_map(|layer| self.plan.block(layer))
            .filter_map(|layer| self.teacher.layers.get(layer));
        let teacher = [&self.teacher.ends].into_iter().chain(teacher_layers);
        [&self.tokenizer].into_iter().chain(student).chain(teacher)
    }

    /// Bytes of all files but the manifest.
    pub fn n_bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }
}

impl BundleFile {
    fn of(path: String, bytes: &[u8]) -> Self {
        Self { path, bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }

    /// # Errors
    /// [`BundleError::Length`] or [`BundleError::Hash`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.path.clone();
        if bytes.len() as u64 != self.bytes {
            return Err(BundleError::Length { path, found: bytes.len(), expected: self.bytes });
        }
        if hex(&Sha256::digest(bytes)) != self.sha256 {
            return Err(BundleError::Hash { path });
        }
        Ok(())
    }

    fn is_below(&self) -> bool {
        let parts = self.path.split('/');
        !self.path.contains(['\\', ':', '?', '#', '%'])
            && parts.into_iter().all(|part| !part.is_empty() && !part.starts_with('.'))
    }
}

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
            let config = self.config.resized(0, tied);
            let ends = checkpoint.read_model(&config, &self.device).map_err(wrap)?;
            self.ends.insert(path, ends);
        } else {
            let layer = checkpoint.read_layer(&self.config, &self.device).map_err(wrap)?;
            self.layers.insert(path, layer);
        }
        Ok(())
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> BundleFile {
        BundleFile::of(path.to_owned(), b"weights")
    }

    #[test]
    fn a_damaged_file_is_told_from_a_short_one() {
        assert!(matches!(file("a").verify(b"weight"), Err(BundleError::Length { .. })));
        assert!(matches!(file("a").verify(b"weightz"), Err(BundleError::Hash { .. })));
        assert!(file("a").verify(b"weights").is_ok());
    }

    #[test]
    fn paths_stay_below_the_manifest() {
        assert!(file("teacher/layer-00.safetensors").is_below());
        for path in ["../x", "/x", "a//b", "http://x", "a\\b", "a/../b", ".hidden"] {
            assert!(!file(path).is_below(), "{path}");
        }
    }
}
