//! How much memory the machine has.

use serde::Serialize;

use crate::exit::Exit;

/// The memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub total_bytes: u64,
    /// What a program can allocate without swapping.
    pub free_bytes: u64,
}

impl Memory {
    /// `None` where the system does not report it.
    pub fn of_this_machine() -> Option<Self> {
        std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| Self::parse(&text))
    }

    /// Reads Linux's `/proc/meminfo`.
    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            total_bytes: kibibytes(text, "MemTotal:")?,
            free_bytes: kibibytes(text, "MemAvailable:")?,
        })
    }
}

/// The most memory that this program has had, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status, "VmHWM:")
}

/// The memory of this program that is not swapped out, in bytes; `None` where the system does not tell.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
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
    fn memory_that_is_not_reported_is_unknown() {
        assert_eq!(Memory::parse("MemTotal: much\n"), None);
    }
}
