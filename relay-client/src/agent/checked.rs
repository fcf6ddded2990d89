//! A request whose sender is checked before the target sees it: it is whole by then.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::{Fields, Request};
use relay_trust::{Finding, State};

use crate::target::body::RequestBody;
use crate::verify::{BODY_MAX, Told, Verifier};
use crate::wire::{Chunk, Stream};

/// A request that may go on to the target.
pub(super) struct Passed {
    /// With what was found among its fields.
    pub(super) request: Request,
    pub(super) body: RequestBody,
    pub(super) told: Told,
}

/// Judges a request; the relay is told of one that is rejected.
///
/// # Errors
/// Why it does not go on, in words.
pub(super) async fn check(
    verifier: &Verifier,
    stream: &Arc<Stream>,
    request: &Request,
    first: Bytes,
    end: bool,
) -> Result<Passed, String> {
    let _turn = if end { None } else { verifier.turn().await };
    let (told, body) = if end {
        (verifier.judge(request, &first), RequestBody::Whole(first))
    } else {
        match gather(stream, first).await? {
            Gathered::Whole(bytes, trailers) => {
                (verifier.judge(request, &bytes), RequestBody::Gathered(bytes, trailers))
            }
            Gathered::TooLong(first) => {
                let found = Finding { state: State::Unattempted, reason: None, secret: None };
                let (rest, length) = (Arc::clone(stream), request.length);
                (verifier.told(request, found), RequestBody::Streamed { first, rest, length })
            }
        }
    };
    if verifier.rejects(&told) {
        stream.reset(Broken::SignatureInvalid, Dispatched::No, &told.to_string());
        let why = told.reason.map_or("too long to be checked", |reason| reason.as_str());
        return Err(format!("rejected, nothing proves that it is from {}: {why}", told.provider));
    }
    let request = Request { fields: told.put_into(&request.fields), ..request.clone() };
    Ok(Passed { request, body, told })
}

/// A body, as far as it was waited for.
enum Gathered {
    Whole(Bytes, Fields),
    /// Only its beginning: it is longer than what is judged.
    TooLong(Bytes),
}

async fn gather(stream: &Stream, first: Bytes) -> Result<Gathered, String> {
    let mut body = BytesMut::from(&first[..]);
    loop {
        match stream.chunk().await {
            Chunk::Data(bytes) => body.extend_from_slice(&bytes),
            Chunk::End(trailers) => return Ok(Gathered::Whole(body.freeze(), trailers)),
            Chunk::Broken(reset) => return Err(format!("the request broke off: {}", reset.reason)),
            Chunk::Lost => return Err("the line to the relay is lost".to_owned()),
        }
        if body.len() > BODY_MAX {
            return Ok(Gathered::TooLong(body.freeze()));
        }
    }
}
