//! Frames to bytes. A head that does not fit into one frame is an error here, never a cut frame on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::{FLAG_END, FLAG_LENGTH, FLAG_RESENT};
use crate::frame::{Answered, Both, GoAway, Open, Refuse, Reset, ToAgent, ToRelay, code};
use crate::id::StreamId;
use crate::limits::{DETAIL_MAX, FIELDS_MAX, FRAME_MAX, METHOD_MAX, PATH_MAX, TOKEN_MAX};
use crate::webhook::{Fields, Request};

/// A frame that would be longer than the wire allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is above the bound")]
pub struct TooLong(pub usize);

impl ToAgent {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`TooLong`], when the head does not fit into one frame.
    pub fn encode(&self) -> Result<Bytes, TooLong> {
        match self {
            Self::Welcome(welcome) => json(code::WELCOME, welcome),
            Self::Open(open) => encode_open(open),
            Self::Both(both) => Ok(encode_both(both)),
        }
    }
}

impl ToRelay {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`TooLong`], when the head does not fit into one frame, or the token is none.
    pub fn encode(&self) -> Result<Bytes, TooLong> {
        match self {
            Self::Hello(hello) => json(code::HELLO, hello),
            Self::Refuse(refuse) => Ok(encode_refuse(refuse)),
            Self::Answer(answered) => encode_answer(answered),
            Self::Renew(token) if token.len() > TOKEN_MAX => Err(TooLong(1 + token.len())),
            Self::Renew(token) => Ok(plain(code::RENEW, token.as_bytes())),
            Self::Both(both) => Ok(encode_both(both)),
        }
    }
}

/// How many bytes an OPEN takes besides body, path and fields.
const OPEN_HEAD: usize = 1 + 1 + 8 + 16 + 4 + 2 + 4 + 8 + 1 + 2 + 2;
/// How many bytes an ANSWER takes besides body and fields.
const ANSWER_HEAD: usize = 1 + 1 + 8 + 2 + 2;

/// How many body bytes fit into the OPEN of this request, or `None` when not even the head does.
pub(crate) fn open_room(request: &Request) -> Option<usize> {
    let parts = request.method.len() + request.path.len() + request.fields.encoded().len();
    let long = request.method.len() > METHOD_MAX || request.path.len() > PATH_MAX;
    if long { None } else { FRAME_MAX.checked_sub(OPEN_HEAD + parts) }
}

/// How many body bytes fit into the ANSWER with these fields, or `None` when not even the head does.
pub(crate) fn answer_room(fields: &Fields) -> Option<usize> {
    let length = fields.encoded().len();
    if length > FIELDS_MAX { None } else { FRAME_MAX.checked_sub(ANSWER_HEAD + length) }
}

fn encode_open(open: &Open) -> Result<Bytes, TooLong> {
    let request = &open.request;
    let head =
        OPEN_HEAD + request.method.len() + request.path.len() + request.fields.encoded().len();
    let length = head + open.body.len();
    if open_room(request).is_none_or(|room| room < open.body.len()) {
        return Err(TooLong(length));
    }
    let mut out = BytesMut::with_capacity(length);
    out.put_u8(code::OPEN);
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.put_u8(
        flag(open.end, FLAG_END)
            | flag(request.length.is_some(), FLAG_LENGTH)
            | flag(request.resent, FLAG_RESENT),
    );
    out.put_u64(open.stream.0);
    out.put_slice(request.event.as_bytes());
    out.put_u32(request.attempt);
    out.put_u16(request.subscription);
    out.put_u32(request.deadline_ms);
    out.put_u64(request.length.unwrap_or(0));
    out.put_u8(request.method.len() as u8);
    out.put_slice(&request.method);
    out.put_u16(request.path.len() as u16);
    out.put_slice(&request.path);
    put_fields(&mut out, &request.fields);
    out.put_slice(&open.body);
    Ok(out.freeze())
}

fn encode_answer(answered: &Answered) -> Result<Bytes, TooLong> {
    let fields = &answered.answer.fields;
    let length = ANSWER_HEAD + fields.encoded().len() + answered.body.len();
    if answer_room(fields).is_none_or(|room| room < answered.body.len()) {
        return Err(TooLong(length));
    }
    let mut out = BytesMut::with_capacity(length);
    out.put_u8(code::ANSWER);
    out.put_u8(if answered.end { FLAG_END } else { 0 });
    out.put_u64(answered.stream.0);
    out.put_u16(answered.answer.status);
    put_fields(&mut out, fields);
    out.put_slice(&answered.body);
    Ok(out.freeze())
}

fn encode_refuse(refuse: &Refuse) -> Bytes {
    let mut head = [0; 9];
    head[..8].copy_from_slice(&refuse.stream.0.to_be_bytes());
    head[8] = refuse.reason.code();
    text(code::REFUSE, &head, &refuse.detail, DETAIL_MAX)
}

fn encode_both(both: &Both) -> Bytes {
    match both {
        Both::Data { stream, bytes } => on_stream(code::DATA, *stream, bytes),
        Both::End { stream, trailers } => on_stream(code::END, *stream, trailers.encoded()),
        Both::Credit { stream, bytes } => on_stream(code::CREDIT, *stream, &bytes.to_be_bytes()),
        Both::Reset(reset) => encode_reset(reset),
        Both::Ping(number) => plain(code::PING, &number.to_be_bytes()),
        Both::Pong(number) => plain(code::PONG, &number.to_be_bytes()),
        Both::GoAway(goaway) => encode_goaway(goaway),
    }
}

fn encode_reset(reset: &Reset) -> Bytes {
    let mut head = [0; 10];
    head[..8].copy_from_slice(&reset.stream.0.to_be_bytes());
    head[8..].copy_from_slice(&[reset.reason.code(), reset.dispatched.code()]);
    text(code::RESET, &head, &reset.detail, DETAIL_MAX)
}

fn encode_goaway(goaway: &GoAway) -> Bytes {
    let mut head = [0; 9];
    head[0] = goaway.reason.code();
    head[1..5].copy_from_slice(&goaway.deadline_ms.to_be_bytes());
    head[5..9].copy_from_slice(&goaway.reconnect_after_ms.to_be_bytes());
    text(code::GOAWAY, &head, &goaway.detail, DETAIL_MAX)
}

fn put_fields(out: &mut BytesMut, fields: &Fields) {
    out.put_u16(fields.encoded().len() as u16);
    out.put_slice(fields.encoded());
}

fn plain(code: u8, bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + bytes.len());
    out.put_u8(code);
    out.put_slice(bytes);
    out.freeze()
}

fn on_stream(code: u8, stream: StreamId, bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(9 + bytes.len());
    out.put_u8(code);
    out.put_u64(stream.0);
    out.put_slice(bytes);
    out.freeze()
}

/// A frame that ends in words, cut at a character's edge where they are too many.
fn text(code: u8, head: &[u8], words: &str, most: usize) -> Bytes {
    let end = words.floor_char_boundary(most);
    let mut out = BytesMut::with_capacity(1 + head.len() + end);
    out.put_u8(code);
    out.put_slice(head);
    out.put_slice(&words.as_bytes()[..end]);
    out.freeze()
}

fn json<T: Serialize>(code: u8, value: &T) -> Result<Bytes, TooLong> {
    let mut out = vec![code];
    serde_json::to_writer(&mut out, value).expect("plain data serializes");
    if out.len() > FRAME_MAX { Err(TooLong(out.len())) } else { Ok(out.into()) }
}
