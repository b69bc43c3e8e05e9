//! What has to be on the machine before anything can be built or tested; one file for each tool.
//!
//! Everything is looked for first and installed only when it is missing: Rust tools into the user's
//! cache folder, system packages with apt-get where it exists. Elsewhere the reader is told what to
//! install.

mod apt;
mod axe;
mod browser;
mod cargo_install;
mod trunk;
pub(crate) mod vulkan;
mod wasm;
mod wasm_bindgen;

use std::path::PathBuf;

use anyhow::Result;

use crate::run::Workspace;

pub(crate) use browser::Browser;
pub(crate) use wasm::WasmToolchain;

/// What the page is built with.
pub(crate) struct PageTools {
    pub(crate) wasm: WasmToolchain,
    pub(crate) trunk: PathBuf,
}

/// What the tests need beside cargo.
pub(crate) struct TestTools {
    pub(crate) page: PageTools,
    pub(crate) browser: Browser,
    /// The script of axe-core, where it could be had
    pub(crate) axe: Option<PathBuf>,
}

/// Makes sure that the page can be built.
pub(crate) fn for_page(workspace: &Workspace) -> Result<PageTools> {
    let wasm = wasm::ensure()?;
    wasm_bindgen::ensure(workspace, &wasm)?;
    let trunk = trunk::ensure(workspace, &wasm)?;
    Ok(PageTools { wasm, trunk })
}

/// Makes sure that the page can be built and that all tests can run.
pub(crate) fn for_tests(workspace: &Workspace) -> Result<TestTools> {
    // System packages first: they are quick, and where they cannot be installed nobody has waited.
    let browser = browser::ensure()?;
    vulkan::ensure()?;
    let axe = axe::ensure(workspace).inspect_err(|error| {
        println!("{error:#}\nThe tests with axe-core are left out.");
    });
    let axe = axe.ok();
    let page = for_page(workspace)?;
    Ok(TestTools { page, browser, axe })
}

/// Says what was found, in the same words for every tool.
fn found(what: &str, place: impl std::fmt::Display) {
    println!("Found {what}: {place}");
}

/// Says what is about to be installed and from where.
fn installing(what: &str, how: &str, why: &str) {
    println!("Installing {what} with {how}: {why}");
}
