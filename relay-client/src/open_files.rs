//! How many files and sockets this process may have open: what the system gives by default is meant for other programs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes all that the process may take without asking anybody, and says how many that is; `None` is no limit.
///
/// The common soft limit of 1024 is there for programs that use `select`; the hard one is what the administrator means.
pub fn take_all() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return maximum;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays where it is");
            current
        }
    }
}
