//! A family as static files for the page: one weight file per layer and a manifest with hashes.
//!
//! The student comes first, then the teacher's layers in the order in which they are patched, so
//! that the page can run the sizes it has while the rest is downloading. A bundle may also hold
//! recorded generations and an evaluation task.

mod cut;
mod file;
mod loader;
mod packed;
mod recordings;
mod shared_ends;
mod stored;
mod task_file;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use cut::{CutFamily, CutFile, Piece, StoredModel};
pub use file::{BundleFile, hex};
pub use loader::BundleLoader;
pub use recordings::{RecordError, RecordedMember, RecordedText, Recordings};
pub use stored::{Stored, StoringLoss};
pub use task_file::TaskFile;
pub use write::{BundleContents, StudentContents, as_stored, bundle_files, student_files};

use crate::checkpoint::CheckpointError;
use crate::config::{ConfigError, ModelConfig};
use crate::curve::SizeCurve;
use crate::plan::{LayerPlan, Owner, Patch, PatchOrder, PlanError};
use crate::prune::FamilyError;
use crate::tokenizer::TokenizerError;

/// File name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// Everything about a bundle except the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `boomerang-bundle`.
    pub format: String,
    pub version: u32,
    pub name: String,
    /// The teacher's `config.json`.
    pub config: serde_json::Value,
    /// The end-of-text tokens, if the teacher's `generation_config.json` differs from its
    /// `config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_tokens: Option<Vec<u32>>,
    /// How conversations are written, if the teacher has a chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatFormat>,
    pub plan: LayerPlan,
    pub order: PatchOrder,
    pub tokenizer: BundleFile,
    /// The tokenizer compressed with gzip, for servers that do not compress what they send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer_gz: Option<BundleFile>,
    pub teacher: ModelFiles,
    pub student: ModelFiles,
    pub curve: SizeCurve,
    /// Cosine similarity of each student layer's output with its block's output.
    pub similarity: Vec<f64>,
    /// Example prompts.
    pub prompts: Vec<String>,
    /// [`Recordings`], as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordings: Option<BundleFile>,
    /// A [`TaskFile`], as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<BundleFile>,
    /// Number format of the weights and its measured loss, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// The teacher's chat template, and the special tokens that it may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatFormat {
    /// In Jinja, as transformers renders it.
    pub template: String,
    /// Names and texts, such as `bos_token`.
    #[serde(default)]
    pub special_tokens: BTreeMap<String, String>,
}

/// The files of teacher or student.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// Embedding, final norm, and the head unless tied. In a bundle of version 2, both models have the
    /// same file.
    pub ends: BundleFile,
    /// The student's vectors that differ from those in [`ModelFiles::ends`], if that is the teacher's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_ends: Option<BundleFile>,
    pub tied: bool,
    /// First layer first.
    pub layers: Vec<BundleFile>,
}

impl ModelFiles {
    /// The files with what is outside the layers.
    pub fn ends(&self) -> impl Iterator<Item = &BundleFile> {
        [&self.ends].into_iter().chain(&self.own_ends)
    }

    pub fn files(&self) -> impl Iterator<Item = &BundleFile> {
        self.ends().chain(&self.layers)
    }
}

/// Why a bundle cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    #[error("not a bundle manifest: {0}")]
    Manifest(#[from] serde_json::Error),
    #[error(
        "the manifest has format {format:?}, version {version}; expected {:?}, version {} to {}",
        Manifest::FORMAT,
        Manifest::FIRST_VERSION,
        Manifest::VERSION
    )]
    Version { format: String, version: u32 },
    #[error("{path:?} is not a relative path inside the bundle")]
    Path { path: String },
    #[error("{path} is not loaded")]
    Missing { path: String },
    #[error("{path} has {found} bytes; the manifest lists {expected}")]
    Length { path: String, found: usize, expected: u64 },
    #[error("{path} is corrupt: its SHA-256 does not match the manifest; download it again")]
    Hash { path: String },
    #[error("the manifest lists no {what}")]
    NotListed { what: &'static str },
    #[error("{path} is not JSON of the expected format")]
    Json { path: String, source: serde_json::Error },
    #[error("{path} cannot be used: {reason}")]
    Unfit { path: String, reason: String },
    #[error(
        "the manifest's files of student and teacher are neither distinct nor shared as version 2 \
         allows"
    )]
    Ends,
    #[error("the manifest lists {found} {owner} layers; the plan has {expected}")]
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

impl BundleError {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Version { format, version }
                if format == Manifest::FORMAT && *version > Manifest::VERSION =>
            {
                "The bundle is from a newer version of Boomerang: use the page and the command line of \
                 that version."
            }
            Self::Length { .. } | Self::Hash { .. } => "Download the bundle again.",
            _ => "Create the bundle again with `boomerang bundle` of this version.",
        }
    }
}

impl Manifest {
    pub const FORMAT: &'static str = "boomerang-bundle";
    /// The newest version, of families whose models have the same [`ModelFiles::ends`].
    pub const VERSION: u32 = 2;
    /// The version of all others, which older programs read too.
    pub const FIRST_VERSION: u32 = 1;

    /// # Errors
    /// [`BundleError`] for another format, a path outside the bundle, or layer lists that do not
    /// match the plan.
    pub fn from_json(text: &str) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Header {
            format: String,
            version: u32,
        }
        let Header { format, version } = serde_json::from_str(text)?;
        if format != Self::FORMAT || !(Self::FIRST_VERSION..=Self::VERSION).contains(&version) {
            return Err(BundleError::Version { format, version });
        }
        let manifest: Self = serde_json::from_str(text)?;
        if let Some(file) = manifest.files().chain(manifest.extras()).find(|file| !file.is_below())
        {
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
        manifest.ensure_ends_are_distinct_or_shared()?;
        manifest.order.layers(&manifest.plan)?;
        manifest.config()?;
        Ok(manifest)
    }

    /// The teacher's config.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn config(&self) -> Result<ModelConfig, ConfigError> {
        let config = ModelConfig::from_json(&self.config.to_string())?;
        Ok(match &self.end_tokens {
            Some(end_tokens) => config.with_end_tokens(end_tokens.clone()),
            None => config,
        })
    }

    /// The files that all members are made of, in the order in which the page should download them:
    /// tokenizer, student, then the teacher in patch order.
    pub fn files(&self) -> impl Iterator<Item = &BundleFile> {
        let student = self.student.files();
        let order = self.order.layers(&self.plan).unwrap_or_default();
        let teacher_layers = order
            .into_iter()
            .flat_map(|layer| self.plan.block(layer))
            .filter_map(|layer| self.teacher.layers.get(layer));
        let is_new = |file: &&BundleFile| file.path != self.student.ends.path;
        let teacher = self.teacher.ends().filter(is_new).chain(teacher_layers);
        [&self.tokenizer].into_iter().chain(student).chain(teacher)
    }

    /// Optional files, which older bundles lack.
    pub fn extras(&self) -> impl Iterator<Item = &BundleFile> {
        self.recordings.iter().chain(&self.task).chain(&self.tokenizer_gz)
    }

    /// The files that a member is made of, in download order.
    pub fn files_of(&self, patch: &Patch) -> Vec<&BundleFile> {
        let recipe = self.plan.recipe(patch);
        let layers = recipe.layers.iter().filter_map(|source| {
            let (owner, layer) = source.place();
            self.of(owner).layers.get(layer)
        });
        let ends = [recipe.embedding, recipe.head].map(|owner| self.of(owner).ends());
        let ends = ends.into_iter().flatten();
        let own: Vec<&str> = ends.chain(layers).map(|file| file.path.as_str()).collect();
        let is_own = |file: &&BundleFile| {
            file.path == self.tokenizer.path || own.contains(&file.path.as_str())
        };
        self.files().filter(is_own).collect()
    }

    /// The files of teacher or student.
    pub fn of(&self, owner: Owner) -> &ModelFiles {
        match owner {
            Owner::Student => &self.student,
            Owner::Teacher => &self.teacher,
        }
    }

    /// Identifies this family: twelve hexadecimal digits of a SHA-256 over weights, tokenizer,
    /// config, end-of-text tokens, chat template, plan and patch order. Measurements are not included.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let Self { config, chat, plan, order, .. } = self;
        let layers = format!("{config} {:?} {}", plan.kept(), order.name());
        hash.update(layers);
        if let Some(end_tokens) = &self.end_tokens {
            hash.update(format!(" {end_tokens:?}"));
        }
        if let Some(chat) = chat {
            hash.update(format!(" {chat:?}"));
        }
        for file in [&self.tokenizer].into_iter().chain(self.weights()) {
            hash.update(&file.sha256);
        }
        hex(&hash.finalize()[..6])
    }

    /// Identifies the teacher as [`Manifest::fingerprint`] does the family: weights, tokenizer and config.
    pub fn teacher_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.config.to_string());
        for file in [&self.tokenizer].into_iter().chain(self.teacher.files()) {
            hash.update(&file.sha256);
        }
        hex(&hash.finalize()[..6])
    }

    /// The order of patching for another student of this teacher: a searched one refers to the layers of
    /// its own student.
    pub fn order_of_another_student(&self) -> PatchOrder {
        match &self.order {
            PatchOrder::Found(_) => PatchOrder::Last,
            order => order.clone(),
        }
    }

    /// The weight files of both parents; a shared file is listed twice.
    pub fn weights(&self) -> impl Iterator<Item = &BundleFile> {
        [&self.student, &self.teacher].into_iter().flat_map(ModelFiles::files)
    }

    /// Total size of [`Manifest::files`].
    pub fn n_bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }
}
