//! Sends a case as it is and keeps what is heard: no opinion of its own.

use std::io;
use std::time::Duration;

use relay_tests::raw::{Connection, Message};
use tokio::time::{Instant, interval, timeout};

use super::case::{Case, Drip, Place, latin1};
use super::target::{End, Journal};

/// How long a case may take that says nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the target of a caller that leaves may go on.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);

/// What a caller heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The final answer's head and as much of its body as came.
    pub(super) answer: Option<Message>,
    /// Whether all of the answer has come.
    pub(super) whole: bool,
    /// What came was no HTTP.
    pub(super) garbage: bool,
    pub(super) interim: Vec<u16>,
    /// The other side has ended the connection, after so long.
    pub(super) closed: Option<Duration>,
    /// When the answer's head was there.
    pub(super) answered: Option<Duration>,
    /// When the first piece of its body was there.
    pub(super) begun: Option<Duration>,
    /// The target was told that the caller has left.
    pub(super) cancelled: bool,
}

/// Sends a case and hears what comes of it.
pub(super) async fn call(case: &Case, place: &Place, journal: &Journal) -> Heard {
    let since = Instant::now();
    let limit = case.expect.closes_within_s.map_or(PATIENCE, |s| Duration::from_secs(s + 3));
    let mut heard = Heard::default();
    let mut connection = Connection::to(place.address).await;
    let talk = async {
        connection.try_send(case.bytes(place)).await;
        if case.abort {
            return;
        }
        if case.half_close {
            connection.finish_sending().await;
        }
        if let Some(drip) = &case.drip {
            trickle(&mut connection, drip).await;
        }
        if let Err(error) = listen(case, &mut connection, &mut heard, since).await {
            heard.closed = (error.kind() != io::ErrorKind::InvalidData).then(|| since.elapsed());
        }
        let stays = case.expect.closes || case.expect.closes_within_s.is_some();
        if stays && heard.closed.is_none() {
            while connection.some().await.is_ok() {}
            heard.closed = Some(since.elapsed());
        }
    };
    let _ = timeout(limit, talk).await;
    drop(connection);
    if case.expect.answer.leave_early {
        heard.cancelled = journal.has(&case.name, End::Left, CANCELLED_WITHIN).await;
    }
    heard
}

/// Sends a piece at a time until the other side has enough.
async fn trickle(connection: &mut Connection, drip: &Drip) {
    let piece = latin1(&drip.send);
    let mut pace = interval(Duration::from_millis(drip.every_ms));
    while connection.try_send(&piece).await {
        pace.tick().await;
    }
}

/// Hears an answer, as far as it comes.
async fn listen(
    case: &Case,
    connection: &mut Connection,
    heard: &mut Heard,
    since: Instant,
) -> io::Result<()> {
    let mut then = case.then();
    let head = loop {
        let head = connection.head().await?;
        if !head.start.starts_with(b"HTTP/1.") {
            heard.garbage = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        match head.status() {
            status @ (100 | 102..=199) => heard.interim.push(status),
            _ => break head,
        }
        if let Some(bytes) = then.take() {
            connection.try_send(bytes).await;
        }
    };
    heard.answered = Some(since.elapsed());
    let answer = heard.answer.insert(head);
    let chunked = answer.field("transfer-encoding").is_some();
    let length: Option<usize> = answer.field("content-length").and_then(|v| v.parse().ok());
    if matches!(answer.status(), 204 | 304) || length == Some(0) {
        heard.whole = true;
        return Ok(());
    }
    if let Some(ms) = case.expect.answer.read_slowly_ms {
        return read_slowly(connection, Duration::from_millis(ms)).await;
    }
    loop {
        let left = length.map(|length| length - answer.body.len());
        let piece = match left {
            _ if chunked => connection.chunk().await?,
            Some(0) => None,
            // Piece by piece: of an answer that breaks off, what came is kept.
            Some(left) => Some(connection.exactly(left.min(1024)).await?),
            None => connection.some().await.ok(),
        };
        let Some(piece) = piece else { break };
        heard.begun.get_or_insert_with(|| since.elapsed());
        answer.body.extend(piece);
        if case.expect.answer.leave_early {
            return Ok(());
        }
    }
    heard.whole = true;
    Ok(())
}

async fn read_slowly(connection: &mut Connection, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    let mut pace = interval(Duration::from_millis(50));
    while Instant::now() < until {
        pace.tick().await;
        connection.exactly(1024).await?;
    }
    Ok(())
}
