//! The lines that an agent has open, over all its slots: whether there is one, and how they end together.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_protocol::frame::GoAway;
use relay_protocol::hello::Welcome;
use relay_protocol::id::Name;
use relay_protocol::reason::{Leaving, close};
use tokio::sync::watch;

use super::Route;
use crate::notice::{Notice, Notices};
use crate::wire::Carrier;

/// All open lines of one agent.
pub(super) struct Lines {
    open: Mutex<Open>,
    /// How many there are: the second slot waits for the first one's success, and draining waits for none.
    count: watch::Sender<usize>,
    notices: Notices,
}

#[derive(Default)]
struct Open {
    carriers: Vec<Arc<Carrier>>,
    announced: HashSet<(Name, Name)>,
    was_connected: bool,
    draining: bool,
}

/// A line that is open; dropping it takes it off the list.
pub(super) struct OpenLine<'a> {
    lines: &'a Lines,
    carrier: Arc<Carrier>,
}

impl Lines {
    pub(super) fn new(notices: Notices) -> Self {
        Self { open: Mutex::default(), count: watch::Sender::new(0), notices }
    }

    /// Puts a line that was welcomed on the list, and tells people what is new.
    pub(super) fn add(
        &self,
        carrier: Arc<Carrier>,
        welcome: &Welcome,
        routes: &[Route],
    ) -> OpenLine<'_> {
        let mut open = self.lock();
        if open.carriers.is_empty() && open.was_connected {
            self.notices.tell(Notice::Reconnected);
        }
        open.was_connected = true;
        for (served, route) in welcome.endpoints.iter().zip(routes) {
            if let Some(verifier) = &route.verifier {
                verifier.learn(&served.url);
            }
            let name = (served.endpoint.clone(), served.group.clone());
            if open.announced.insert(name) {
                let target = route.target.url().to_owned();
                self.notices.tell(Notice::Ready { served: served.clone(), target });
            }
        }
        if open.draining {
            carrier.go_away(goodbye());
        }
        open.carriers.push(Arc::clone(&carrier));
        self.count.send_replace(open.carriers.len());
        OpenLine { lines: self, carrier }
    }

    /// Tells people that there is no line, if that is so.
    pub(super) fn tell_if_none(&self, why: &str, retry_in: Duration) {
        let open = self.lock();
        if open.carriers.is_empty() && !open.draining {
            self.notices.tell(Notice::Disconnected { why: why.to_owned(), retry_in });
        }
    }

    /// Waits until there is a line.
    pub(super) async fn any(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count > 0).await;
    }

    /// Takes no more work on any line, waits until what is under way is done, at most `limit`, and closes them.
    pub(super) async fn drain(&self, limit: Duration) {
        let carriers = {
            let mut open = self.lock();
            open.draining = true;
            open.carriers.clone()
        };
        for carrier in &carriers {
            carrier.go_away(goodbye());
        }
        let idle = async {
            for carrier in &carriers {
                carrier.idle().await;
            }
        };
        let _ = tokio::time::timeout(limit, idle).await;
        for carrier in &carriers {
            carrier.close(close::GOING_AWAY, "the agent stops");
        }
        let _ = tokio::time::timeout(
            Duration::from_secs(3),
            self.count.subscribe().wait_for(|count| *count == 0),
        )
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn goodbye() -> GoAway {
    let (deadline_ms, reconnect_after_ms) = (super::DRAIN.as_millis() as u32, 0);
    let detail = "the agent stops".to_owned();
    GoAway { reason: Leaving::Shutdown, deadline_ms, reconnect_after_ms, detail }
}

impl Drop for OpenLine<'_> {
    fn drop(&mut self) {
        let mut open = self.lines.lock();
        open.carriers.retain(|carrier| !Arc::ptr_eq(carrier, &self.carrier));
        self.lines.count.send_replace(open.carriers.len());
    }
}
