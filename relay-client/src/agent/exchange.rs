//! One attempt: from the request that came over the line to the answer that goes back.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use relay_protocol::limits::INLINE_MAX;
use relay_protocol::reason::{Broken, Dispatched, Refusal};
use relay_protocol::webhook::{Answer, Fields, Request};
use tokio::time::{timeout, timeout_at};

use super::checked::{Passed, check};
use super::{Route, Work};
use crate::answered::Remembered;
use crate::notice::{Attempt, Notice};
use crate::target::body::{Piece, RequestBody};
use crate::target::http::Answering;
use crate::target::{Bad, Failure};
use crate::verify::Told;
use crate::wire::Stream;

/// A request as it came.
pub(super) struct Incoming {
    pub(super) stream: Stream,
    pub(super) request: Request,
    pub(super) body: Bytes,
    pub(super) end: bool,
}

/// Carries out one attempt; all that can go wrong is told to the relay.
pub(super) async fn attempt(work: Arc<Work>, incoming: Incoming) {
    let Incoming { stream, request, body, end } = incoming;
    let Some(route) = work.routes.get(usize::from(request.subscription)) else {
        return stream.refuse(Refusal::UnknownSubscription, "no such subscription at this agent");
    };
    let started = Instant::now();
    let told = work.notices.of_attempts().then(|| Attempt {
        event: request.event,
        attempt: request.attempt,
        endpoint: route.subscription.endpoint.to_string(),
        method: request.method.clone(),
        path: request.path.clone(),
    });
    if let Some(attempt) = &told {
        work.notices.tell(Notice::Started(attempt.clone()));
    }
    let stream = Arc::new(stream);
    let mut asked = pin!(ask(&work, route, &stream, &request, body, end, started));
    let result = tokio::select! {
        biased;
        result = &mut asked => result,
        // Dropping what is asked cuts the local connection.
        () = stream.cancelled() => Err("cancelled: the caller has gone".to_owned()),
    };
    if let Some(attempt) = told {
        work.notices.tell(Notice::Done { attempt, result, took: started.elapsed() });
    }
}

async fn ask(
    work: &Work,
    route: &Route,
    stream: &Arc<Stream>,
    request: &Request,
    body: Bytes,
    end: bool,
    started: Instant,
) -> Result<u16, String> {
    let target = &route.target;
    let limit = Duration::from_millis(request.deadline_ms.into()).min(target.answer_timeout());
    let until = tokio::time::Instant::from_std(started) + limit;
    let key = (request.subscription, request.event);
    if request.resent
        && let Ok(Some(earlier)) = Box::pin(timeout(limit, work.memory.earlier(key))).await
    {
        return Ok(repeat(stream, earlier));
    }
    let running = work.memory.begin(work.line, key, started);
    let passed = match &route.verifier {
        Some(verifier) => {
            // Boxed, so that what most attempts never need does not weigh on all of them.
            let checked = Box::pin(check(verifier, stream, request, body.clone(), end));
            let Ok(checked) = timeout_at(until, checked).await else {
                let words = "the request was not whole in time";
                stream.reset(Broken::Stalled, Dispatched::No, words);
                return Err(words.to_owned());
            };
            Some(checked?)
        }
        None => None,
    };
    let (checked, body, told) = match passed {
        Some(Passed { request, body, told }) => (Some(request), body, Some(told)),
        None if end => (None, RequestBody::Whole(body), None),
        None => {
            let (rest, length) = (Arc::clone(stream), request.length);
            (None, RequestBody::Streamed { first: body, rest, length }, None)
        }
    };
    let request = checked.as_ref().unwrap_or(request);
    let mut answering = match timeout_at(until, target.send(request, body)).await {
        Ok(Ok(answering)) => answering,
        Ok(Err(failure)) => return Err(fail(stream, &failure)),
        Err(_) => {
            let words = format!("no answer in {} ms", limit.as_millis());
            stream.reset(Broken::TargetTimeout, Dispatched::Yes, &words);
            return Err(words);
        }
    };
    let status = answering.head.status;
    match pass_on(stream, &mut answering, told.as_ref()).await {
        Ok(whole) => {
            answering.finish();
            if let Some(remembered) = whole.filter(|_| (200..300).contains(&status)) {
                running.remember(remembered);
            }
            Ok(status)
        }
        Err(why) => Err(why),
    }
}

fn repeat(stream: &Stream, earlier: Remembered) -> u16 {
    let Remembered { answer, mut body } = earlier;
    let status = answer.status;
    if let Ok(false) = stream.answer(answer, &mut body, true) {
        stream.reset(Broken::Internal, Dispatched::Yes, "a remembered answer did not fit");
    }
    status
}

fn fail(stream: &Stream, failure: &Failure) -> String {
    let words = failure.to_string();
    match failure {
        Failure::Refused(reason, _) => stream.refuse(*reason, &words),
        Failure::Broken(reason, _) => stream.reset(*reason, Dispatched::Yes, &words),
    }
    words
}

/// Passes an answer on as it comes; a small one that is there whole goes as one frame, and comes back for the memory.
async fn pass_on(
    stream: &Stream,
    answering: &mut Answering<'_>,
    told: Option<&Told>,
) -> Result<Option<Remembered>, String> {
    let Answer { status, fields } = &answering.head;
    let fields = told.map_or_else(|| fields.clone(), |told| told.put_into(fields));
    let answer = Answer { status: *status, fields };
    let mut gathered = gather(answering).await.map_err(|why| broke_off(stream, &why))?;
    let end = matches!(&gathered.end, Some(trailers) if trailers.is_empty());
    // A copy: a slice would keep the connection's whole read buffer from being used again.
    let whole = end.then(|| Remembered {
        answer: answer.clone(),
        body: Bytes::copy_from_slice(&gathered.bytes),
    });
    match stream.answer(answer, &mut gathered.bytes, end) {
        Err(_) => Err(bad(stream, "the answer's header fields are above the bound")),
        Ok(true) => Ok(whole),
        // Apart and boxed, so that what most attempts never need does not weigh on all of them.
        Ok(false) => Box::pin(pass_rest(stream, answering, gathered)).await.map(|()| None),
    }
}

/// Passes the rest of an answer's body on.
async fn pass_rest(
    stream: &Stream,
    answering: &mut Answering<'_>,
    gathered: Gathered,
) -> Result<(), String> {
    let gone = |_| "the caller has gone".to_owned();
    stream.send(gathered.bytes).await.map_err(gone)?;
    let mut end = gathered.end;
    while end.is_none() {
        let piece = tokio::select! {
            piece = answering.piece() => piece,
            () = stream.over() => return Err("the line to the relay is lost".to_owned()),
        };
        match piece {
            Ok(Piece::Data(bytes)) => stream.send(bytes).await.map_err(gone)?,
            Ok(Piece::End(trailers)) => end = Some(trailers),
            Err(why) => return Err(broke_off(stream, &why)),
        }
    }
    stream.end(end.unwrap_or_default());
    Ok(())
}

fn broke_off(stream: &Stream, why: &Bad) -> String {
    bad(stream, &format!("the answer broke off: {why}"))
}

fn bad(stream: &Stream, why: &str) -> String {
    stream.reset(Broken::TargetBadResponse, Dispatched::Yes, why);
    why.to_owned()
}

/// The beginning of an answer's body.
struct Gathered {
    bytes: Bytes,
    /// The trailers, when the body is complete.
    end: Option<Fields>,
}

/// Takes what is there without waiting, so that a head never waits for its body.
async fn gather(answering: &mut Answering<'_>) -> Result<Gathered, Bad> {
    let (mut bytes, mut more) = (Bytes::new(), BytesMut::new());
    let end = loop {
        if bytes.len() + more.len() > INLINE_MAX {
            break None;
        }
        match answering.ready_piece().await {
            Poll::Pending => break None,
            Poll::Ready(piece) => match piece? {
                Piece::Data(data) if bytes.is_empty() => bytes = data,
                Piece::Data(data) => more.extend_from_slice(&data),
                Piece::End(trailers) => break Some(trailers),
            },
        }
    };
    if !more.is_empty() {
        let mut joined = BytesMut::with_capacity(bytes.len() + more.len());
        joined.extend_from_slice(&bytes);
        joined.extend_from_slice(&more);
        bytes = joined.freeze();
    }
    Ok(Gathered { bytes, end })
}
