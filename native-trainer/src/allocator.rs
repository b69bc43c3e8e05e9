//! How the system's allocator treats large pieces of memory.

/// Lets the program keep large pieces of memory that it has freed, for the next that are as large.
///
/// A step of training makes and frees tensors of some megabytes by the thousand. By default glibc gives
/// each back to the system, which clears its pages again for the next: a third of the time of a step.
pub(crate) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: these calls change numbers of the allocator; no other thread runs yet.
    unsafe {
        // Where one is refused, training is slower and otherwise the same.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
