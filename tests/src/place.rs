//! A place on this machine that stays a story's own whether or not somebody listens there: for who is told its port before
//! it starts, who comes back where it was, and who never comes.
//!
//! A port that is only looked up and given back is soon somebody else's: many stories run at once. A socket that is bound
//! and does not listen keeps it (the system gives the port to nobody who asks for any, and to no caller's near end), yet
//! lets in whoever asks for just this one, as every listener here does with `SO_REUSEADDR`.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of the loopback interface, kept until this is dropped. Whoever connects there while nobody listens is refused.
#[derive(Debug)]
pub struct Place {
    address: SocketAddr,
    _kept: TcpSocket,
}

impl Place {
    /// One that nobody has.
    ///
    /// # Panics
    /// When the system has none.
    #[must_use]
    pub fn fresh() -> Self {
        let kept = TcpSocket::new_v4().expect("a socket");
        kept.set_reuseaddr(true).expect("a socket takes options");
        kept.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        Self { address: kept.local_addr().expect("an address"), _kept: kept }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nobody_answers_until_who_it_is_kept_for_listens_and_so_on() {
        let place = Place::fresh();
        for _ in 0..3 {
            let refused = TcpStream::connect(place.address()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let listener = TcpListener::bind(place.address()).unwrap();
            let _caller = TcpStream::connect(place.address()).unwrap();
            listener.accept().unwrap();
        }
    }
}
