//! Tools for building and testing; one file for each.
//!
//! Only missing tools are installed: Rust tools into the user's cache folder, system packages with
//! apt-get. Where there is no apt-get, a message names what to install.

mod apt;
mod axe;
mod browser;
mod cargo_install;
mod mpi;
mod trunk;
pub(crate) mod vulkan;
mod wasm;
mod wasm_bindgen;

use std::path::PathBuf;

use anyhow::Result;

use crate::run::Workspace;

pub(crate) use browser::Browser;
pub(crate) use wasm::{TARGET as WASM_TARGET, WasmToolchain};

/// Tools that build the page.
pub(crate) struct PageTools {
    pub(crate) wasm: WasmToolchain,
    pub(crate) trunk: PathBuf,
}

/// Tools that the tests need besides cargo.
pub(crate) struct TestTools {
    pub(crate) browser: Browser,
    /// The script of axe-core, if it could be installed
    pub(crate) axe: Option<PathBuf>,
    /// Whether programs can be built with MPI
    pub(crate) has_mpi: bool,
}

impl TestTools {
    /// The features of all tests that can run here, as arguments of cargo.
    pub(crate) fn features(&self) -> &'static [&'static str] {
        if self.has_mpi { &["--features", "boomerang-tests/mpi"] } else { &[] }
    }
}

/// Makes sure that the npm package can be built.
pub(crate) fn for_module(workspace: &Workspace) -> Result<WasmToolchain> {
    let wasm = wasm::ensure()?;
    wasm_bindgen::ensure(workspace, &wasm)?;
    Ok(wasm)
}

/// Makes sure that the page can be built.
pub(crate) fn for_page(workspace: &Workspace) -> Result<PageTools> {
    let wasm = for_module(workspace)?;
    let trunk = trunk::ensure(workspace, &wasm)?;
    Ok(PageTools { wasm, trunk })
}

/// Makes sure that the page can be built and that all tests can run.
pub(crate) fn for_tests(workspace: &Workspace) -> Result<TestTools> {
    // System packages first: they are fast, and may fail.
    let browser = browser::ensure()?;
    vulkan::ensure()?;
    let axe = axe::ensure(workspace).inspect_err(|error| {
        println!("{error:#}\nSkipping the tests with axe-core.");
    });
    let axe = axe.ok();
    let has_mpi = mpi::ensure()
        .inspect_err(|error| println!("{error:#}\nSkipping the tests with several processes."))
        .is_ok();
    for_page(workspace)?;
    Ok(TestTools { browser, axe, has_mpi })
}

/// Prints what was found.
fn found(what: &str, path: impl std::fmt::Display) {
    println!("Found {what}: {path}");
}

/// Prints what is about to be installed, and how.
fn installing(what: &str, how: &str, why: &str) {
    println!("Installing {what} with {how}: {why}");
}
