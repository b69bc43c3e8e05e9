//! The inputs of the running command, so that no output overwrites them.
//!
//! Everything that is opened through [`super`] is recorded here, also what no argument names: the
//! parents of a recipe, the files that a task includes, the snapshot of a Hub id. An output is
//! checked against this list when it is opened and again before it replaces anything.
//!
//! The list belongs to the thread, since a command opens its inputs and outputs on one.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{FileError, Result};

thread_local! {
    static INPUTS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Records a file or a folder that the command reads, or is about to.
pub fn note_input(path: &Path) {
    INPUTS.with_borrow_mut(|inputs| {
        if !inputs.iter().any(|input| input == path) {
            inputs.push(path.to_owned());
        }
    });
}

/// Empties the list; a command has ended.
pub fn forget_inputs() {
    INPUTS.with_borrow_mut(Vec::clear);
}

/// Refuses an output that is an input, contains one, or is inside of one, by whatever name.
///
/// # Errors
/// Names both paths.
pub fn refuse_inputs(output: &Path) -> Result<()> {
    let inputs = INPUTS.with_borrow(Clone::clone);
    match inputs.iter().find_map(|input| Some((input, relation(output, input)?))) {
        None => Ok(()),
        Some((input, relation)) => Err(FileError::Refused(format!(
            "the output {} {relation} {}, which this command reads; choose another path for the \
             output",
            output.display(),
            input.display()
        ))),
    }
}

/// How an output would overwrite an input.
fn relation(output: &Path, input: &Path) -> Option<&'static str> {
    let (outputs, inputs) = (resolutions(output), resolutions(input));
    let any = |is: fn(&Path, &Path) -> bool| {
        outputs.iter().any(|output| inputs.iter().any(|input| is(output, input)))
    };
    if any(is_same) {
        Some("is the input")
    } else if any(|output, input| is_inside(input, output)) {
        Some("contains the input")
    } else if any(is_inside) {
        Some("is inside the input")
    } else {
        None
    }
}

/// The path with the links of its folders resolved, and in turn what it links to: replacing any of
/// them would break the path to the input.
fn resolutions(path: &Path) -> Vec<PathBuf> {
    const MOST_LINKS: usize = 40;
    let mut found = Vec::new();
    let mut next = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        let here = with_real_folder(&next);
        let link = fs::read_link(&here);
        let folder = here.parent().unwrap_or(&here).to_owned();
        found.push(here);
        match link {
            Ok(link) => next = folder.join(link),
            Err(_) => break,
        }
    }
    found
}

/// Resolves the links of the folders, as far as these exist, but not the last name.
fn with_real_folder(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => match folder.canonicalize() {
            Ok(folder) => folder.join(name),
            Err(_) => with_real_folder(folder).join(name),
        },
        // The root, or a path that ends in `..`.
        _ => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
    }
}

fn is_inside(inner: &Path, outer: &Path) -> bool {
    inner.ancestors().skip(1).any(|ancestor| is_same(ancestor, outer))
}

/// Whether two paths name the same file or folder, also on case-insensitive file systems or by hard
/// links.
fn is_same(left: &Path, right: &Path) -> bool {
    left == right || identity(left).is_some_and(|left| Some(left) == identity(right))
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    path.symlink_metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `model/weights`, `data/text` and `empty` in a folder of its own.
    fn folders() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (inner, name) in [("model", "weights"), ("data", "text")] {
            fs::create_dir(folder.path().join(inner)).unwrap();
            fs::write(folder.path().join(inner).join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        folder
    }

    fn refusal(root: &Path, input: &str, output: &str) -> Option<String> {
        forget_inputs();
        note_input(&root.join(input));
        let error = refuse_inputs(&root.join(output)).err()?;
        assert!(matches!(error, FileError::Refused(_)));
        Some(error.to_string())
    }

    #[test]
    fn an_output_is_not_an_input_contains_none_and_is_inside_of_none() {
        let root = folders();
        for (input, output, relation) in [
            ("model", "model", "is the input"),
            ("model", "empty/../model", "is the input"),
            ("data/text", "data/text", "is the input"),
            ("data/text", "data", "contains the input"),
            ("model", ".", "contains the input"),
            ("model", "model/new/folder", "is inside the input"),
            ("model", "model/weights", "is inside the input"),
        ] {
            let sentence = refusal(root.path(), input, output).unwrap();
            assert!(sentence.contains(relation), "{output}: {sentence}");
            assert!(sentence.contains(&*root.path().join(input).to_string_lossy()), "{sentence}");
        }
    }

    #[test]
    fn an_output_beside_an_input_is_fine() {
        let root = folders();
        for output in ["new", "data/new", "empty", "model2", "new/deep/model"] {
            assert_eq!(refusal(root.path(), "model", output), None, "{output}");
        }
        assert_eq!(refusal(root.path(), "data/text", "data/new"), None);
    }

    #[cfg(unix)]
    #[test]
    fn links_hide_no_input() {
        use std::os::unix::fs::symlink;
        let root = folders();
        let path = |name: &str| root.path().join(name);
        symlink(path("model"), path("link")).unwrap();
        symlink("link", path("empty/second")).unwrap();
        fs::remove_file(path("empty/second")).unwrap();
        symlink("../link", path("empty/second")).unwrap();
        fs::hard_link(path("data/text"), path("hard")).unwrap();
        for (input, output) in [
            ("link", "model"),
            ("model", "link"),
            ("model", "empty/second"),
            ("empty/second", "model/x"),
            // The link on the way to the input, and the folder that holds this link.
            ("empty/second", "link"),
            ("empty/second", "empty"),
            ("link/weights", "model"),
            ("data/text", "hard"),
        ] {
            assert!(refusal(root.path(), input, output).is_some(), "{input}, {output}");
        }
    }

    #[test]
    fn an_input_that_is_still_to_be_created_is_guarded() {
        let root = folders();
        assert!(refusal(root.path(), "out/cache", "out").is_some());
        assert!(refusal(root.path(), "out", "out/x").is_some());
    }
}
