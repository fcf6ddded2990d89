//! Turns an outcome into the HTTP answer for the provider: the target's own, as it came.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use relay_client::fields::to_headers;

use crate::dispatcher::{AnswerPiece, Caller};
use crate::http::{Asking, Peer, ResponseBody};
use crate::problem::{Code, Problem, request_id};

/// The answer of a target.
pub(super) fn respond(mut caller: Caller, peer: &Peer) -> Response<ResponseBody> {
    let head =
        StatusCode::from_u16(caller.answer.status).ok().zip(to_headers(&caller.answer.fields).ok());
    let Some((status, headers)) = head else {
        let problem = Problem::new(Code::TargetBadResponse, "the answer's head is no HTTP");
        return problem.response(&request_id()).map(ResponseBody::whole);
    };
    let body = if caller.is_whole() {
        ResponseBody::whole(std::mem::take(&mut caller.first))
    } else {
        ResponseBody::Answer(Box::new(AnswerBody { caller, _asking: peer.answering() }))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The body of an answer that is still coming.
#[derive(Debug)]
pub struct AnswerBody {
    caller: Caller,
    /// Tells the connection that an answer is under way.
    _asking: Asking,
}

impl AnswerBody {
    pub(crate) fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
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
            // An error makes the HTTP library cut the connection: what is not whole must not look so.
            AnswerPiece::Broken(why) => Some(Err(std::io::Error::other(why))),
        })
    }
}
