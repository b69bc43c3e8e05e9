//! Which backend the native trainer is built with on this machine, and building it.
//!
//! This only decides what to compile: `boomerang` itself selects the device, and falls back to the
//! CPU.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::{Workspace, run};
use crate::setup::vulkan;

/// The backend of the native trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A GPU through Vulkan, Metal or DX12, and the CPU
    Wgpu,
    /// Only the CPU, which builds in a fraction of the time
    Cpu,
}

impl Backend {
    /// From the `--wgpu`, `--cpu` and `--device` options; without one, looks for a GPU.
    pub(crate) fn choose(args: &[String]) -> Self {
        let (backend, reason) = match Self::asked_for(args) {
            Some(backend) => (backend, "as requested"),
            None => Self::of_this_machine(),
        };
        let name = match backend {
            Self::Wgpu => "wgpu (GPU)",
            Self::Cpu => "CPU",
        };
        println!("Backend: {name} ({reason})");
        backend
    }

    fn asked_for(args: &[String]) -> Option<Self> {
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let device = match arg {
                "--wgpu" => "wgpu",
                "--cpu" => "cpu",
                "--device" => args.next()?,
                _ => match arg.strip_prefix("--device=") {
                    Some(device) => device,
                    None => continue,
                },
            };
            return Some(if device == "cpu" { Self::Cpu } else { Self::Wgpu });
        }
        None
    }

    fn of_this_machine() -> (Self, &'static str) {
        if env::consts::OS != "linux" {
            return (Self::Wgpu, "macOS and Windows have a GPU driver");
        }
        let has_gpu = Path::new("/dev/nvidiactl").exists() || has_render_node();
        match (has_gpu, vulkan::has_loader()) {
            (true, true) => (Self::Wgpu, "GPU and Vulkan loader found"),
            (true, false) => (
                Self::Cpu,
                "GPU found, but no Vulkan loader (libvulkan.so.1); install it to use the GPU",
            ),
            (false, _) => (Self::Cpu, "no GPU found (no /dev/nvidiactl, no /dev/dri/renderD*)"),
        }
    }
}

/// Builds `boomerang` as tests have it, and returns its path.
pub(crate) fn build_boomerang(workspace: &Workspace, backend: Backend) -> Result<PathBuf> {
    build(workspace, backend, &[])?;
    Ok(workspace.binary("boomerang"))
}

/// Builds `boomerang` for hours of work, and returns its path.
pub(crate) fn build_release(workspace: &Workspace, backend: Backend) -> Result<PathBuf> {
    build(workspace, backend, &["--release"])?;
    Ok(workspace.release_binary("boomerang"))
}

fn build(workspace: &Workspace, backend: Backend, profile: &[&str]) -> Result<()> {
    let mut build = workspace.cargo();
    build.args(["build", "--package", "boomerang-native-trainer", "--bin", "boomerang"]);
    build.args(profile);
    if backend == Backend::Cpu {
        build.arg("--no-default-features");
    }
    run(&mut build)
}

fn has_render_node() -> bool {
    fs::read_dir("/dev/dri").is_ok_and(|nodes| {
        nodes.flatten().any(|node| node.file_name().to_string_lossy().starts_with("renderD"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(args: &str) -> Option<Backend> {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        Backend::asked_for(&args)
    }

    #[test]
    fn an_option_decides_the_backend() {
        assert_eq!(asked_for("--once --cpu"), Some(Backend::Cpu));
        assert_eq!(asked_for("--wgpu"), Some(Backend::Wgpu));
        assert_eq!(asked_for("--device=cpu"), Some(Backend::Cpu));
        assert_eq!(asked_for("--seeds 3 --device wgpu"), Some(Backend::Wgpu));
        assert_eq!(asked_for("--once --seeds 3"), None);
    }
}
