//! Turns an outcome into the HTTP answer for the provider: the target's own, as it came.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use relay_client::verify::{self, Told};
use relay_protocol::id::EventId;
use relay_protocol::webhook::Answer;
use relay_trust::Reason;

use super::fields::to_headers;
use crate::dispatcher::{AnswerPiece, Caller, Reply, Taken};
use crate::http::{Asking, Peer, ResponseBody};
use crate::problem::{Code, ERROR_HEADER, Problem, request_id};

/// Names the event in the relay's own answers.
const EVENT_ID: HeaderName = HeaderName::from_static("webhook-relay-event-id");

/// What an agent has found of who sent the request: for the relay, not for the provider.
const VERIFICATION: HeaderName = HeaderName::from_static(verify::VERIFICATION);

/// What a provider is told.
#[derive(Debug)]
pub enum Said {
    /// What came of its event.
    Reply(Reply),
    /// What it wants to hear before it sends events.
    Handshake(Box<relay_trust::Answer>),
}

/// The answer for a provider.
pub(super) async fn respond(said: Said, peer: &Peer) -> Response<ResponseBody> {
    match said {
        Said::Reply(Reply::Answer(caller)) => pass_on(*caller, peer).await,
        Said::Reply(Reply::Taken(taken)) => taken_in(&taken),
        Said::Reply(Reply::Repeated { first, answer, body }) => repeated(first, &answer, body),
        Said::Handshake(answer) => handshake(*answer),
    }
}

/// The answer to a handshake: these bytes and no others, for some providers compare them.
fn handshake(answer: relay_trust::Answer) -> Response<ResponseBody> {
    let unproved = answer.finding.is_some_and(|finding| !finding.is_good());
    let mut response = Response::new(ResponseBody::whole(answer.body.into()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_maybe_shared(Bytes::from(value)))
        {
            response.headers_mut().append(name, value);
        }
    }
    if unproved {
        let code = HeaderValue::from_static(Code::SignatureInvalid.as_str());
        response.headers_mut().insert(ERROR_HEADER, code);
    }
    response
}

/// What a caller is told whose request an agent has rejected.
pub(super) fn proved_nothing(code: Code, detail: &str) -> Option<String> {
    let told: Told = detail.parse().ok().filter(|_| code == Code::SignatureInvalid)?;
    let why = told.reason.map_or(told.state.as_str(), Reason::as_str);
    Some(format!("nothing proves that {} has sent this: {why}", told.provider))
}

/// The relay's own word.
fn taken_in(taken: &Taken) -> Response<ResponseBody> {
    let id = taken.id.to_string();
    let (body, kind) = match (&taken.body, taken.kind.as_deref()) {
        (Some(text), kind) => {
            (text.as_bytes().to_vec(), kind.unwrap_or("text/plain; charset=utf-8"))
        }
        (None, _) => (serde_json::json!({ "id": id }).to_string().into_bytes(), "application/json"),
    };
    let mut response = Response::new(ResponseBody::whole(body.into()));
    *response.status_mut() = StatusCode::from_u16(taken.status).unwrap_or(StatusCode::ACCEPTED);
    if let Ok(kind) = HeaderValue::try_from(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    name(&mut response, &id);
    response
}

/// What the first event with this key was answered.
fn repeated(first: EventId, answer: &Answer, body: Bytes) -> Response<ResponseBody> {
    let mut headers = to_headers(&answer.fields).unwrap_or_default();
    correct_length(&mut headers, &body);
    let mut response = Response::new(ResponseBody::whole(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    *response.headers_mut() = headers;
    response.headers_mut().remove(VERIFICATION);
    name(&mut response, &first.to_string());
    response
}

fn name(response: &mut Response<ResponseBody>, id: &str) {
    let id = HeaderValue::try_from(id).expect("letters and digits");
    response.headers_mut().insert(EVENT_ID, id);
}

/// The answer of a target.
async fn pass_on(mut caller: Caller, peer: &Peer) -> Response<ResponseBody> {
    let head =
        StatusCode::from_u16(caller.answer.status).ok().zip(to_headers(&caller.answer.fields).ok());
    let Some((status, mut headers)) = head else {
        let problem = Problem::new(Code::TargetBadResponse, "the answer's head is no HTTP");
        return problem.response(&request_id()).map(ResponseBody::whole);
    };
    let body = if caller.is_whole() {
        correct_length(&mut headers, &caller.first);
        ResponseBody::whole(std::mem::take(&mut caller.first))
    } else {
        ResponseBody::Answer(Box::new(AnswerBody {
            caller,
            broken: None,
            _asking: Box::pin(peer.begin_answer()).await,
        }))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove(VERIFICATION);
    response
}

/// Takes a length away that is not the body's: the HTTP library would believe it, and the caller would take the rest for
/// another answer. No honest agent tells one.
fn correct_length(headers: &mut HeaderMap, body: &Bytes) {
    let mut told = headers.get_all(CONTENT_LENGTH).iter();
    let (first, second) = (told.next(), told.next());
    let is_right = |told: &HeaderValue| told.as_bytes() == body.len().to_string().as_bytes();
    // Without a body it is the length that there would be (RFC 9110 §8.6).
    if !body.is_empty() && (second.is_some() || !first.is_none_or(is_right)) {
        headers.remove(CONTENT_LENGTH);
    }
}

/// The body of an answer that is still coming.
#[derive(Debug)]
pub struct AnswerBody {
    caller: Caller,
    /// Why it broke off, until that is told.
    broken: Option<String>,
    /// Tells the connection that an answer is under way.
    _asking: Asking,
}

impl AnswerBody {
    pub(crate) fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        // An error makes the HTTP library cut the connection: what is not whole must not look so.
        if let Some(why) = self.broken.take() {
            return Poll::Ready(Some(Err(std::io::Error::other(why))));
        }
        if !self.caller.first.is_empty() {
            let first = std::mem::take(&mut self.caller.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.caller.is_whole() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.caller.poll_piece(cx)) {
            AnswerPiece::Data(bytes) => Some(Ok(Frame::data(bytes))),
            AnswerPiece::End(trailers) => {
                let trailers = to_headers(&trailers).ok().filter(|trailers| !trailers.is_empty());
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            // In its next turn: cut in this one, the head and what has come would not have left.
            AnswerPiece::Broken(why) => {
                self.broken = Some(why);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }
}
