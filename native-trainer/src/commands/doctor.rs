//! `boomerang doctor`: the hardware of this machine, and the device that is selected.

use std::fmt::Write as _;

use serde::Serialize;

use crate::device::{self, Adapter, DeviceChoice, Target};
use crate::memory::Memory;
use crate::progress::print;
use crate::train::ranks;

/// Show the hardware of this machine and the device that --device auto selects
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a bug report should include about the machine.
#[derive(Debug, Serialize)]
struct Findings<'machine> {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
    n_threads: usize,
    /// `None` where the system does not report it.
    memory: Option<Memory>,
    built_with_wgpu: bool,
    /// The MPI library; `None` when built without.
    mpi: Option<String>,
    adapters: &'machine [Adapter],
    /// What `--device auto` selects.
    device: String,
    reason: String,
}

/// # Errors
/// None that is known: it works on every machine.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let findings = look()?;
    if args.json {
        print(&serde_json::to_string_pretty(&findings)?);
    } else {
        print(findings.to_text().trim_end());
    }
    Ok(())
}

fn look() -> anyhow::Result<Findings<'static>> {
    let adapters = device::adapters();
    let decision = device::decide(DeviceChoice::Auto, adapters)?;
    Ok(Findings {
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        n_threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory: Memory::of_this_machine(),
        built_with_wgpu: device::HAS_WGPU,
        mpi: ranks::library(),
        adapters,
        device: match decision.target {
            Target::Adapter(adapter) => adapter.to_string(),
            Target::Cpu => "CPU".to_owned(),
            Target::Cuda => "CUDA".to_owned(),
        },
        reason: decision.reason,
    })
}

impl Findings<'_> {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{label:<9} {value}");
        };
        line("boomerang", self.version.to_owned());
        line("system", format!("{} {}, {} threads", self.os, self.architecture, self.n_threads));
        line("memory", self.memory.map_or_else(|| "unknown".to_owned(), show_memory));
        match self.adapters {
            [] if !self.built_with_wgpu => line("GPUs", "built without GPU support".to_owned()),
            [] => line("GPUs", "no adapter found; is the GPU driver installed?".to_owned()),
            adapters => {
                for (number, adapter) in adapters.iter().enumerate() {
                    line(if number == 0 { "GPUs" } else { "" }, adapter.to_string());
                    line("", format!("  {}", limits(adapter)));
                    line("", format!("  {}", abilities(adapter)));
                }
            }
        }
        let without = "built without MPI support (--features mpi)";
        line("MPI", self.mpi.clone().unwrap_or_else(|| without.to_owned()));
        line("device", format!("{} ({})", self.device, self.reason));
        text
    }
}

fn limits(adapter: &Adapter) -> String {
    let limits = &adapter.limits;
    let [x, y, z] = limits.max_workgroup_size;
    format!(
        "buffers up to {}, bindings up to {}, workgroups up to {x}×{y}×{z}, {} invocations",
        size(limits.max_buffer_bytes),
        size(limits.max_storage_binding_bytes),
        limits.max_workgroup_invocations
    )
}

fn abilities(adapter: &Adapter) -> String {
    let f16 = if adapter.f16 { "yes" } else { "no" };
    let subgroups = match adapter.subgroups {
        None => "no".to_owned(),
        Some((least, most)) if least == most => format!("of {least}"),
        Some((least, most)) => format!("of {least} to {most}"),
    };
    format!("f16 in shaders: {f16}; subgroups: {subgroups}")
}

fn show_memory(memory: Memory) -> String {
    format!("{}, {} free", size(memory.total_bytes), size(memory.free_bytes))
}

/// Bytes for people, in powers of 1000 as on the label of a disk.
fn size(n_bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let n_bytes = n_bytes as f64;
    let steps = UNITS.iter().zip([1.0, 1e3, 1e6, 1e9, 1e12]);
    // 2^64 and its neighbors mean "no limit".
    match steps.rev().find(|(_, unit)| n_bytes >= *unit) {
        Some((name, unit)) if n_bytes < 1e15 => format!("{:.1} {name}", n_bytes / unit),
        Some(_) => "any size".to_owned(),
        None => "0 bytes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_in_powers_of_a_thousand() {
        let memory = Memory { total_bytes: 16_303_412 * 1024, free_bytes: 9_012_345 * 1024 };
        assert_eq!(show_memory(memory), "16.7 GB, 9.2 GB free");
    }

    #[test]
    fn sizes_are_rounded_for_people() {
        assert_eq!([0, 134_217_728, u64::MAX].map(size), ["0 bytes", "134.2 MB", "any size"]);
    }

    #[test]
    fn every_machine_gets_an_answer() {
        let text = look().unwrap().to_text();
        for label in ["boomerang ", "system ", "memory ", "GPUs ", "MPI ", "device "] {
            assert!(text.contains(label), "{label} is missing in\n{text}");
        }
    }
}
