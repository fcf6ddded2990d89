//! Where an answer's body ends, and what of the bytes that come is content (RFC 9112 §6.3, §7.1). Does no I/O.

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Status};
use relay_protocol::webhook::Fields;

use super::answer::{Bad, end_to_end};
use super::body::Piece;

/// The longest line that begins a chunk, with its extensions, in bytes. Nobody is known to send any.
const CHUNK_LINE_MAX: usize = 4 * 1024;

/// The longest trailer section, in bytes.
const TRAILERS_MAX: usize = 16 * 1024;

/// The most fields in a trailer section.
const TRAILER_COUNT_MAX: usize = 64;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// This many bytes.
    Length(u64),
    /// Chunks, from their next line on.
    Chunk,
    /// This many bytes of a chunk, and more chunks.
    InChunk(u64),
    /// The trailer section.
    Trailers,
    /// All until the connection is closed.
    UntilClose,
    /// Nothing: the end has been told.
    Over,
}

impl Decoder {
    /// The next piece in what has come, if there is one.
    ///
    /// # Errors
    /// When it is no chunk.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, Bad> {
        loop {
            match *self {
                Self::Length(0) | Self::Over => return Ok(Some(self.end(Fields::default()))),
                Self::Length(left) => return Ok(self.take(left, buffer, Self::Length)),
                Self::UntilClose => return Ok(self.take(u64::MAX, buffer, |_| Self::UntilClose)),
                Self::InChunk(left) if left > 0 => {
                    return Ok(self.take(left, buffer, Self::InChunk));
                }
                Self::InChunk(_) => match buffer.first_chunk() {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Chunk;
                    }
                    Some(_) => return Err(Bad::Chunk),
                    None => return Ok(None),
                },
                Self::Chunk => match chunk_line(buffer)? {
                    Some(0) => *self = Self::Trailers,
                    Some(size) => *self = Self::InChunk(size),
                    None => return Ok(None),
                },
                Self::Trailers => {
                    return Ok(trailers(buffer)?.map(|trailers| self.end(trailers)));
                }
            }
        }
    }

    fn end(&mut self, trailers: Fields) -> Piece {
        *self = Self::Over;
        Piece::End(trailers)
    }

    /// Up to `left` bytes of what has come; `then` says what follows them.
    fn take(
        &mut self,
        left: u64,
        buffer: &mut BytesMut,
        then: impl Fn(u64) -> Self,
    ) -> Option<Piece> {
        let here = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        *self = then(left - here as u64);
        (here > 0).then(|| Piece::Data(buffer.split_to(here).freeze()))
    }
}

/// The size of a chunk, when its line is complete.
fn chunk_line(buffer: &mut BytesMut) -> Result<Option<u64>, Bad> {
    // The library takes a line without digits for a size of nothing.
    if buffer.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
        return Err(Bad::Chunk);
    }
    match httparse::parse_chunk_size(buffer).map_err(|_| Bad::Chunk)? {
        Status::Complete((length, size)) => {
            buffer.advance(length);
            Ok(Some(size))
        }
        Status::Partial if buffer.len() > CHUNK_LINE_MAX => Err(Bad::Chunk),
        Status::Partial => Ok(None),
    }
}

/// The trailer section, when it is complete.
fn trailers(buffer: &mut BytesMut) -> Result<Option<Fields>, Bad> {
    let mut fields = [EMPTY_HEADER; TRAILER_COUNT_MAX];
    match httparse::parse_headers(buffer, &mut fields)? {
        Status::Complete((length, fields)) if length <= TRAILERS_MAX => {
            // What frames a message has no place behind its body (RFC 9110 §6.5.1).
            let trailers = end_to_end(fields, |name| name != b"content-length");
            buffer.advance(length);
            Ok(Some(trailers))
        }
        Status::Partial if buffer.len() <= TRAILERS_MAX => Ok(None),
        _ => Err(Bad::Trailers),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn how_a_body_is_cut_makes_no_difference(
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..20), step in 1..9usize
        ) {
            let coded = parts.concat();
            let whole = read(Decoder::Chunk, &coded, coded.len().max(1)).map_err(|e| e.to_string());
            prop_assert_eq!(read(Decoder::Chunk, &coded, step).map_err(|e| e.to_string()), whole);
        }
    }

    /// What bodies are made of, and what they are not.
    const PARTS: [&[u8]; 12] = [
        b"3",
        b"\r\n",
        b"abc",
        b"0\r\n",
        b"\r\n\r\n",
        b";x",
        b"1\r\na\r\n",
        b"f",
        b"x: y",
        b" ",
        b"\n",
        b"\0",
    ];

    /// What a body comes to: its bytes, its trailers, and what is left behind it.
    type Heard = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>);

    /// Reads a body that comes in parts of `step` bytes.
    fn read(mut decoder: Decoder, coded: &[u8], step: usize) -> Result<Option<Heard>, Bad> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        let mut parts = coded.chunks(step);
        loop {
            match decoder.decode(&mut buffer)? {
                Some(Piece::Data(bytes)) => body.extend_from_slice(&bytes),
                Some(Piece::End(trailers)) => {
                    let trailers = trailers.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                    let left =
                        [&buffer[..], &parts.flatten().copied().collect::<Vec<_>>()].concat();
                    return Ok(Some((body, trailers, left)));
                }
                None => match parts.next() {
                    Some(part) => buffer.extend_from_slice(part),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn a_body_is_read_however_it_is_cut() {
        let coded =
            b"3\r\nabc\r\n00a;x=\"y\"\r\n0123456789\r\n0\r\nX-T: 1\r\nConnection: x\r\nContent-Length: 9\r\n\r\nmore";
        for step in 1..=coded.len() {
            let (body, trailers, left) = read(Decoder::Chunk, coded, step).unwrap().unwrap();
            assert_eq!((&body[..], &left[..]), (&b"abc0123456789"[..], &b"more"[..]), "{step}");
            assert_eq!(trailers, [(b"x-t".to_vec(), b"1".to_vec())], "{step}");
            let (body, _, left) = read(Decoder::Length(5), b"abcdemore", step).unwrap().unwrap();
            assert_eq!((&body[..], &left[..]), (&b"abcde"[..], &b"more"[..]), "{step}");
        }
    }

    #[test]
    fn a_body_that_is_not_whole_has_no_end() {
        let whole = b"3\r\nabc\r\n0\r\nx: y\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(read(Decoder::Chunk, &whole[..end], 4).unwrap(), None, "{end}");
        }
        assert_eq!(read(Decoder::Length(5), b"abcd", 2).unwrap(), None);
        assert_eq!(read(Decoder::UntilClose, b"abcd", 2).unwrap(), None);
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        let long = [&b"1;"[..], &[b'x'; CHUNK_LINE_MAX]].concat();
        let endless = [&b"0\r\nx: "[..], &[b'x'; TRAILERS_MAX]].concat();
        let many = [&b"0\r\n"[..], &b"x: y\r\n".repeat(TRAILER_COUNT_MAX + 1), b"\r\n"].concat();
        for coded in [
            &b"\r\n"[..],
            b";\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"g\r\n",
            b"1\n",
            b"1 1\r\n",
            b"10000000000000000\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc0\r\n\r\n",
            b"0\r\nx y: 1\r\n\r\n",
            &long,
            &endless,
            &many,
        ] {
            for step in [1, coded.len()] {
                let shown = coded[..coded.len().min(40)].escape_ascii();
                assert!(read(Decoder::Chunk, coded, step).is_err(), "{shown}");
            }
        }
    }
}
