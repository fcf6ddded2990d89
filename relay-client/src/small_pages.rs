//! In which portions the system gives this process its memory.

/// Takes memory page by page, however large the portions are that the system likes to give (`PR_SET_THP_DISABLE`, prctl(2)).
///
/// Each thread that has a body in its hands keeps a few pages for the next one. In portions of 2 MiB, which the allocator
/// asks for wherever they are allowed, a relay that had taken 600 bodies of 2 MB, 16 at a time, kept 826 MB instead of 149.
#[cfg(target_os = "linux")]
pub fn keep() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory comes in large portions");
    }
}

/// Elsewhere nobody asks for large ones.
#[cfg(not(target_os = "linux"))]
pub fn keep() {}
