//! The threads that serve connections. Each has a runtime of its own, so that what a request needs wakes on the thread
//! that accepted it: that costs half of what waking across threads does.
//!
//! It knows listeners and threads; what is served there is others' business.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// How many connections may wait to be accepted.
pub const BACKLOG: i32 = 4096;

/// How many threads a worker has for what would hold it up, which is files mostly: more than any disk does at once, and few
/// enough to bear what each keeps of its memory.
const OTHERS_MAX: usize = 32;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Which worker's thread this is; 0 is the one that the relay was started on.
#[must_use]
pub fn here() -> usize {
    HERE.get()
}

/// A runtime on one thread: what one request needs wakes there, which costs half of what waking across threads does.
///
/// # Errors
/// When the system gives none.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().max_blocking_threads(OTHERS_MAX).enable_all().build()
}

/// All workers that run.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// `count` workers, the first of which is the runtime that this is called on.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let (mut handles, mut threads) = (vec![Handle::current()], Vec::new());
        let stop = CancellationToken::new();
        for number in 1..count {
            let runtime = runtime()?;
            handles.push(runtime.handle().clone());
            let stopped = stop.clone();
            let run = move || {
                HERE.set(number);
                runtime.block_on(stopped.cancelled());
            };
            threads.push(std::thread::Builder::new().name("worker".into()).spawn(run)?);
        }
        Ok(Self { handles, stop, threads })
    }

    /// Where tasks of each worker are spawned.
    #[must_use]
    pub fn lanes(&self) -> Lanes {
        Lanes(self.handles.clone().into())
    }

    /// Ends the threads, and whatever still runs on them.
    pub async fn end(self) {
        self.stop.cancel();
        for thread in self.threads {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The way onto each worker.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<[Handle]>);

impl Lanes {
    /// The worker that drives this one of an agent's lines: its lines are spread, so that each worker has one at hand.
    #[must_use]
    pub fn of_line(&self, line: usize) -> &Handle {
        &self.0[line % self.0.len()]
    }

    /// Every worker, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Handle> {
        self.0.iter()
    }
}

/// One listener for each worker, all on the same port: the kernel spreads connections over them.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(address: SocketAddr, workers: usize) -> std::io::Result<Vec<TcpListener>> {
    if workers == 1 {
        return Ok(vec![bind(address, false)?]);
    }
    // A shared port would be shared with another relay as well: so first it must be had alone.
    let alone = bind(address, false)?.local_addr()?;
    (0..workers).map(|_| bind(alone, true)).collect()
}

/// Lets nobody new knock, so that the queue of those who have can be emptied: a connection that is made between the last
/// look at it and the end of its listener would be reset. Whoever is not heard knocks again, and finds nobody there.
#[cfg(target_os = "linux")]
pub fn hear_no_more(listener: &impl std::os::fd::AsFd) {
    use socket2::{SockFilter, SockRef};
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// Where the flags are in a TCP header (RFC 9293 §3.1), and which of them opens a connection.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
        tracing::debug!(%error, "connections made at the very last may be reset");
    }
}

/// Elsewhere there is no such filter, and that moment remains.
#[cfg(not(target_os = "linux"))]
pub fn hear_no_more(_: &impl std::os::fd::AsFd) {}

fn bind(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
