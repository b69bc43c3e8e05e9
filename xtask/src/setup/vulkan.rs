//! A Vulkan loader and a driver, for the tests that compute on a GPU or on a software adapter.
//!
//! macOS and Windows need neither: wgpu uses Metal and DX12 there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{apt, found};
use crate::run::{answer, set_variable};

const LOADER: &str = "libvulkan.so.1";
const LOADER_FOLDERS: &[&str] = &[
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];
const DRIVER_FOLDERS: &[&str] =
    &["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

pub(super) fn ensure() -> Result<()> {
    if env::consts::OS != "linux" {
        return Ok(());
    }
    if let (true, Some(driver)) = (has_loader(), driver()) {
        found("a Vulkan driver", driver.display());
        return Ok(());
    }
    apt::install(
        &["mesa-vulkan-drivers", "libvulkan1"],
        "the GPU tests need a Vulkan loader and a driver (a software one is enough)",
    )
    .context("no Vulkan for the tests")?;
    if !has_loader() || driver().is_none() {
        bail!("apt-get succeeded, but there is still no {LOADER} or no driver in icd.d");
    }
    Ok(())
}

/// Whether wgpu will be able to load Vulkan at all.
pub(crate) fn has_loader() -> bool {
    let listed = ["ldconfig", "/sbin/ldconfig"]
        .iter()
        .filter_map(|ldconfig| answer(ldconfig, &["-p"]))
        .any(|libraries| libraries.contains(LOADER));
    listed || LOADER_FOLDERS.iter().any(|folder| Path::new(folder).join(LOADER).exists())
}

/// The description of one of the drivers that the loader will find.
fn driver() -> Option<PathBuf> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().find_map(|name| set_variable(name));
    named.or_else(|| {
        let files = DRIVER_FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        files
            .flatten()
            .map(|file| file.path())
            .find(|file| file.extension().is_some_and(|extension| extension == "json"))
    })
}
