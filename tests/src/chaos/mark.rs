//! What an event is known by: its endpoint, its stream, its place in the stream; and the body that follows from these.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};

/// The SHA-256 of a body.
pub type Digest = [u8; 32];

/// Streams from this one on post large bodies only.
pub const LARGE_FROM: u32 = 1_000_000;

/// Which event it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The endpoint that it was posted to.
    pub endpoint: String,
    /// Who posted it: a stream is posted one event after the other.
    pub stream: u32,
    /// Its place in the stream.
    pub seq: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.endpoint, self.stream, self.seq)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let (Some(endpoint), Some(stream), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let endpoint = endpoint.to_owned();
        let (stream, seq) = (stream.parse().map_err(drop)?, seq.parse().map_err(drop)?);
        Ok(Self { endpoint, stream, seq })
    }
}

impl Mark {
    /// Its body: the mark itself on a line, then bytes that no other event has.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut luck = fastrand::Rng::with_seed(self.seed());
        let length = match self.stream {
            LARGE_FROM.. => luck.usize(270_000..600_000),
            _ => usual_length(&mut luck),
        };
        let mut body = format!("{self}\n").into_bytes();
        let begun = body.len();
        body.resize(length.max(begun), 0);
        luck.fill(&mut body[begun..]);
        body
    }

    fn seed(&self) -> u64 {
        let digest = sha256(self.to_string().as_bytes());
        u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"))
    }
}

/// The SHA-256 of these bytes.
///
/// # Panics
/// Never.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A body's length, spread as webhooks' are: half are below 2 KB, one in a hundred is large, one in 2,000 has 5 MB.
#[must_use]
pub fn usual_length(luck: &mut fastrand::Rng) -> usize {
    match luck.u32(0..10_000) {
        0..5_000 => luck.usize(300..2_000),
        5_000..9_000 => luck.usize(2_000..10_000),
        9_000..9_900 => luck.usize(10_000..60_000),
        9_900..9_995 => luck.usize(60_000..1_000_000),
        _ => 5_000_000,
    }
}
