//! The way through a proxy: to it, and from there to the relay, each hop in its time.

use tokio::time::timeout;

use super::proxy::{Kind, Login, Proxy};
use super::{HOP_TIMEOUT, WayError, socks, tunnel};
use crate::socket::{Socket, Trust};

impl Proxy {
    /// A byte stream to this host.
    pub(super) async fn reach(
        &self,
        host: &str,
        port: u16,
        trust: &Trust,
    ) -> Result<Socket, WayError> {
        match &self.kind {
            Kind::Http { authorization, .. } => {
                let socket = self.connect(trust).await?;
                let opened = tunnel::open(self, socket, host, port, authorization.as_ref());
                self.in_time(opened).await
            }
            Kind::Socks { names: true, login } => {
                let socket = self.connect(trust).await?;
                self.in_time(socks::open(self, socket, host, port, login.as_ref())).await
            }
            Kind::Socks { names: false, login } => {
                self.reach_by_address(host, port, trust, login.as_ref()).await
            }
        }
    }

    async fn in_time(
        &self,
        opened: impl Future<Output = Result<Socket, WayError>>,
    ) -> Result<Socket, WayError> {
        let late = || self.broke(format!("no answer in {} s", HOP_TIMEOUT.as_secs()));
        timeout(HOP_TIMEOUT, opened).await.unwrap_or_else(|_| Err(late()))
    }

    /// Tries one address after the other, each with a connection of its own: a proxy that could not reach one ends it.
    async fn reach_by_address(
        &self,
        host: &str,
        port: u16,
        trust: &Trust,
        login: Option<&Login>,
    ) -> Result<Socket, WayError> {
        let addresses = crate::socket::addresses(host, port).await.map_err(WayError::Relay)?;
        let mut addresses = addresses.into_iter().peekable();
        loop {
            let Some(address) = addresses.next() else {
                return Err(self.cannot_reach(host, port, "the name has no address"));
            };
            let socket = self.connect(trust).await?;
            let ip = address.ip().to_string();
            match self.in_time(socks::open(self, socket, &ip, port, login)).await {
                Err(WayError::ProxyCannotReach { .. }) if addresses.peek().is_some() => {}
                settled => return settled,
            }
        }
    }

    /// A connection to the proxy itself.
    async fn connect(&self, trust: &Trust) -> Result<Socket, WayError> {
        let trust = matches!(self.kind, Kind::Http { tls: true, .. }).then_some(trust);
        let socket = Socket::connect(&self.host, self.port, trust, HOP_TIMEOUT).await;
        socket.map_err(|source| WayError::Proxy { proxy: self.to_string(), source })
    }
}
