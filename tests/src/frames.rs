//! HTTP/2 as the frames it is (RFC 9113): what is sent is written out, sound or not; of what comes, the words that count.

use std::net::SocketAddr;

use relay_client::socket::Socket;

use crate::authority::Authority;
use crate::http2::Caller;
use crate::raw::Connection;
use crate::wait::soon;

/// Frame types (RFC 9113 §6).
pub const DATA: u8 = 0;
/// The same.
pub const HEADERS: u8 = 1;
/// The same.
pub const PRIORITY: u8 = 2;
/// The same.
pub const RST_STREAM: u8 = 3;
/// The same.
pub const SETTINGS: u8 = 4;
/// The same.
pub const PUSH_PROMISE: u8 = 5;
/// The same.
pub const PING: u8 = 6;
/// The same.
pub const GOAWAY: u8 = 7;
/// The same.
pub const WINDOW_UPDATE: u8 = 8;
/// The same.
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The answer to SETTINGS or PING.
pub const ACK: u8 = 1;
/// The last frame of a field block.
pub const END_HEADERS: u8 = 4;
/// The first byte says how much padding there is.
pub const PADDED: u8 = 8;

/// Error codes (RFC 9113 §7).
pub const PROTOCOL_ERROR: u32 = 1;
/// The same.
pub const FLOW_CONTROL_ERROR: u32 = 3;
/// The same.
pub const STREAM_CLOSED: u32 = 5;
/// The same.
pub const FRAME_SIZE_ERROR: u32 = 6;
/// The same.
pub const REFUSED_STREAM: u32 = 7;
/// The same.
pub const COMPRESSION_ERROR: u32 = 9;
/// The same.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What a client says first (RFC 9113 §3.4), without the SETTINGS that belong to it.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame, of any length.
///
/// # Panics
/// When the length does not fit into 24 bits.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).ok().filter(|length| *length < 1 << 24);
    let length = length.expect("a length of 24 bits").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One setting.
#[must_use]
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A field block of literals (RFC 7541 §6.2.2), neither indexed nor compressed.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(integer(0, 7, text.len()));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of so many bits, below the bits that stand before it (RFC 7541 §5.1).
#[must_use]
pub fn integer(before: u8, bits: u8, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![before | value as u8];
    }
    let (mut bytes, mut rest) = (vec![before | most as u8], value - most);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// What the other side has said that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The head of an answer, on this stream with this status.
    Answer(u32, u16),
    /// This stream is reset, with this code.
    Reset(u32, u32),
    /// No stream after this code.
    Away(u32),
    /// The connection has ended.
    Gone,
}

/// One connection, from the side of who asks.
#[derive(Debug)]
pub struct Frames(Connection);

impl Frames {
    /// Shakes hands, and says nothing yet.
    ///
    /// # Panics
    /// When there is no HTTP/2 at this address.
    pub async fn silent(address: SocketAddr, authority: &Authority) -> Self {
        let stream = Caller::of(authority, &["h2"]).connect(address).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self(Connection::over(Socket::Tls(Box::new(stream.into()))))
    }

    /// Shakes hands and says what has to be said first, with these settings.
    pub async fn open(address: SocketAddr, authority: &Authority, settings: &[Vec<u8>]) -> Self {
        let mut open = Self::silent(address, authority).await;
        // No table for answers, so that each can be read by itself.
        let settings = [setting(1, 0), settings.concat()].concat();
        open.send([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        open
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes).await;
    }

    /// Sends bytes that the other side may not want any more.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("the bytes are taken", self.0.try_send(bytes)).await
    }

    /// The next word that counts.
    pub async fn word(&mut self) -> Word {
        soon("a word", async {
            loop {
                let Some((kind, flags, stream, payload)) = self.next().await else {
                    return Word::Gone;
                };
                match kind {
                    HEADERS => return Word::Answer(stream, status(&payload)),
                    RST_STREAM => return Word::Reset(stream, number(&payload)),
                    GOAWAY => return Word::Away(number(&payload[4..8])),
                    SETTINGS if flags & ACK == 0 => {
                        self.0.try_send(frame(SETTINGS, ACK, 0, [])).await;
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// Asks whether the other side has come so far, and whether it is still there.
    pub async fn is_alive(&mut self) -> bool {
        if !self.try_send(frame(PING, 0, 0, b"is alive")).await {
            return false;
        }
        soon("an answer to a PING, or the end", async {
            while let Some((kind, flags, _, payload)) = self.next().await {
                if (kind, flags, &payload[..]) == (PING, ACK, b"is alive") {
                    return true;
                }
            }
            false
        })
        .await
    }

    /// Waits until the other side has ended the connection.
    pub async fn ended(&mut self) {
        self.0.ended().await;
    }

    /// The next frame: type, flags, stream, payload.
    pub async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.0.exactly(9).await.ok()?;
        let payload = self.0.exactly(number(&head[..3]) as usize).await.ok()?;
        Some((head[3], head[4], number(&head[5..]) & !(1 << 31), payload))
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// The status at the beginning of an answer's field block: it comes first (RFC 9113 §8.3), after changes of the table.
fn status(block: &[u8]) -> u16 {
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap_or(block.len());
    match block[at..] {
        // RFC 7541, appendix A.
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]
        }
        // The name of number 8, its value plain or in Huffman's code.
        [0x08 | 0x48, length, ref rest @ ..] => {
            let value = &rest[..usize::from(length & 0x7f)];
            let digits = if length & 0x80 == 0 {
                value.iter().map(|digit| digit - b'0').collect()
            } else {
                digits(value)
            };
            digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit))
        }
        _ => panic!("no status: {block:x?}"),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0, 1 and 2 have five bits, the others six.
fn digits(coded: &[u8]) -> Vec<u8> {
    let bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let (mut digits, mut code, mut length) = (Vec::new(), 0, 0);
    for bit in bits {
        (code, length) = (code << 1 | bit, length + 1);
        let digit = match (length, code) {
            (5, 0..=2) => code,
            (6, 0x19..=0x1f) => code - 0x16,
            _ => continue,
        };
        digits.push(digit);
        (code, length) = (0, 0);
        if digits.len() == 3 {
            break;
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_statuses_are_as_in_the_standard() {
        // RFC 7541, C.1.1 to C.1.3 and C.6.1.
        assert_eq!(integer(0, 5, 10), [10]);
        assert_eq!(integer(0, 5, 1337), [31, 154, 10]);
        assert_eq!(integer(0, 8, 42), [42]);
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
        assert_eq!(status(&[0x20, 0x88]), 200);
        assert_eq!(status(&[0x08, 3, b'4', b'3', b'1']), 431);
    }
}
