//! An event: one accepted request, as it is stored, dispatched and shown. Knows no HTTP library and no SQL.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use relay_trust::{Reason, State};

use crate::budget::Held;
use crate::endpoint::EndpointId;
use crate::store::spool::Spooled;

/// Everything of an event but its body.
#[derive(Debug)]
pub struct Head {
    /// Its id; the time in it is when the relay took it.
    pub id: EventId,
    /// Whose it is.
    pub endpoint: EndpointId,
    /// The method as it was sent.
    pub method: Bytes,
    /// What stood after the key: raw sub-path and raw query.
    pub path: Bytes,
    /// The end-to-end header fields as they came, `Host` among them.
    pub fields: Fields,
    /// How it came.
    pub origin: Origin,
    /// What was found of who sent it, where the endpoint verifies.
    pub checked: Option<Box<Checked>>,
}

impl Head {
    /// What the provider calls its kind; empty when that is not known.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.checked.as_ref().and_then(|checked| checked.event_type.as_deref()).unwrap_or_default()
    }

    /// Whether it was found to be of its endpoint's provider.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.checked.as_ref().is_some_and(|checked| checked.state.is_good())
    }
}

/// What the relay found when an event came, by its endpoint's provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The provider's name.
    pub provider: Box<str>,
    /// What is known of who sent it.
    pub state: State,
    /// Why it is no better.
    pub reason: Option<Reason>,
    /// What the provider calls its kind.
    pub event_type: Option<Box<str>>,
}

/// How an event came to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who sent it: the peer, or what a trusted proxy says.
    pub remote: Sender,
    /// Whether it came over TLS.
    pub https: bool,
    /// Whether it came as HTTP/1.0, 1.1 or 2: for `Via`.
    pub version: &'static str,
}

/// An address and how it is written: once a connection, not once for every field and column that tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    ip: IpAddr,
    text: Arc<str>,
}

impl Sender {
    /// The address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The address as it is written: dotted, or with colons (RFC 5952).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<IpAddr> for Sender {
    fn from(ip: IpAddr) -> Self {
        Self { ip, text: ip.to_string().into() }
    }
}

/// One accepted request.
#[derive(Debug)]
pub struct Event {
    /// Everything but the body.
    pub head: std::sync::Arc<Head>,
    /// The exact body.
    pub body: Body,
    /// Trailer fields, usually none.
    pub trailers: Fields,
    /// The memory it takes.
    pub held: Option<std::sync::Arc<Held>>,
}

/// An event's body.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    Memory(Bytes),
    /// In a file of its own.
    Spooled(std::sync::Arc<Spooled>),
    /// Not kept, or never complete: this many bytes came.
    Absent(u64),
}

impl Body {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(file) => file.len(),
            Self::Absent(len) => *len,
        }
    }

    /// Takes its bytes out of a larger buffer in which they may stand, so that it can be used again.
    pub fn detach(&mut self) {
        if let Self::Memory(bytes) = self {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
