//! Bytes to frames. Whatever the bytes are, the answer is a frame, a frame to skip, or [`BadFrame`].

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{FLAG_END, FLAG_LENGTH, FLAG_RESENT};
use crate::frame::{Answered, Both, GoAway, Open, Refuse, Reset, ToAgent, ToRelay, code};
use crate::id::{EventId, StreamId};
use crate::limits::{DATA_MAX, DETAIL_MAX, FIELDS_MAX, FRAME_MAX, METHOD_MAX, PATH_MAX, TOKEN_MAX};
use crate::reason::{Broken, Dispatched, Leaving, Refusal};
use crate::webhook::{Answer, Fields, FieldsError, Request};

/// Bytes that are no frame of this protocol; the line ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Nothing at all.
    #[error("an empty frame")]
    Empty,
    /// Above [`FRAME_MAX`].
    #[error("a frame of {0} bytes is above {FRAME_MAX}")]
    TooLong(usize),
    /// A number that this side does not expect, with the high bit clear.
    #[error("frame type {0:#04x} cannot come from this side")]
    Unknown(u8),
    /// The frame ends early or goes on too long.
    #[error("a {0} frame of the wrong length")]
    Length(&'static str),
    /// A part beyond its bound or outside its values.
    #[error("{0} is out of bounds")]
    Bound(&'static str),
    /// A header block that is none.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// JSON that is none, or not what it should be.
    #[error("{kind}: {why}")]
    Json {
        /// HELLO or WELCOME.
        kind: &'static str,
        /// What the parser says.
        why: String,
    },
}

impl ToAgent {
    /// The frame in a message; `None` for one of a later version that is to be skipped.
    ///
    /// # Errors
    /// [`BadFrame`] for everything that the relay cannot have meant.
    pub fn decode(message: Bytes) -> Result<Option<Self>, BadFrame> {
        let (kind, mut rest) = Reader::start(message)?;
        let frame = match kind {
            code::WELCOME => Self::Welcome(json("WELCOME", &rest.0)?),
            code::OPEN => Self::Open(open(rest)?),
            kind => match both(kind, &mut rest)? {
                Some(both) => Self::Both(both),
                None => return skip(kind),
            },
        };
        Ok(Some(frame))
    }
}

impl ToRelay {
    /// The frame in a message; `None` for one of a later version that is to be skipped.
    ///
    /// # Errors
    /// [`BadFrame`] for everything that an agent cannot have meant.
    pub fn decode(message: Bytes) -> Result<Option<Self>, BadFrame> {
        let (kind, mut rest) = Reader::start(message)?;
        let frame = match kind {
            code::HELLO => Self::Hello(json("HELLO", &rest.0)?),
            code::REFUSE => Self::Refuse(refuse(&mut rest)?),
            code::ANSWER => Self::Answer(answer(rest)?),
            code::RENEW => Self::Renew(rest.words("RENEW", TOKEN_MAX)?),
            kind => match both(kind, &mut rest)? {
                Some(both) => Self::Both(both),
                None => return skip(kind),
            },
        };
        Ok(Some(frame))
    }
}

fn skip<T>(kind: u8) -> Result<Option<T>, BadFrame> {
    if kind & 0x80 == 0 { Err(BadFrame::Unknown(kind)) } else { Ok(None) }
}

fn open(mut rest: Reader) -> Result<Open, BadFrame> {
    const NAME: &str = "OPEN";
    let flags = rest.u8(NAME)?;
    let stream = rest.stream(NAME)?;
    let event = EventId::from_bytes(rest.fixed(NAME)?);
    let (attempt, subscription) = (rest.u32(NAME)?, rest.u16(NAME)?);
    let (deadline_ms, length) = (rest.u32(NAME)?, rest.u64(NAME)?);
    let method = usize::from(rest.u8(NAME)?);
    let method = rest.part(NAME, method, METHOD_MAX)?;
    let path = usize::from(rest.u16(NAME)?);
    let path = rest.part(NAME, path, PATH_MAX)?;
    let fields = rest.fields(NAME)?;
    let length = (flags & FLAG_LENGTH != 0).then_some(length);
    let resent = flags & FLAG_RESENT != 0;
    let request =
        Request { event, attempt, subscription, resent, deadline_ms, method, path, fields, length };
    Ok(Open { stream, request, body: rest.0, end: flags & FLAG_END != 0 })
}

fn answer(mut rest: Reader) -> Result<Answered, BadFrame> {
    const NAME: &str = "ANSWER";
    let flags = rest.u8(NAME)?;
    let stream = rest.stream(NAME)?;
    let status = rest.u16(NAME)?;
    if !(200..1000).contains(&status) {
        return Err(BadFrame::Bound("the status of an answer"));
    }
    let fields = rest.fields(NAME)?;
    let answer = Answer { status, fields };
    Ok(Answered { stream, answer, body: rest.0, end: flags & FLAG_END != 0 })
}

fn refuse(rest: &mut Reader) -> Result<Refuse, BadFrame> {
    const NAME: &str = "REFUSE";
    let stream = rest.stream(NAME)?;
    let reason = Refusal::from_code(rest.u8(NAME)?).ok_or(BadFrame::Bound("a refusal's code"))?;
    Ok(Refuse { stream, reason, detail: rest.words(NAME, DETAIL_MAX)? })
}

fn both(kind: u8, rest: &mut Reader) -> Result<Option<Both>, BadFrame> {
    Ok(Some(match kind {
        code::DATA => data(rest)?,
        code::END => Both::End {
            stream: rest.stream("END")?,
            trailers: Fields::parse(std::mem::take(&mut rest.0))?,
        },
        code::CREDIT => credit(rest)?,
        code::RESET => Both::Reset(reset(rest)?),
        code::PING => Both::Ping(rest.last_u64("PING")?),
        code::PONG => Both::Pong(rest.last_u64("PONG")?),
        code::GOAWAY => Both::GoAway(goaway(rest)?),
        _ => return Ok(None),
    }))
}

fn data(rest: &mut Reader) -> Result<Both, BadFrame> {
    let stream = rest.stream("DATA")?;
    let bytes = std::mem::take(&mut rest.0);
    if !(1..=DATA_MAX).contains(&bytes.len()) {
        return Err(BadFrame::Bound("the length of DATA"));
    }
    Ok(Both::Data { stream, bytes })
}

fn credit(rest: &mut Reader) -> Result<Both, BadFrame> {
    let (stream, bytes) = (StreamId(rest.u64("CREDIT")?), rest.u32("CREDIT")?);
    rest.done("CREDIT")?;
    if bytes == 0 {
        Err(BadFrame::Bound("a credit of 0"))
    } else {
        Ok(Both::Credit { stream, bytes })
    }
}

fn reset(rest: &mut Reader) -> Result<Reset, BadFrame> {
    const NAME: &str = "RESET";
    let stream = rest.stream(NAME)?;
    let reason = Broken::from_code(rest.u8(NAME)?).ok_or(BadFrame::Bound("a reset's code"))?;
    let dispatched =
        Dispatched::from_code(rest.u8(NAME)?).ok_or(BadFrame::Bound("a reset's dispatched"))?;
    Ok(Reset { stream, reason, dispatched, detail: rest.words(NAME, DETAIL_MAX)? })
}

fn goaway(rest: &mut Reader) -> Result<GoAway, BadFrame> {
    const NAME: &str = "GOAWAY";
    let reason = Leaving::from_code(rest.u8(NAME)?).ok_or(BadFrame::Bound("a goaway's code"))?;
    let (deadline_ms, reconnect_after_ms) = (rest.u32(NAME)?, rest.u32(NAME)?);
    Ok(GoAway { reason, deadline_ms, reconnect_after_ms, detail: rest.words(NAME, DETAIL_MAX)? })
}

fn json<T: DeserializeOwned>(kind: &'static str, text: &[u8]) -> Result<T, BadFrame> {
    serde_json::from_slice(text).map_err(|error| BadFrame::Json { kind, why: error.to_string() })
}

/// What is left of a frame.
struct Reader(Bytes);

impl Reader {
    fn start(mut message: Bytes) -> Result<(u8, Self), BadFrame> {
        if message.len() > FRAME_MAX {
            return Err(BadFrame::TooLong(message.len()));
        }
        let kind = *message.first().ok_or(BadFrame::Empty)?;
        bytes::Buf::advance(&mut message, 1);
        Ok((kind, Self(message)))
    }

    fn u8(&mut self, name: &'static str) -> Result<u8, BadFrame> {
        self.fixed(name).map(u8::from_be_bytes)
    }

    fn u16(&mut self, name: &'static str) -> Result<u16, BadFrame> {
        self.fixed(name).map(u16::from_be_bytes)
    }

    fn u32(&mut self, name: &'static str) -> Result<u32, BadFrame> {
        self.fixed(name).map(u32::from_be_bytes)
    }

    fn u64(&mut self, name: &'static str) -> Result<u64, BadFrame> {
        self.fixed(name).map(u64::from_be_bytes)
    }

    fn fixed<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], BadFrame> {
        let taken = *self.0.first_chunk::<N>().ok_or(BadFrame::Length(name))?;
        bytes::Buf::advance(&mut self.0, N);
        Ok(taken)
    }

    fn last_u64(&mut self, name: &'static str) -> Result<u64, BadFrame> {
        let number = self.u64(name)?;
        self.done(name)?;
        Ok(number)
    }

    fn stream(&mut self, name: &'static str) -> Result<StreamId, BadFrame> {
        match self.u64(name)? {
            0 => Err(BadFrame::Bound("stream 0")),
            id => Ok(StreamId(id)),
        }
    }

    fn part(&mut self, name: &'static str, length: usize, most: usize) -> Result<Bytes, BadFrame> {
        if length > most || length > self.0.len() {
            return Err(BadFrame::Length(name));
        }
        Ok(self.0.split_to(length))
    }

    fn fields(&mut self, name: &'static str) -> Result<Fields, BadFrame> {
        let length = usize::from(self.u16(name)?);
        Ok(Fields::parse(self.part(name, length, FIELDS_MAX)?)?)
    }

    fn words(&mut self, name: &'static str, most: usize) -> Result<String, BadFrame> {
        let words = std::mem::take(&mut self.0);
        if words.len() > most {
            return Err(BadFrame::Length(name));
        }
        String::from_utf8(words.into()).map_err(|_| BadFrame::Bound("text that is not UTF-8"))
    }

    fn done(&self, name: &'static str) -> Result<(), BadFrame> {
        if self.0.is_empty() { Ok(()) } else { Err(BadFrame::Length(name)) }
    }
}
