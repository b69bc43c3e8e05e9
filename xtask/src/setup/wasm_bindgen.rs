//! wasm-bindgen's command line tool, in exactly the version that the page is compiled with.

use std::fs;

use anyhow::{Context, Result, bail};

use super::cargo_install::{self, Optimized};
use super::{WasmToolchain, found, installing};
use crate::run::{Workspace, answer, find_program};
use crate::version::locked_version;

/// Makes sure that the `wasm-bindgen` which trunk will find matches Cargo.lock.
pub(super) fn ensure(workspace: &Workspace, wasm: &WasmToolchain) -> Result<()> {
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))
        .context("reading Cargo.lock; `cargo generate-lockfile` makes one")?;
    let expected = locked_version(&lock, "wasm-bindgen")
        .context("Cargo.lock has no wasm-bindgen, which the page needs")?;

    let fits = || match find_program("wasm-bindgen", &wasm.path(workspace)) {
        Some(tool) => {
            let answer = answer(&tool, &["--version"])?;
            (answer.split_whitespace().nth(1) == Some(expected)).then_some(tool)
        }
        None => None,
    };
    if let Some(tool) = fits() {
        found(&format!("wasm-bindgen {expected}"), tool.display());
        return Ok(());
    }
    installing(
        &format!("wasm-bindgen-cli {expected}"),
        "cargo install",
        "it must equal the version of wasm-bindgen in Cargo.lock",
    );
    cargo_install::install(workspace, "wasm-bindgen-cli", expected, &[], Optimized::Little)?;
    if fits().is_none() {
        bail!("cargo install succeeded, but there is still no wasm-bindgen {expected}");
    }
    Ok(())
}
