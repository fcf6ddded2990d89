//! Providers that post at a set rate, whatever the answers do: how long an answer took counts from when its request was
//! due, so a relay that stalls is not measured by those only who still got through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relay_tests::chaos::mark::usual_length;
use relay_tests::raw::{Connection, Written};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How many connections there are: more than are needed while all is well.
const CONNECTIONS: usize = 128;

/// How many bodies are made beforehand; they are posted in turn.
const BODIES: usize = 2000;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// In milliseconds from when each was due, in order of length.
    millis: Vec<f64>,
    /// In milliseconds from when each was sent, in order of length.
    from_sent: Vec<f64>,
    pub(crate) failed: usize,
    pub(crate) bytes: u64,
}

impl Times {
    /// How long this share took at the most.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile(&self.millis, share)
    }

    /// How long half of the answers took at the most from when their requests were sent: without the timer's own delay.
    pub(crate) fn median_from_sent(&self) -> f64 {
        quantile(&self.from_sent, 0.5)
    }

    pub(crate) fn answered(&self) -> usize {
        self.millis.len()
    }

    /// As a line for people.
    pub(crate) fn show(&self) -> String {
        let mebibytes = self.bytes as f64 / f64::from(1 << 20);
        format!(
            "{} answered with 2xx ({mebibytes:.0} MiB), {} not; p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            self.answered(),
            self.failed,
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(1.0)
        )
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Bodies as webhooks have them, or all of one length.
pub(crate) fn bodies(length: Option<usize>) -> Arc<Vec<Vec<u8>>> {
    let mut luck = fastrand::Rng::with_seed(1);
    let mut body = || vec![b'x'; length.unwrap_or_else(|| usual_length(&mut luck))];
    // Of one length one will do.
    let count = if length.is_some() { 1 } else { BODIES };
    Arc::new((0..count).map(|_| body()).collect())
}

/// Posts so many a second for this long.
pub(crate) async fn post(
    to: SocketAddr,
    path: &str,
    bodies: &Arc<Vec<Vec<u8>>>,
    rate: f64,
    time: Duration,
) -> Times {
    post_among(to, &[path.to_owned()], bodies, rate, time).await
}

/// Posts so many a second for this long, to one path after the other.
pub(crate) async fn post_among(
    to: SocketAddr,
    paths: &[String],
    bodies: &Arc<Vec<Vec<u8>>>,
    rate: f64,
    time: Duration,
) -> Times {
    let paths: Arc<[String]> = paths.into();
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let all = (rate * time.as_secs_f64()) as u64;
    let mut posting = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, bodies, paths) = (Arc::clone(&next), Arc::clone(bodies), Arc::clone(&paths));
        posting.spawn(async move {
            let (mut times, mut kept) = (Times::default(), None);
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= all {
                    return times;
                }
                let due = begun + Duration::from_secs_f64(n as f64 / rate);
                sleep_until(due).await;
                let body = &bodies[n as usize % bodies.len()];
                let request = Written::request("POST", &paths[n as usize % paths.len()])
                    .field("Host", "relay")
                    .body(body);
                let sent = Instant::now();
                match timeout(PATIENCE, one(to, &mut kept, &request)).await {
                    Ok(Some(200..300)) => {
                        times.millis.push(due.elapsed().as_secs_f64() * 1000.0);
                        times.from_sent.push(sent.elapsed().as_secs_f64() * 1000.0);
                        times.bytes += body.len() as u64;
                    }
                    _ => times.failed += 1,
                }
            }
        });
    }
    let mut all = Times::default();
    while let Some(times) = posting.join_next().await {
        let Times { millis, from_sent, failed, bytes } = times.expect("no panic");
        all.millis.extend(millis);
        all.from_sent.extend(from_sent);
        all.failed += failed;
        all.bytes += bytes;
    }
    all.millis.sort_by(f64::total_cmp);
    all.from_sent.sort_by(f64::total_cmp);
    all
}

async fn one(to: SocketAddr, kept: &mut Option<Connection>, request: &Written) -> Option<u16> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::of(TcpStream::connect(to).await.ok()?),
    };
    connection.try_send(request.bytes()).await;
    let answer = connection.try_answer_to("POST").await.ok()?;
    *kept = Some(connection);
    Some(answer.status())
}
