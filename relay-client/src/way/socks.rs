//! Through a SOCKS proxy: version 5 (RFC 1928), with user and password (RFC 1929) where there is a login.

use tokio_socks::Error;
use tokio_socks::tcp::Socks5Stream;

use super::proxy::Login;
use super::{Proxy, WayError};
use crate::socket::{Socket, bare};

/// Has the proxy at the other end of this socket connect to a host, which it looks up if it is a name.
pub(super) async fn open(
    proxy: &Proxy,
    socket: Socket,
    host: &str,
    port: u16,
    login: Option<&Login>,
) -> Result<Socket, WayError> {
    let to = (bare(host), port);
    let opened = match login {
        Some(Login { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(socket, to, user, password).await
        }
        None => Socks5Stream::connect_with_socket(socket, to).await,
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| match error {
        Error::Io(error) => proxy.broke(error),
        Error::NoAcceptableAuthMethods | Error::PasswordAuthFailure(_) => {
            proxy.wants_login(login.is_some(), "")
        }
        Error::InvalidAuthValues(_) => proxy.wants_login(true, "1 to 255 bytes of each"),
        Error::ConnectionNotAllowedByRuleset => proxy.refuses(host, port, error),
        Error::GeneralSocksServerFailure
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired
        | Error::AddressTypeNotSupported => proxy.cannot_reach(host, port, error),
        error => proxy.is_none(error),
    })
}
