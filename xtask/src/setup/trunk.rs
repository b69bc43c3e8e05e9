//! trunk, which builds the page.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cargo_install::{self, Optimized};
use super::{WasmToolchain, found, installing};
use crate::run::{Workspace, answer, find_program};
use crate::version::Version;

/// Also in Trunk.toml. The next release needs a newer Rust than this workspace.
const OLDEST: Version = Version::new(0, 21, 14);

/// Finds a trunk that is new enough, or installs one.
pub(super) fn ensure(workspace: &Workspace, wasm: &WasmToolchain) -> Result<PathBuf> {
    let find = || {
        let trunk = find_program("trunk", &wasm.path(workspace))?;
        let version = Version::parse_answer(&answer(&trunk, &["--version"])?)?;
        Some((trunk, version))
    };
    match find() {
        Some((trunk, version)) if version >= OLDEST => {
            found(&format!("trunk {version}"), trunk.display());
            return Ok(trunk);
        }
        Some((trunk, version)) => {
            let why = format!("{} is {version}, which is too old", trunk.display());
            installing(&format!("trunk {OLDEST}"), "cargo install", &why);
        }
        None => installing(&format!("trunk {OLDEST}"), "cargo install", "it builds the page"),
    }
    // Without its own lock file this version does not compile.
    let version = OLDEST.to_string();
    cargo_install::install(workspace, "trunk", &version, &["--locked"], Optimized::No)?;
    let (trunk, _) = find().context("cargo install ended well but there is still no trunk")?;
    Ok(trunk)
}
