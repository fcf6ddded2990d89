//! One of an agent's lines, for ever: dial, live, lose, back off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_protocol::backoff::Backoff;
use relay_protocol::frame::GoAway;
use relay_protocol::hello::{Hello, Welcome};
use relay_protocol::limits::{LINE_CREDIT, STREAM_CREDIT};
use relay_protocol::reason::close;
use relay_protocol::{Line, VERSIONS};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::exchange::{Incoming, attempt};
use super::{Agent, Work};
use crate::dial::{AGENT, DialError, dial};
use crate::wire::{Carrier, Ended, Event, drive};

/// The first ceiling of the wait between two tries.
const REDIAL_FIRST: Duration = Duration::from_millis(250);

/// The last ceiling of the wait between two tries.
const REDIAL_MAX: Duration = Duration::from_secs(30);

/// How long a line must have lived before the wait starts over: a relay that accepts and drops is not hammered.
const STABLE: Duration = Duration::from_secs(30);

/// How long to wait when only a person can mend what is wrong; full jitter above half of it.
const SLOW: Duration = Duration::from_secs(60);

/// How long the second line waits after the first one was opened.
const SECOND_LINE_AFTER: Duration = Duration::from_secs(1);

/// Why a line did not stay.
enum Over {
    /// Try again by backoff, or after what the relay said.
    Retry { why: String, after: Option<Duration> },
    /// Only a person can mend it.
    Slow { why: String },
    /// The relay wants the agent to open a new line before it leaves this one.
    Moving { after: Duration },
    /// The machine has slept.
    Woke,
}

/// A line under way.
struct Live {
    carrier: Arc<Carrier>,
    driver: JoinHandle<Ended>,
    goaway: mpsc::Receiver<GoAway>,
    token: String,
}

impl Agent {
    /// Keeps one line open until the agent stops.
    pub(super) async fn keep(self: Arc<Self>, slot: u8, stop: CancellationToken) {
        if slot > 0 {
            self.lines.any().await;
            sleep(SECOND_LINE_AFTER.mul_f64(0.5 + fastrand::f64())).await;
        }
        let mut backoff = Backoff::new(REDIAL_FIRST, REDIAL_MAX);
        while !stop.is_cancelled() {
            let started = Instant::now();
            let over = self.live(slot).await;
            if started.elapsed() >= STABLE {
                backoff.reset();
            }
            let (why, wait) = match over {
                Over::Retry { why, after } => {
                    (why, after.unwrap_or_default() + backoff.next(fastrand::f64()))
                }
                Over::Slow { why } => (why, SLOW.mul_f64(0.5 + 0.5 * fastrand::f64())),
                Over::Moving { after } => {
                    ("the relay restarts".to_owned(), after.mul_f64(fastrand::f64()))
                }
                Over::Woke => ("the machine has slept".to_owned(), Duration::ZERO),
            };
            self.lines.tell_if_none(&why, wait);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.woke_up.notified() => {}
            }
        }
    }

    /// Opens a line and stays on it.
    async fn live(self: &Arc<Self>, slot: u8) -> Over {
        let woke_up = self.woke_up.notified();
        let (live, welcome) = match self.open(slot).await {
            Ok(opened) => opened,
            Err(over) => return over,
        };
        let carrier = Arc::clone(&live.carrier);
        let on_list = self.lines.add(carrier, &welcome, &self.work.routes);
        let Live { carrier, mut driver, mut goaway, token } = live;
        let over = tokio::select! {
            ended = &mut driver => lost(ended),
            Some(goaway) = goaway.recv() => {
                Over::Moving { after: Duration::from_millis(goaway.reconnect_after_ms.into()) }
            }
            () = woke_up => Over::Woke,
            () = self.renew(&carrier, token, welcome.token_expires_in_ms) => unreachable!("renewing never ends"),
        };
        match over {
            // What is under way on the old line ends there, while the new one is opened.
            Over::Moving { .. } => {
                let agent = Arc::clone(self);
                drop(on_list);
                self.work.attempts.spawn(async move {
                    let _on_list = agent.lines.add(carrier, &welcome, &agent.work.routes);
                    let _ = driver.await;
                });
            }
            Over::Woke => carrier.close(close::GOING_AWAY, "the machine has slept"),
            Over::Retry { .. } | Over::Slow { .. } => {}
        }
        over
    }

    /// Dials, says HELLO, and waits for WELCOME.
    async fn open(self: &Arc<Self>, slot: u8) -> Result<(Live, Welcome), Over> {
        let token = self.token.read().map_err(|why| Over::Slow { why })?;
        let socket = dial(&self.relay, &self.trust, &token).await.map_err(not_dialed)?;
        let line = Line::agent(Instant::now(), self.hello(slot))
            .map_err(|e| Over::Slow { why: format!("too many subscriptions: {e}") })?;
        let carrier = Carrier::new(line);
        let (welcomed, mut welcome) = oneshot::channel();
        let (leaving, goaway) = mpsc::channel(1);
        let on = events(Arc::clone(&self.work), welcomed, leaving);
        let mut driver = tokio::spawn(drive(socket, Arc::clone(&carrier), on));
        tokio::select! {
            biased;
            Ok(welcome) = &mut welcome => Ok((Live { carrier, driver, goaway, token }, welcome)),
            ended = &mut driver => Err(lost(ended)),
        }
    }

    fn hello(&self, slot: u8) -> Hello {
        Hello {
            versions: VERSIONS.to_vec(),
            agent: AGENT.to_owned(),
            instance: self.instance.clone(),
            line: slot,
            subscriptions: self
                .work
                .routes
                .iter()
                .map(|route| route.subscription.clone())
                .collect(),
            max_streams: self.max_streams,
            stream_credit: STREAM_CREDIT,
            line_credit: LINE_CREDIT,
        }
    }

    /// Shows the relay a fresh token before the old one expires, as soon as there is one.
    async fn renew(&self, carrier: &Carrier, mut token: String, expires_in_ms: Option<u64>) {
        let Some(expires_in_ms) = expires_in_ms else { return std::future::pending().await };
        let mut wait = Duration::from_millis(expires_in_ms) / 2;
        loop {
            sleep(wait).await;
            wait = (wait / 2).max(Duration::from_secs(1));
            if let Ok(fresh) = self.token.read().map_err(|why| tracing::warn!(why))
                && fresh != token
            {
                carrier.renew(&fresh);
                token = fresh;
            }
        }
    }
}

/// What the driver is to do with what concerns the line itself.
fn events(
    work: Arc<Work>,
    welcomed: oneshot::Sender<Welcome>,
    leaving: mpsc::Sender<GoAway>,
) -> impl FnMut(Event) {
    let mut welcomed = Some(welcomed);
    move |event| match event {
        Event::Opened { stream, request, body, end } => {
            let incoming = Incoming { stream, request, body, end };
            let work_of_attempt = Arc::clone(&work);
            work.attempts.spawn(async move { attempt(&work_of_attempt, incoming).await });
        }
        Event::Welcome(welcome) => {
            if let Some(welcomed) = welcomed.take() {
                let _ = welcomed.send(welcome);
            }
        }
        Event::GoingAway(goaway) => {
            let _ = leaving.try_send(goaway);
        }
        Event::Hello(_) | Event::Renewed(_) => {}
    }
}

fn not_dialed(error: DialError) -> Over {
    match error {
        DialError::Unreachable(why) => Over::Retry { why, after: None },
        DialError::Later { why, after } => Over::Retry { why, after: Some(after) },
        DialError::NotAllowed(why) | DialError::NotFound(why) => Over::Slow { why },
    }
}

fn lost(ended: Result<Ended, tokio::task::JoinError>) -> Over {
    match ended {
        Ok(Ended::Closed { code, reason })
            if matches!(code, close::NOT_ALLOWED | close::UNKNOWN_ENDPOINT | close::NO_VERSION) =>
        {
            Over::Slow { why: format!("the relay closed the line ({code}): {reason}") }
        }
        Ok(ended) => Over::Retry { why: ended.to_string(), after: None },
        Err(panic) => Over::Retry { why: format!("a fault in this program: {panic}"), after: None },
    }
}
