//! Several checkouts that share one target folder, each using builds of its own files.
//!
//! cargo gives the crates of two checkouts the same names there and detects changes only by time: a
//! build of one checkout after an edit of the other would be used for the other.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::run::Workspace;

/// The file in the target folder that names the checkout that built last.
const MARKER: &str = "boomerang-checkout";

/// The folders with our own sources, in which all members of the workspace lie.
const SOURCES: [&str; 6] = ["crates", "core", "native-trainer", "web", "tests", "xtask"];

/// Claims the target folder for this checkout: after a build of another one, our sources are marked
/// as just edited.
pub(crate) fn claim(workspace: &Workspace) -> Result<()> {
    let marker = workspace.target_dir.join(MARKER);
    let root = workspace.root.display().to_string();
    // Without a marker the last checkout is unknown; a needless rebuild takes a minute.
    if fs::read_to_string(&marker).is_ok_and(|owner| owner == root) {
        return Ok(());
    }
    for folder in SOURCES {
        touch_sources(&workspace.root.join(folder))?;
    }
    fs::create_dir_all(&workspace.target_dir)
        .and_then(|()| fs::write(&marker, root))
        .with_context(|| format!("writing {}", marker.display()))
}

fn touch_sources(folder: &Path) -> Result<()> {
    let unreadable = || format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_dir() {
            touch_sources(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let touched = File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            touched.with_context(|| format!("setting the time of {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(root: &Path, target_dir: &Path) -> Workspace {
        for folder in SOURCES {
            fs::create_dir_all(root.join(folder).join("src")).unwrap();
            fs::write(root.join(folder).join("src/lib.rs"), "").unwrap();
        }
        Workspace {
            root: root.to_owned(),
            target_dir: target_dir.to_owned(),
            tools: root.join("tools"),
        }
    }

    /// Whether a source keeps its time.
    fn stays_old(workspace: &Workspace) -> bool {
        let source = workspace.root.join("core/src/lib.rs");
        let old = SystemTime::UNIX_EPOCH;
        let file = File::options().append(true).open(&source).unwrap();
        file.set_modified(old).unwrap();
        claim(workspace).unwrap();
        fs::metadata(source).unwrap().modified().unwrap() == old
    }

    #[test]
    fn every_member_of_the_workspace_is_among_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
        let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
        for folder in SOURCES {
            let all = format!("{folder}/*");
            assert!(
                members.iter().any(|member| *member == folder || *member == all),
                "{folder} is not a member"
            );
        }
        for member in members {
            let is_there = SOURCES.iter().any(|folder| Path::new(member).starts_with(folder));
            assert!(is_there, "{member} is missing");
        }
    }

    #[test]
    fn sources_count_as_edited_only_after_another_checkout_built() {
        let folder = std::env::temp_dir().join(format!("boomerang-claim-{}", std::process::id()));
        let target_dir = folder.join("target");
        let first = checkout(&folder.join("first"), &target_dir);
        let second = checkout(&folder.join("second"), &target_dir);
        let found = [&first, &first, &second, &first, &first].map(stays_old);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [false, true, false, false, true]);
    }
}
