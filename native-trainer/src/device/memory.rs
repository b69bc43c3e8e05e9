//! How much memory there is.

use serde::Serialize;

/// The memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub total_bytes: u64,
    /// What a program can have without others being pushed out.
    pub free_bytes: u64,
}

impl Memory {
    /// `None` where the system does not say.
    pub fn of_this_machine() -> Option<Self> {
        std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| Self::parse(&text))
    }

    /// Reads Linux's `/proc/meminfo`.
    fn parse(text: &str) -> Option<Self> {
        let bytes = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim();
            let n_kibibytes: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
            n_kibibytes.checked_mul(1024)
        };
        Some(Self { total_bytes: bytes("MemTotal:")?, free_bytes: bytes("MemAvailable:")? })
    }
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
    fn memory_that_is_not_told_is_unknown() {
        assert_eq!(Memory::parse("MemTotal: much\n"), None);
    }
}
