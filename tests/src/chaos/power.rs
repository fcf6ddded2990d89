//! A power cut, played from what a program has done to its files: what it never had synced may be gone.
//!
//! - [`trace`]: what it has done, told by a tracer · [`cached`]: the disk and its cache, and what is left of both
//!
//! `kill -9` leaves the kernel's cache as it is; only this shows that a promise waits for the sync of all that it takes:
//! the file, its length, its name, and the names of the folders above.

pub mod cached;
pub mod trace;
