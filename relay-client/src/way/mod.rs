//! The way out to the relay: at once, or through a proxy. Knows hops, no protocol above; what fails is told by its hop.

mod proxy;
mod settings;
mod socks;
mod through;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use crate::socket::{ConnectError, Socket, Trust};

pub use proxy::{BadProxy, Proxy};
pub use settings::{ProxyUrl, WaySettings};

/// How long each hop may take: TCP, TLS, and a proxy until it has reached the next one.
const HOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach one relay.
#[derive(Debug, Clone)]
pub struct Way {
    trust: Trust,
    proxy: Option<Arc<Proxy>>,
}

/// Why there is no way, and at which hop.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The relay itself is not to be had.
    #[error("{0}")]
    Relay(ConnectError),
    /// The proxy is not to be had.
    #[error("the proxy {proxy}: {source}")]
    Proxy {
        /// The proxy's URL, without a password, as below.
        proxy: String,
        /// What went wrong on the way to it.
        source: ConnectError,
    },
    /// The proxy was there and has not answered, or only half.
    #[error("the proxy {proxy} broke off: {why}")]
    ProxyBroke {
        /// Which proxy.
        proxy: String,
        /// What went wrong.
        why: String,
    },
    /// The proxy could not reach the relay.
    #[error("the proxy {proxy} could not reach {to}: {why}")]
    ProxyCannotReach {
        /// Which proxy.
        proxy: String,
        /// Host and port of the relay.
        to: String,
        /// What the proxy said.
        why: String,
    },
    /// The proxy wants to know who asks, or does not know whom it was told.
    #[error("the proxy {proxy} {why}")]
    ProxyAuthentication {
        /// Which proxy.
        proxy: String,
        /// What it wants, and what can be done.
        why: String,
    },
    /// The proxy does not let this way be gone.
    #[error("the proxy {proxy} refuses the way to {to}: {why}")]
    ProxyRefuses {
        /// Which proxy.
        proxy: String,
        /// Host and port of the relay.
        to: String,
        /// What the proxy said.
        why: String,
    },
    /// What is there is no such proxy.
    #[error("{proxy} is no such proxy: {why}")]
    NoProxy {
        /// What was taken for a proxy.
        proxy: String,
        /// What it said.
        why: String,
    },
}

impl WayError {
    /// Whether only a person can change it, so that trying again soon is of no use.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Relay(error) | Self::Proxy { source: error, .. } => error.is_lasting(),
            Self::ProxyBroke { .. } | Self::ProxyCannotReach { .. } => false,
            Self::ProxyAuthentication { .. } | Self::ProxyRefuses { .. } | Self::NoProxy { .. } => {
                true
            }
        }
    }
}

impl Way {
    /// Without a proxy.
    #[must_use]
    pub fn direct(trust: Trust) -> Self {
        Self { trust, proxy: None }
    }

    /// Through this proxy, which is trusted as the relay is.
    #[must_use]
    pub fn through(trust: Trust, proxy: Proxy) -> Self {
        Self { trust, proxy: Some(Arc::new(proxy)) }
    }

    /// Opens a byte stream to this host; with `tls`, TLS from here to there, whatever lies between.
    ///
    /// # Errors
    /// [`WayError`], by hop.
    pub async fn connect(&self, host: &str, port: u16, tls: bool) -> Result<Socket, WayError> {
        let plain = match &self.proxy {
            Some(proxy) => proxy.reach(host, port, &self.trust).await?,
            None => {
                let tcp = Socket::connect(host, port, None, HOP_TIMEOUT).await;
                tcp.map_err(WayError::Relay)?
            }
        };
        if !tls {
            return Ok(plain);
        }
        plain.secured(host, &self.trust, HOP_TIMEOUT).await.map_err(WayError::Relay)
    }
}
