//! The files that hold a model's weights: one, or those that an index names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use boomerang_core::checkpoint::shard_names;

use super::imported::Imported;
use super::recipe::Parents;
use super::stream::Sources as _;
use super::{Mapped, describe_folder, map, read_text};
use crate::exit::{Exit, OrExit};
use boomerang_core::checkpoint::files::{INDEX, WEIGHTS};
use boomerang_hub::HubId;

/// Where the weights of a model are.
pub(super) enum Weights {
    /// Names and bytes.
    Files(Vec<(String, Mapped)>),
    /// A recipe's: the weights are the parents'.
    Parents(Parents),
    /// Those of a GGUF file, in the formats of the file or widened.
    Gguf(Imported),
}

impl Weights {
    /// Releases the memory of weights that have been read.
    pub(super) fn release(&self, bytes: &[u8]) {
        match self {
            Self::Files(files) => files.iter().for_each(|(_, mapped)| mapped.release(bytes)),
            Self::Parents(parents) => {
                parents.teacher.release(bytes);
                parents.student.release(bytes);
            }
            Self::Gguf(imported) => imported.release(bytes),
        }
    }

    /// The files of the model in `folder`, with their paths.
    pub(super) fn files(&self, folder: &Path) -> Vec<(PathBuf, &Mapped)> {
        match self {
            Self::Files(files) => {
                files.iter().map(|(name, mapped)| (folder.join(name), mapped)).collect()
            }
            Self::Parents(parents) => {
                let both = [&parents.teacher, &parents.student];
                both.into_iter().flat_map(|parent| parent.weight_files()).collect()
            }
            Self::Gguf(imported) => {
                vec![(imported.file.path().to_owned(), imported.file.bytes())]
            }
        }
    }

    /// The file of these mapped bytes, and their offset in it.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        match self {
            Self::Files(files) => {
                files.iter().find_map(|(_, mapped)| Some((mapped.file(), mapped.offset_of(bytes)?)))
            }
            Self::Parents(parents) => {
                parents.teacher.find(bytes).or_else(|| parents.student.find(bytes))
            }
            Self::Gguf(imported) => imported.find(bytes),
        }
    }
}

/// Maps the weights in `folder`: file names and bytes, in the order of the names.
///
/// # Errors
/// Names the file that is missing or invalid.
pub(super) fn map_all(folder: &Path) -> anyhow::Result<Vec<(String, Mapped)>> {
    let names = find(folder)?;
    names.into_iter().map(|name| Ok((name.clone(), map_one(&folder.join(name))?))).collect()
}

fn find(folder: &Path) -> anyhow::Result<Vec<String>> {
    if folder.join(WEIGHTS).exists() {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    let index = folder.join(INDEX);
    if !index.exists() {
        return Err(lacks(folder, WEIGHTS));
    }
    let names = shard_names(&read_text(&index)?).with_context(|| index.display().to_string())?;
    let missing: Vec<&str> =
        names.iter().filter(|name| !folder.join(name).exists()).map(String::as_str).collect();
    if names.is_empty() {
        return Err(Exit::Unusable.error(format!("{} lists no files", index.display())));
    }
    if !missing.is_empty() {
        return Err(Exit::Unusable.error(format!(
            "{}: {} of {} weight files are missing ({}); download the model again",
            folder.display(),
            missing.len(),
            names.len(),
            missing.join(", ")
        )));
    }
    for name in &names {
        refuse_link_outwards(folder, name)?;
    }
    Ok(names)
}

/// An index may come from anybody, so its files must not be links out of the folder either. Links
/// of the Hub cache, from a snapshot to the blobs beside it, are allowed.
fn refuse_link_outwards(folder: &Path, name: &str) -> anyhow::Result<()> {
    let (Ok(file), Ok(folder)) = (fs::canonicalize(folder.join(name)), fs::canonicalize(folder))
    else {
        // A broken link is an error when it is read.
        return Ok(());
    };
    let is_cached = hub_blobs(&folder).is_some_and(|blobs| file.starts_with(blobs));
    if file.starts_with(&folder) || is_cached {
        return Ok(());
    }
    Err(Exit::Unusable.error(format!(
        "{name} in {} is a link out of the folder, to {}; replace it with the file itself",
        folder.display(),
        file.display()
    )))
}

/// `…/blobs`, for a folder `…/snapshots/REVISION`.
fn hub_blobs(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.parent().filter(|parent| parent.ends_with("snapshots"))?;
    Some(snapshots.parent()?.join("blobs"))
}

fn map_one(path: &Path) -> anyhow::Result<Mapped> {
    let bytes = map(path).or_exit(Exit::Unusable)?;
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Exit::Unusable.error(format!(
            "{} is a Git LFS pointer, not the weights; run `git lfs pull` in its folder",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The error for a folder without the file `name` of a model.
pub(super) fn lacks(folder: &Path, name: &str) -> anyhow::Error {
    let advice = if folder.join("pytorch_model.bin").exists() {
        "; pytorch_model.bin is not supported, because loading a pickle can run code: save the model as \
         safetensors first"
    } else {
        ""
    };
    Exit::Unusable.error(format!(
        "{name} is missing: {}; expected config.json and model.safetensors in a model folder{advice}",
        describe_folder(folder)
    ))
}

/// The error for a `path` that is not a folder.
pub(super) fn not_a_folder(path: &Path) -> anyhow::Error {
    if path.is_file() {
        return Exit::Unusable.error(format!(
            "{} is a file; expected a model folder with config.json and model.safetensors",
            path.display()
        ));
    }
    let meant = HubId::meant_by(&path.to_string_lossy());
    let meant = meant.map(|id| format!("; did you mean the Hub id {id}?"));
    Exit::Unusable.error(format!(
        "{} does not exist; expected a folder with config.json and model.safetensors, or a Hub id \
         such as owner/name{}",
        path.display(),
        meant.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::folder_of;
    use super::*;
    use crate::exit::{code_of, describe};

    const TWO_SHARDS: &[u8] = br#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}"#;

    fn refusal(folder: &Path) -> String {
        let Err(error) = map_all(folder) else { panic!("{} was accepted", folder.display()) };
        assert_eq!(code_of(&error), Exit::Unusable);
        describe(&error)
    }

    #[test]
    fn shards_come_in_the_order_of_their_names() {
        let folder =
            folder_of(&[(INDEX, TWO_SHARDS), ("1.safetensors", b"one"), ("2.safetensors", b"two")]);
        let files = map_all(folder.path()).unwrap();
        let found: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect();
        assert_eq!(found, [("1.safetensors", &b"one"[..]), ("2.safetensors", b"two")]);
    }

    #[test]
    fn a_missing_shard_is_named() {
        let folder = folder_of(&[(INDEX, TWO_SHARDS), ("1.safetensors", b"")]);
        assert!(refusal(folder.path()).contains("1 of 2 weight files are missing (2.safetensors)"));
    }

    #[test]
    fn a_git_lfs_pointer_is_not_read_as_weights() {
        let pointer = b"version https://git-lfs.example/spec/v1\noid sha256:00\n";
        let folder = folder_of(&[(WEIGHTS, pointer)]);
        assert!(refusal(folder.path()).contains("git lfs pull"));
    }

    #[test]
    fn pickled_weights_are_refused_with_the_reason() {
        let folder = folder_of(&[("pytorch_model.bin", b"")]);
        assert!(refusal(folder.path()).contains("save the model as safetensors"));
    }

    #[cfg(unix)]
    #[test]
    fn a_shard_that_is_a_link_out_of_the_folder_is_refused() {
        use std::os::unix::fs::symlink;
        let outside = folder_of(&[("secret", b"")]);
        let folder = folder_of(&[(INDEX, TWO_SHARDS), ("1.safetensors", b"")]);
        symlink(outside.path().join("secret"), folder.path().join("2.safetensors")).unwrap();
        assert!(refusal(folder.path()).contains("2.safetensors in"));
        assert!(refusal(folder.path()).contains("is a link out of the folder"));
    }

    #[cfg(unix)]
    #[test]
    fn shards_may_be_links_inside_of_the_folder_and_into_the_blobs_of_the_hubs_cache() {
        use std::os::unix::fs::symlink;
        let cache = folder_of(&[]);
        let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/abc"));
        for folder in [&blobs, &snapshot] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(blobs.join("00ff"), b"one").unwrap();
        fs::write(snapshot.join(INDEX), TWO_SHARDS).unwrap();
        symlink("../../blobs/00ff", snapshot.join("1.safetensors")).unwrap();
        symlink("1.safetensors", snapshot.join("2.safetensors")).unwrap();
        assert_eq!(map_all(&snapshot).unwrap().len(), 2);
    }

    #[test]
    fn an_index_that_names_files_outside_the_folder_is_refused() {
        let folder = folder_of(&[(INDEX, br#"{"weight_map": {"a": "../secret"}}"#)]);
        assert!(refusal(folder.path()).contains("not a plain file name"));
    }
}
