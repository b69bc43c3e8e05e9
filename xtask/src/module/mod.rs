//! `cargo xtask module`: the npm package of `web/dial`, as a folder and as a tarball in dist-module/.
//!
//! Needs neither npm nor trunk. Its worker is the page's for the CPU: after `cargo xtask page`, cargo
//! has it already.

mod tarball;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::{Workspace, run, set_variable};
use crate::setup::{self, WasmToolchain};
use tarball::{Entry, pack};

/// The hand-written files of the package.
const SOURCES: &str = "web/dial/js";
/// Its README.
const MANUAL: &str = "docs/module.md";
/// The profile of the page's workers, so that all of it but one crate is compiled with them.
const PROFILE: &str = "engine";
/// The version of the workspace, which all its packages have.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A program of the workspace that the package includes.
struct Program {
    package: &'static str,
    binary: &'static str,
    features: &'static str,
    /// Of its files.
    name: &'static str,
}

const PROGRAMS: [Program; 2] = [
    Program {
        package: "boomerang-engine",
        binary: "engine-cpu",
        features: "cpu",
        name: "engine-cpu",
    },
    Program {
        package: "boomerang-dial",
        binary: "boomerang-dial",
        // Not used by it; with them, what both are built from is compiled once.
        features: "boomerang-engine/cpu",
        name: "boomerang_dial",
    },
];

/// Sets up what the package needs and builds it.
pub(crate) fn module(workspace: &Workspace) -> Result<()> {
    let wasm = setup::for_module(workspace)?;
    wasm.fetch(workspace)?;
    let folder = workspace.root.join("dist-module");
    let package = folder.join("package");
    if package.exists() {
        fs::remove_dir_all(&package).with_context(|| package.display().to_string())?;
    }
    fs::create_dir_all(&package).with_context(|| package.display().to_string())?;
    for program in &PROGRAMS {
        compile(workspace, wasm, program, &package)?;
    }
    copy_sources(&workspace.root, &package)?;
    let entries = entries(&package)?;
    for Entry { name, bytes } in &entries {
        println!("{:>10} {name}", bytes.len());
    }
    let tarball = folder.join(format!("boomerang-dial-{VERSION}.tgz"));
    let bytes = pack(&entries)?;
    fs::write(&tarball, &bytes).with_context(|| tarball.display().to_string())?;
    println!("The package is {}, {} kB", tarball.display(), bytes.len().div_ceil(1000));
    Ok(())
}

fn compile(
    workspace: &Workspace,
    wasm: WasmToolchain,
    program: &Program,
    package: &Path,
) -> Result<()> {
    let Program { package: of, binary, features, name } = program;
    let mut cargo = wasm.cargo(workspace);
    cargo.args(["build", "--offline", "--package", of, "--bin", binary, "--features", features]);
    run(cargo.args(["--profile", PROFILE, "--target", setup::WASM_TARGET]))?;
    let compiled = workspace.target_dir.join(setup::WASM_TARGET).join(PROFILE);
    let mut bindgen = wasm.command(workspace, "wasm-bindgen");
    bindgen.args(["--target", "web", "--out-name", name, "--out-dir"]).arg(package);
    if *name == "engine-cpu" {
        bindgen.arg("--no-typescript");
    }
    run(bindgen.arg(compiled.join(binary).with_added_extension("wasm")))?;
    let program = package.join(format!("{name}_bg.wasm"));
    let mut bytes = fs::read(&program).with_context(|| program.display().to_string())?;
    hide_path(&mut bytes, &cargo_home());
    fs::write(&program, bytes).with_context(|| program.display().to_string())?;
    // Declares the program's memory; no module imports it.
    let _ = fs::remove_file(package.join(format!("{name}_bg.wasm.d.ts")));
    let declarations = package.join(format!("{name}.d.ts"));
    if declarations.exists() {
        let text = fs::read_to_string(&declarations)
            .with_context(|| declarations.display().to_string())?;
        fs::write(&declarations, without_freeing(&text))
            .with_context(|| declarations.display().to_string())?;
    }
    Ok(())
}

fn copy_sources(root: &Path, package: &Path) -> Result<()> {
    for entry in fs::read_dir(root.join(SOURCES)).context(SOURCES)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let to = package.join(path.file_name().unwrap_or_default());
        fs::write(&to, text.replace("__VERSION__", VERSION))
            .with_context(|| to.display().to_string())?;
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(root.join(license), package.join(license)).context(license)?;
    }
    let manual = fs::read_to_string(root.join(MANUAL)).context(MANUAL)?;
    fs::write(package.join("README.md"), without_links(&manual)).context("README.md")
}

/// Declarations without the methods that `wasm-bindgen` adds to every class: a family is disposed of by
/// its own, and `Symbol.dispose` is unknown to TypeScript before its library of 2025.
fn without_freeing(declarations: &str) -> String {
    let is_kept =
        |line: &&str| !matches!(line.trim(), "free(): void;" | "[Symbol.dispose](): void;");
    declarations.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

/// The text of links to other files, which are not in the package.
fn without_links(manual: &str) -> String {
    let mut parts = manual.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match (text.rfind('['), part.split_once(')')) {
            (Some(start), Some((target, rest))) if !target.contains("://") => {
                text.remove(start);
                text.push_str(rest);
            }
            _ => {
                text.push_str("](");
                text.push_str(part);
            }
        }
    }
    text
}

/// The files of the package by their names, as npm orders nothing.
fn entries(package: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(package).with_context(|| package.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        entries.push(Entry { name, bytes });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn cargo_home() -> PathBuf {
    let home =
        || Some(set_variable("HOME").or_else(|| set_variable("USERPROFILE"))?.join(".cargo"));
    set_variable("CARGO_HOME").or_else(home).unwrap_or_default()
}

/// Replaces a path in the texts of a program by as many dots: panics name the files of dependencies,
/// and the folder that they were compiled in is private.
fn hide_path(bytes: &mut [u8], path: &Path) {
    let path = path.as_os_str().as_encoded_bytes();
    if path.len() < 2 {
        return;
    }
    let mut start = 0;
    while let Some(found) = bytes[start..].windows(path.len()).position(|it| it == path) {
        start += found;
        bytes[start..start + path.len()].fill(b'.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_that_are_not_in_the_package_become_text() {
        let manual = "from a [bundle](formats.md#bundles), see [MDN](https://mdn.example) [x] a](b";
        let text = "from a bundle, see [MDN](https://mdn.example) [x] a](b";
        assert_eq!(without_links(manual), text);
    }

    #[test]
    fn no_class_is_declared_to_be_freed_by_hand() {
        let declared =
            "class A {\n    free(): void;\n    [Symbol.dispose](): void;\n    a(): void;\n}\n";
        assert_eq!(without_freeing(declared), "class A {\n    a(): void;\n}\n");
    }

    #[test]
    fn a_path_is_hidden_wherever_it_is() {
        let mut bytes = b"\0/home/me/.cargo/a.rs\xff/home/me/.cargo/b.rs/home/m".to_vec();
        hide_path(&mut bytes, Path::new("/home/me/.cargo"));
        assert_eq!(bytes, b"\0.............../a.rs\xff.............../b.rs/home/m");
        hide_path(&mut bytes, Path::new(""));
    }
}
