//! The threads of an agent's further lines: each has a runtime of its own, so that what comes over a line wakes there and
//! nowhere else. Knows nothing of lines.

use std::thread::{Builder, JoinHandle, available_parallelism};

use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads that end with this, at the latest.
pub(super) struct Threads {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    _stops: DropGuard,
}

impl Threads {
    pub(super) fn new() -> Self {
        let stop = CancellationToken::new();
        Self { stop: stop.clone(), threads: Vec::new(), _stops: stop.drop_guard() }
    }

    /// Whether a second thread finds a core to run on.
    pub(super) fn pay() -> bool {
        available_parallelism().is_ok_and(|cores| cores.get() > 1)
    }

    /// Runs a task on a thread of its own; what it spawns runs there too.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub(super) fn run(
        &mut self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = self.stop.clone();
        let run = move || {
            runtime.block_on(async {
                let task = tokio::spawn(task);
                stopped.cancelled().await;
                task.abort();
            });
        };
        self.threads.push(Builder::new().name("line".into()).spawn(run)?);
        Ok(())
    }

    /// Ends them, and whatever still runs on them.
    pub(super) async fn end(self) {
        self.stop.cancel();
        for thread in self.threads {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
