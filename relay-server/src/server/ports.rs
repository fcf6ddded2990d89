//! Where the relay listens, and the threads that serve there.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;

use crate::config::Config;
use crate::tls::TlsSettings;
use crate::workers::{Workers, listen};

/// Where it listens, and with whom.
pub(super) struct Ports {
    /// One for each worker.
    pub(super) listeners: Vec<TcpListener>,
    pub(super) address: SocketAddr,
    /// Without TLS, beside it.
    pub(super) lobby: Option<TcpListener>,
    pub(super) workers: Workers,
}

impl Ports {
    /// Listens; nothing is accepted yet.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let listeners = listen_on(config.listen, config.workers)?;
        let address = listeners[0].local_addr()?;
        let lobby = config.http_listen.map(|address| listen_on(address, 1)).transpose()?;
        let lobby = lobby.map(|mut one| one.remove(0));
        let workers = Workers::start(config.workers)?;
        Ok(Self { listeners, address, lobby, workers })
    }
}

fn listen_on(address: SocketAddr, workers: usize) -> anyhow::Result<Vec<TcpListener>> {
    listen(address, workers).with_context(|| format!("cannot listen on {address}"))
}

/// The URL at which this machine itself reaches the relay.
pub(super) fn own_url(address: SocketAddr, tls: &TlsSettings) -> String {
    if let Some(name) = tls.name() {
        let port = Some(address.port()).filter(|port| *port != 443);
        return format!(
            "https://{name}{}",
            port.map(|port| format!(":{port}")).unwrap_or_default()
        );
    }
    let mut shown = address;
    if address.ip().is_unspecified() {
        shown.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{}://{shown}", if tls.is_on() { "https" } else { "http" })
}
