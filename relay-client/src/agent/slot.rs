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
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::exchange::{Incoming, attempt};
use super::{Agent, TokenSource, Work};
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

/// How often the token file is looked at. A person who replaces a token revokes the old one soon after.
const TOKEN_CHECK: Duration = Duration::from_secs(2);

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
    driver: AbortOnDropHandle<Ended>,
    goaway: mpsc::Receiver<GoAway>,
}

impl Agent {
    /// Keeps one line open until the agent stops.
    pub(super) async fn keep(self: Arc<Self>, slot: usize, stop: CancellationToken) {
        if slot > 0 {
            self.lines.any().await;
            sleep(SECOND_LINE_AFTER.mul_f64(0.5 + fastrand::f64())).await;
        }
        let mut backoff = Backoff::new(REDIAL_FIRST, REDIAL_MAX);
        while !stop.is_cancelled() {
            let started = Instant::now();
            let token = self.token.read();
            let over = match &token {
                Ok(token) => self.live(slot, token).await,
                Err(why) => Over::Slow { why: why.clone() },
            };
            let slow = matches!(over, Over::Slow { .. });
            backoff.lasted(started.elapsed(), STABLE);
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
                // Somebody has mended what only a person can mend.
                _ = self.fresh_token(token.as_deref().unwrap_or_default()), if slow => {}
            }
        }
    }

    /// Opens a line and stays on it.
    async fn live(self: &Arc<Self>, slot: usize, token: &str) -> Over {
        let woke_up = self.woke_up.notified();
        let (live, welcome) = match self.open(slot, token).await {
            Ok(opened) => opened,
            Err(over) => return over,
        };
        let carrier = Arc::clone(&live.carrier);
        let work = &self.works[slot];
        let on_list = self.lines.add(carrier, &welcome, &work.routes);
        let Live { carrier, mut driver, mut goaway } = live;
        let over = tokio::select! {
            // In this order: a line on which nothing is under way ends with the very GOAWAY.
            biased;
            Some(goaway) = goaway.recv() => {
                Over::Moving { after: Duration::from_millis(goaway.reconnect_after_ms.into()) }
            }
            ended = &mut driver => lost(ended),
            () = woke_up => Over::Woke,
            () = self.renew(&carrier, token) => unreachable!("renewing never ends"),
        };
        match over {
            // What is under way on the old line ends there, while the new one is opened.
            Over::Moving { .. } => {
                let (agent, work) = (Arc::clone(self), Arc::clone(work));
                drop(on_list);
                tokio::spawn(async move {
                    let _on_list = agent.lines.add(carrier, &welcome, &work.routes);
                    let _ = driver.await;
                });
            }
            // It ends by itself, once the relay has been told or could not be; that is not waited for.
            Over::Woke => {
                carrier.close(close::GOING_AWAY, "the machine has slept");
                tokio::spawn(async move { drop(driver.await) });
            }
            Over::Retry { .. } | Over::Slow { .. } => {}
        }
        over
    }

    /// Dials, says HELLO, and waits for WELCOME.
    async fn open(self: &Arc<Self>, slot: usize, token: &str) -> Result<(Live, Welcome), Over> {
        let hello = self.hello(slot);
        hello.check(&VERSIONS).map_err(|e| Over::Slow { why: e.to_string() })?;
        let socket = dial(&self.relay, &self.way, token, line(slot)).await.map_err(not_dialed)?;
        let line = Line::agent(Instant::now(), hello)
            .map_err(|e| Over::Slow { why: format!("too many subscriptions: {e}") })?;
        let carrier = Carrier::new(line);
        let (welcomed, mut welcome) = oneshot::channel();
        let (leaving, goaway) = mpsc::channel(1);
        let on = events(Arc::clone(&self.works[slot]), welcomed, leaving);
        let drive = drive(socket, Arc::clone(&carrier), on);
        let mut driver = AbortOnDropHandle::new(tokio::spawn(drive));
        tokio::select! {
            biased;
            Ok(welcome) = &mut welcome => Ok((Live { carrier, driver, goaway }, welcome)),
            ended = &mut driver => Err(lost(ended)),
        }
    }

    fn hello(&self, slot: usize) -> Hello {
        Hello {
            versions: VERSIONS.to_vec(),
            agent: AGENT.to_owned(),
            instance: self.instance.clone(),
            line: line(slot),
            subscriptions: self.works[slot].routes.iter().map(|r| r.subscription.clone()).collect(),
            max_streams: self.max_streams,
            stream_credit: STREAM_CREDIT,
            line_credit: LINE_CREDIT,
        }
    }

    /// Shows the relay every fresh token as soon as there is one: the old one may expire or be revoked any time.
    async fn renew(&self, carrier: &Carrier, token: &str) {
        let mut token = token.to_owned();
        loop {
            token = self.fresh_token(&token).await;
            if let Err(error) = carrier.renew(&token) {
                tracing::warn!(%error, "what is in the token file is no token; the old one stays");
            }
        }
    }

    /// Waits until the token file holds another token than this one.
    async fn fresh_token(&self, old: &str) -> String {
        if let TokenSource::Fixed(_) = self.token {
            return std::future::pending().await;
        }
        loop {
            sleep(TOKEN_CHECK).await;
            // Empty or not there: somebody is just writing it.
            match self.token.read() {
                Ok(fresh) if fresh != old && !fresh.is_empty() => return fresh,
                _ => {}
            }
        }
    }
}

/// The number of a line; an agent has few.
fn line(slot: usize) -> u8 {
    u8::try_from(slot).unwrap_or(u8::MAX)
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
            // Boxed, so that it is moved as a pointer into its task, through it, and out of it when it is over.
            tokio::spawn(Box::pin(attempt(Arc::clone(&work), incoming)));
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
        DialError::Barred(why) | DialError::NotAllowed(why) | DialError::NotFound(why) => {
            Over::Slow { why }
        }
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
