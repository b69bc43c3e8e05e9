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

/// Lets each of some threads allocate from memory of its own.
///
/// Tokenizing allocates small pieces by the million, and threads would wait for each other. Call it
/// before the first of them is started; glibc looks at the number only then.
pub(crate) fn allocate_per_thread(n_threads: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call changes a number of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(n_threads).unwrap_or(i32::MAX));
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = n_threads;
}

/// Asks the system to put the heap into large pages.
///
/// Decoding reads all weights for every token; with pages of 4 kB, translating their addresses takes
/// about a tenth of that time.
pub(crate) fn use_large_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if let Some(heap) = heap() {
        let len = heap.end - heap.start;
        // SAFETY: the range is this program's heap, and its contents stay as they are.
        unsafe {
            // Where the system has no large pages, weights are read from small ones.
            libc::madvise(heap.start as *mut _, len, libc::MADV_HUGEPAGE);
            libc::madvise(heap.start as *mut _, len, libc::MADV_COLLAPSE);
        }
    }
}

/// Addresses of the heap, from the system's description of this process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heap() -> Option<std::ops::Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[heap]"))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}
