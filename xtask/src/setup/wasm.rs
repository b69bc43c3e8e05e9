//! A compiler and a standard library for WebAssembly.
//!
//! Usually rustup installs the library. Where it cannot download, Debian's compiler builds the
//! library from source, in the environment that is set here.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{apt, found, installing};
use crate::run::{Workspace, answer, find_program, prepend_path, run};
use crate::version::Version;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, the source of the standard library, and a linker for WebAssembly.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const DEBIAN_BIN: &str = "/usr/bin";
const DEBIAN_LINKER: &str = "wasm-ld-22";

/// The oldest Rust that builds this workspace; `rust-version` in Cargo.toml.
const OLDEST_RUST: Version = Version::new(1, 95, 0);

/// The toolchain for WebAssembly on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    /// The default compiler, with the target's library installed
    Rustup,
    /// Debian's compiler in /usr/bin, which builds the library as part of the workspace
    DebianBuildStd,
}

impl WasmToolchain {
    /// The PATH for a build: our tools, then this compiler, then everything else.
    pub(crate) fn path(self, workspace: &Workspace) -> OsString {
        match self {
            Self::Rustup => workspace.path(),
            Self::DebianBuildStd => {
                prepend_path(&[workspace.tools.join("bin"), PathBuf::from(DEBIAN_BIN)])
            }
        }
    }

    /// `program`, with the environment in which it and the cargo it starts build for WebAssembly.
    pub(crate) fn command(self, workspace: &Workspace, program: impl AsRef<OsStr>) -> Command {
        let mut command = workspace.command(program);
        command.env("PATH", self.path(workspace));
        if self == Self::DebianBuildStd {
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
                // Set by the cargo that started this program, and would select it again.
                .env("CARGO", Path::new(DEBIAN_BIN).join("cargo"))
                .env_remove("RUSTC")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("LD_LIBRARY_PATH");
        }
        command
    }

    /// cargo for a build with `--target` [`TARGET`].
    pub(crate) fn cargo(self, workspace: &Workspace) -> Command {
        let program = match self {
            Self::Rustup => crate::run::cargo(),
            Self::DebianBuildStd => Path::new(DEBIAN_BIN).join("cargo").into(),
        };
        self.command(workspace, program)
    }

    /// Downloads all crates that a build will need, so that the build itself can be offline.
    pub(crate) fn fetch(self, workspace: &Workspace) -> Result<()> {
        run(self.cargo(workspace).arg("fetch"))?;
        if self == Self::DebianBuildStd {
            // Those of the standard library; without the target only the host's are fetched.
            run(self.cargo(workspace).args(["fetch", "--target", TARGET]))?;
        }
        Ok(())
    }
}

pub(super) fn ensure() -> Result<WasmToolchain> {
    if let Some(folder) = library() {
        found(TARGET, folder.display());
        return Ok(WasmToolchain::Rustup);
    }
    if debian_is_complete() {
        found(TARGET, "Debian's compiler, which builds the standard library from source");
        return Ok(WasmToolchain::DebianBuildStd);
    }

    installing(TARGET, "rustup", "the compiler has no standard library for the page's target");
    match run(Command::new("rustup").args(["target", "add", TARGET])) {
        Ok(()) if library().is_some() => return Ok(WasmToolchain::Rustup),
        Ok(()) => println!("rustup added it to another toolchain than the one in use."),
        Err(error) => println!("rustup failed: {error:#}"),
    }

    apt::install(DEBIAN_PACKAGES, "Debian's compiler can build that library from source")
        .with_context(|| {
            format!("no compiler for the page: try `rustup target add {TARGET}` by hand")
        })?;
    if !debian_is_complete() {
        bail!(
            "{} are installed but {DEBIAN_BIN}/rustc is older than {OLDEST_RUST} or has no source \
             of the standard library; `rustup target add {TARGET}` would do instead",
            DEBIAN_PACKAGES.join(", ")
        );
    }
    Ok(WasmToolchain::DebianBuildStd)
}

/// The path of the target's standard library, if the compiler has one.
fn library() -> Option<PathBuf> {
    let rustc = crate::run::set_variable("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = answer(rustc, &["--print", "sysroot"])?;
    let folder = Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib");
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    fs::read_dir(&folder)
        .ok()?
        .flatten()
        .any(|file| is_std(&file.file_name().to_string_lossy()))
        .then_some(folder)
}

fn debian_is_complete() -> bool {
    let in_bin = |program: &str| find_program(program, OsStr::new(DEBIAN_BIN));
    let Some(rustc) = in_bin("rustc") else { return false };
    let version = answer(&rustc, &["--version"]).and_then(|text| Version::parse_answer(&text));
    let source = answer(&rustc, &["--print", "sysroot"])
        .map(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/std"));
    version >= Some(OLDEST_RUST)
        && source.is_some_and(|source| source.is_dir())
        && in_bin("cargo").is_some()
        && in_bin(DEBIAN_LINKER).is_some()
}
