//! The system below a program made slow or faulty, through strace: its system calls are delayed, or fail.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::wait::soon;

/// Something is wrong below a program; dropped, all is well again.
#[derive(Debug)]
pub struct Tampered(Child);

impl Tampered {
    /// Does this to the system calls of a process: `fsync,fdatasync:delay_enter=500ms`, `pwrite64:error=ENOSPC`.
    ///
    /// # Panics
    /// When there is no strace, or it may not do so.
    pub async fn with(process: u32, injections: &[&str]) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-p", &process.to_string()]);
        let calls: Vec<&str> = injections
            .iter()
            .map(|one| one.split_once(':').map_or(*one, |(call, _)| call))
            .collect();
        strace.args(["-e", &format!("trace={}", calls.join(","))]);
        for injection in injections {
            strace.args(["-e", &format!("inject={injection}")]);
        }
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = strace.spawn().expect("strace is there");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let line = soon("strace is attached", said.next_line()).await.expect("text");
        let line = line.unwrap_or_default();
        assert!(line.contains("attached"), "strace: {line}");
        // It says something of each thread that comes; nobody reads that, and it is little.
        child.stderr = Some(said.into_inner().into_inner());
        Self(child)
    }

    /// Makes all well again.
    ///
    /// # Panics
    /// When strace does not go.
    pub async fn mend(mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.expect("it runs"), Signal::INT).expect("it takes signals");
        soon("strace lets go", self.0.wait()).await.expect("it was started");
    }
}

/// Whether stories may tamper with programs here; says so when one is left out.
#[must_use]
pub fn possible(story: &str) -> bool {
    let found = std::process::Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    let possible = found.is_ok_and(|status| status.success());
    if !possible {
        eprintln!("skipped, for want of strace: {story}");
    }
    possible
}
