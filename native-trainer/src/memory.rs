//! How much memory this program may have.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::Exit;

/// The memory of this machine, or of the container that this program is in, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub total_bytes: u64,
    /// What a program can allocate without swapping.
    pub free_bytes: u64,
}

impl Memory {
    /// Of the machine, or of the container if that has less; `None` where the system does not report it.
    pub fn of_this_machine() -> Option<Self> {
        let machine = fs::read_to_string("/proc/meminfo").ok();
        let mut memory = Self::parse(&machine?)?;
        for group in control_groups() {
            if let Some(group) = Self::of_control_group(&group) {
                memory.total_bytes = memory.total_bytes.min(group.total_bytes);
                memory.free_bytes = memory.free_bytes.min(group.free_bytes);
            }
        }
        Some(memory)
    }

    /// The limit of a control group of version 2, as containers have one; `None` without a limit.
    fn of_control_group(folder: &Path) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let total_bytes = read("memory.max")?.trim().parse().ok()?;
        let used: u64 = read("memory.current")?.trim().parse().ok()?;
        // Contents of files, and tables of the system, which it drops when memory is short.
        const DROPPABLE: [&str; 3] = ["inactive_file", "active_file", "slab_reclaimable"];
        let statistics = read("memory.stat").unwrap_or_default();
        let statistics = statistics.lines().filter_map(|line| line.split_once(' '));
        let droppable = statistics.filter(|(key, _)| DROPPABLE.contains(key));
        let droppable: u64 = droppable.filter_map(|(_, value)| value.parse::<u64>().ok()).sum();
        let free_bytes = u64::saturating_sub(total_bytes, used.saturating_sub(droppable));
        Some(Self { total_bytes, free_bytes })
    }

    /// Reads Linux's `/proc/meminfo`.
    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            total_bytes: kibibytes(text, "MemTotal:")?,
            free_bytes: kibibytes(text, "MemAvailable:")?,
        })
    }
}

/// The folders of this program's control group and of those around it.
fn control_groups() -> Vec<PathBuf> {
    const ROOT: &str = "/sys/fs/cgroup";
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let inner = Path::new(ROOT).join(path);
    inner.ancestors().take_while(|folder| folder.starts_with(ROOT)).map(Path::to_owned).collect()
}

/// The most memory that this program has had, in bytes; `None` where the system does not report
/// it.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status, "VmHWM:")
}

/// The memory of this program that is not swapped out, in bytes; `None` where the system does not report
/// it.
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status, "VmRSS:")
}

/// The value of a line such as `MemTotal:  1024 kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim();
    let n_kibibytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    n_kibibytes.checked_mul(1024)
}

/// Refuses work that needs clearly more memory than is free; an estimate may be a fifth too high.
///
/// # Errors
/// Names what is needed, what is free, and `advice`.
pub fn require_memory(what: &str, n_bytes: u64, advice: &str) -> anyhow::Result<()> {
    let Some(memory) = Memory::of_this_machine() else { return Ok(()) };
    if n_bytes / 5 * 4 <= memory.free_bytes {
        return Ok(());
    }
    let gigabytes = |n_bytes: u64| n_bytes as f64 / 1e9;
    Err(Exit::OutOfMemory.error(format!(
        "{what} needs about {:.1} GB of memory, {:.1} GB are free; {advice}",
        gigabytes(n_bytes),
        gigabytes(memory.free_bytes)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_proc_meminfo() {
        let text = "MemTotal:       16303412 kB\nMemFree: 1 kB\nMemAvailable:    9012345 kB\n";
        let expected = Memory { total_bytes: 16_303_412 * 1024, free_bytes: 9_012_345 * 1024 };
        assert_eq!(Memory::parse(text), Some(expected));
    }

    #[test]
    fn a_container_has_what_its_limit_leaves() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.current", "700\n");
        write("memory.stat", "anon 500\ninactive_file 100\nactive_file 40\nslab_reclaimable 10\n");
        assert_eq!(Memory::of_control_group(group.path()), None);
        for (limit, expected) in [
            ("max", None),
            ("1000", Some(Memory { total_bytes: 1000, free_bytes: 450 })),
            ("300", Some(Memory { total_bytes: 300, free_bytes: 0 })),
        ] {
            write("memory.max", limit);
            assert_eq!(Memory::of_control_group(group.path()), expected);
        }
    }

    #[test]
    fn memory_that_is_not_reported_is_unknown() {
        assert_eq!(Memory::parse("MemTotal: much\n"), None);
    }
}
