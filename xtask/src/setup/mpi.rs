//! Open MPI and libclang, for the tests that train with several processes.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{apt, found};
use crate::run::{answer, find_program};

/// # Errors
/// Where there is no MPI, and none can be installed.
pub(super) fn ensure() -> Result<()> {
    if let (Some(compiler), Some(_), true) = (program("mpicc"), program("mpirun"), has_libclang()) {
        found("MPI", compiler.display());
        return Ok(());
    }
    if env::consts::OS != "linux" {
        bail!("MPI is missing; install Open MPI and libclang");
    }
    apt::install(
        &["libopenmpi-dev", "openmpi-bin", "libclang-dev"],
        "training with several processes needs MPI, and libclang to read its headers",
    )
    .context("no MPI for the tests")?;
    if program("mpicc").is_none() || program("mpirun").is_none() {
        bail!("apt-get succeeded, but there is still no mpicc or no mpirun");
    }
    Ok(())
}

fn program(name: &str) -> Option<PathBuf> {
    find_program(name, &env::var_os("PATH").unwrap_or_default())
}

/// Where bindgen looks first.
fn has_libclang() -> bool {
    let listed = ["ldconfig", "/sbin/ldconfig"]
        .iter()
        .filter_map(|ldconfig| answer(ldconfig, &["-p"]))
        .any(|libraries| libraries.contains("libclang"));
    listed || env::var_os("LIBCLANG_PATH").is_some()
}
