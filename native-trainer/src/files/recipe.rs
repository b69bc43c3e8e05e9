//! A member in two kilobytes: which layers of which parents, and the folders of the parents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::{Checkpoint, Parent};
use boomerang_core::config::ModelConfig;
use boomerang_core::plan::{HeadPolicy, Recipe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ModelFolder;
use crate::exit::{Exit, OrExit};

/// The recipe's name beside the weights of its member.
pub const RECIPE: &str = "recipe.json";

/// A recipe as a file; it is accepted wherever a model's folder is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecipeFile {
    pub format: String,
    pub version: u32,
    pub teacher: ParentFile,
    pub student: ParentFile,
    pub head: HeadPolicy,
    pub recipe: Recipe,
    /// SHA-256 of the weight files beside the recipe, if there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// A parent: its folder, relative to the recipe's, and its fingerprints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParentFile {
    pub folder: PathBuf,
    /// SHA-256 of config and tensor names, dtypes and shapes.
    pub headers_sha256: String,
    /// Of samples of the weights; recipes of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
}

/// Teacher and student of a recipe, opened.
pub struct Parents {
    pub teacher: Box<ModelFolder>,
    pub student: Box<ModelFolder>,
    pub recipe: Recipe,
    pub head: HeadPolicy,
}

impl RecipeFile {
    const FORMAT: &'static str = "boomerang-recipe";
    const VERSION: u32 = 1;

    /// # Errors
    /// When a parent's weights cannot be parsed.
    pub fn new(
        recipe: &Recipe,
        head: HeadPolicy,
        teacher: &ModelFolder,
        student: &ModelFolder,
    ) -> anyhow::Result<Self> {
        let parent = |folder: &ModelFolder| -> anyhow::Result<ParentFile> {
            let path = folder.path();
            let absolute = std::path::absolute(path)?;
            Ok(ParentFile {
                folder: absolute,
                headers_sha256: fingerprint(folder)?,
                weights_sha256: Some(folder.fingerprint()?.weights),
            })
        };
        Ok(Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            teacher: parent(teacher)?,
            student: parent(student)?,
            head,
            recipe: recipe.clone(),
            files: BTreeMap::new(),
        })
    }

    /// # Errors
    /// Never: a recipe is plain data.
    pub fn to_json(&self) -> anyhow::Result<Vec<u8>> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?).into_bytes())
    }

    /// # Errors
    /// When the file is not a recipe that this version reads.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = super::read_text(path)?;
        let file: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a recipe", path.display()))
            .or_exit(Exit::Unusable)?;
        if file.format != Self::FORMAT || file.version != Self::VERSION {
            return Err(Exit::Unusable.error(format!(
                "{} has format {:?}, version {}; expected {:?}, version {}",
                path.display(),
                file.format,
                file.version,
                Self::FORMAT,
                Self::VERSION
            )));
        }
        Ok(file)
    }

    /// Opens the parents; a relative folder is relative to the recipe's.
    ///
    /// # Errors
    /// When the file is not a recipe, or a parent is missing or has changed.
    pub fn open(path: &Path) -> anyhow::Result<Parents> {
        let file = Self::read(path)?;
        let beside = super::parent(path);
        let open = |parent: &ParentFile, name: &str| -> anyhow::Result<Box<ModelFolder>> {
            let folder = ModelFolder::open_here(&beside.join(&parent.folder))
                .with_context(|| format!("the {name} of the recipe {}", path.display()))?;
            let changed = |what: &str, found: &str, expected: &str| {
                Exit::Unusable.error(format!(
                    "{} has changed since {} was written: the {name}'s {what} have SHA-256 {found}, \
                     expected {expected}; write the recipe again",
                    folder.path().display(),
                    path.display(),
                ))
            };
            let found = fingerprint(&folder)?;
            if found != parent.headers_sha256 {
                return Err(changed("headers", &found, &parent.headers_sha256));
            }
            if let Some(expected) = &parent.weights_sha256 {
                let found = folder.fingerprint()?.weights;
                if found != *expected {
                    return Err(changed("weights", &found, expected));
                }
            }
            Ok(Box::new(folder))
        };
        Ok(Parents {
            teacher: open(&file.teacher, "teacher")?,
            student: open(&file.student, "student")?,
            recipe: file.recipe,
            head: file.head,
        })
    }
}

impl Parents {
    /// The member's tensors and config.
    ///
    /// # Errors
    /// When the parents do not make the member.
    pub fn member(&self) -> anyhow::Result<(Checkpoint<'_>, ModelConfig)> {
        member(&self.recipe, self.head, &self.teacher, &self.student)
    }
}

/// The member of two folders that a recipe describes; only headers are read.
///
/// # Errors
/// When the parents do not make the member.
pub fn member<'folder>(
    recipe: &Recipe,
    head: HeadPolicy,
    teacher: &'folder ModelFolder,
    student: &'folder ModelFolder,
) -> anyhow::Result<(Checkpoint<'folder>, ModelConfig)> {
    let checkpoints = (teacher.checkpoint()?, student.checkpoint()?);
    let member = Checkpoint::member(
        recipe,
        head,
        Parent { checkpoint: &checkpoints.0, config: teacher.config() },
        Parent { checkpoint: &checkpoints.1, config: student.config() },
    );
    member
        .with_context(|| {
            format!("{} as a student of {}", student.path().display(), teacher.path().display())
        })
        .or_exit(Exit::Unusable)
}

fn fingerprint(folder: &ModelFolder) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(folder.config().to_json());
    for (name, view) in folder.checkpoint()?.tensors() {
        hasher.update(format!("{name} {:?} {:?}\n", view.dtype(), view.shape()));
    }
    Ok(hex(&hasher.finalize()))
}
