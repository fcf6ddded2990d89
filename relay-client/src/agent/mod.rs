//! The agent: keeps its lines open, serves what comes over them, and leaves in order.
//!
//! It knows the relay by its URL and its targets by their subscriptions; what people see of it are notices.

mod checked;
mod exchange;
mod lines;
mod slot;
mod threads;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use relay_protocol::hello::Subscription;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::answered::AnswerMemory;
use crate::dial::RelayUrl;
use crate::notice::{Notice, Notices};
use crate::target::HttpTarget;
use crate::verify::Verifier;
use crate::way::Way;

use lines::Lines;
use threads::Threads;

/// How many lines an agent keeps: the second one is there when the first one breaks.
pub const LINES: u8 = 2;

/// How long an agent that is told to stop may take to finish what it has.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How often the clocks are compared.
const SLEEP_CHECK: Duration = Duration::from_secs(1);

/// By how much wall clock and monotonic clock must part to mean that the machine has slept, or was moved in time.
const SLEEP_GAP: Duration = Duration::from_secs(5);

/// Where the token comes from. A file is read anew for each line, so that it can be replaced under a running agent.
#[derive(Clone)]
pub enum TokenSource {
    /// The token itself.
    Fixed(String),
    /// A file that holds it.
    File(PathBuf),
}

impl TokenSource {
    /// The token as it is now.
    ///
    /// # Errors
    /// When the file cannot be read, in words with its path.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Fixed(token) => Ok(token.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|e| format!("the token file {} cannot be read: {e}", path.display())),
        }
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(masked)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// One endpoint and where its requests go.
pub struct Route {
    /// What the agent asks the relay for.
    pub subscription: Subscription,
    /// Where it sends what comes.
    pub target: Arc<HttpTarget>,
    /// Who checks what comes, if that is done here.
    pub verifier: Option<Arc<Verifier>>,
}

impl Route {
    /// The same way, over connections of its own.
    fn apart(&self) -> Self {
        let (subscription, target) = (self.subscription.clone(), Arc::new(self.target.apart()));
        Self { subscription, target, verifier: self.verifier.clone() }
    }
}

/// How an agent is set up.
pub struct Setup {
    /// The relay.
    pub relay: RelayUrl,
    /// How to reach it.
    pub way: Way,
    /// The token.
    pub token: TokenSource,
    /// What to serve; a request's subscription is the place in this list.
    pub routes: Vec<Route>,
    /// How many lines to keep, at least 1.
    pub lines: u8,
    /// How many requests may be under way on one line.
    pub max_streams: u32,
    /// Where to tell what happens.
    pub notices: Notices,
}

/// What every attempt needs that comes over one of the lines.
struct Work {
    /// With connections of this line's own: those of another would wake another thread.
    routes: Vec<Route>,
    /// Which line it is.
    line: usize,
    memory: Arc<AnswerMemory>,
    notices: Notices,
}

/// A running `relay-client`, before it runs.
pub struct Agent {
    relay: RelayUrl,
    way: Way,
    token: TokenSource,
    max_streams: u32,
    instance: String,
    /// For each line.
    works: Vec<Arc<Work>>,
    notices: Notices,
    lines: Lines,
    /// Told when the machine has slept: every line is opened anew.
    woke_up: Notify,
}

impl Agent {
    /// An agent with a fresh instance id.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { relay, way, token, routes, lines, max_streams, notices } = setup;
        let lines = usize::from(lines.max(1));
        let memory = Arc::new(AnswerMemory::new(lines));
        let work = |line| {
            let routes = routes.iter().map(Route::apart).collect();
            let (memory, notices) = (Arc::clone(&memory), notices.clone());
            Arc::new(Work { routes, line, memory, notices })
        };
        Self {
            relay,
            way,
            token,
            max_streams,
            instance: format!("{:032x}", fastrand::u128(..)),
            works: (0..lines).map(work).collect(),
            notices: notices.clone(),
            lines: Lines::new(notices),
            woke_up: Notify::new(),
        }
    }

    /// Runs until `stop`, then finishes what it has, takes no more, and leaves within [`DRAIN`].
    ///
    /// Never gives up on the relay: what it cannot mend it tells and tries again, slowly.
    pub async fn run(self, stop: CancellationToken) {
        let agent = Arc::new(self);
        let mut tasks = JoinSet::new();
        let mut threads = Threads::new();
        for slot in 0..agent.works.len() {
            let serve = Arc::clone(&agent).serve(slot, stop.clone());
            if slot == 0 || !Threads::pay() {
                tasks.spawn(serve);
            } else if let Err(error) = threads.run(serve) {
                tracing::warn!(%error, "no thread for a further line");
            }
        }
        tasks.spawn(Arc::clone(&agent).watch_for_sleep());
        stop.cancelled().await;
        agent.notices.tell(Notice::Draining);
        agent.lines.drain(DRAIN).await;
        threads.end().await;
        tasks.shutdown().await;
    }

    /// Keeps one line open, and its connections to the targets in order.
    async fn serve(self: Arc<Self>, slot: usize, stop: CancellationToken) {
        let mut sweeps = JoinSet::new();
        for route in &self.works[slot].routes {
            sweeps.spawn(route.target.sweep());
        }
        self.keep(slot, stop).await;
    }

    async fn watch_for_sleep(self: Arc<Self>) {
        let mut clocks = Clocks { wall: SystemTime::now(), steady: Instant::now() };
        loop {
            tokio::time::sleep(SLEEP_CHECK).await;
            if clocks.have_parted(SystemTime::now(), Instant::now()) {
                tracing::info!(
                    "the clocks have parted: the machine has slept, all lines are opened anew"
                );
                self.woke_up.notify_waiters();
            }
        }
    }
}

/// The wall clock goes on while a machine sleeps, the monotonic one does not: a gap means that no line lives.
struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    /// Whether one has gone much further than the other since the last look.
    fn have_parted(&mut self, wall: SystemTime, steady: Instant) -> bool {
        let before = std::mem::replace(self, Self { wall, steady });
        let went = wall.duration_since(before.wall).unwrap_or_else(|back| back.duration());
        went.abs_diff(steady - before.steady) > SLEEP_GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_clock_is_noticed_at_the_next_look_and_once() {
        const TWO_HOURS: Duration = Duration::from_secs(2 * 3600);
        let (mut wall, mut steady) = (SystemTime::now(), Instant::now());
        let mut clocks = Clocks { wall, steady };
        let mut look = |jump: Duration, back: bool| {
            steady += SLEEP_CHECK;
            wall = if back { wall - jump } else { wall + SLEEP_CHECK + jump };
            clocks.have_parted(wall, steady)
        };
        assert!(!look(Duration::ZERO, false));
        assert!(look(TWO_HOURS, false));
        assert!(!look(Duration::ZERO, false));
        assert!(look(TWO_HOURS, true));
        assert!(!look(Duration::from_secs(2), false), "a clock that is set right a little");
    }
}
