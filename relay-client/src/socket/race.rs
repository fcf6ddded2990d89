//! Happy eyeballs (RFC 8305): the addresses of a host are tried beside each other, so that a broken one costs little.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long an address gets before the next one is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// IPv6 and IPv4 in turn, beginning with what the resolver put first (RFC 8305 §4).
pub(super) fn interleave(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = addresses.collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => break,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
    mixed.truncate(ADDRESSES_MAX);
    mixed
}

/// The first address that answers; each gets a head start before the next, unless it refuses at once.
///
/// # Errors
/// What each address has said.
pub(super) async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut tries = JoinSet::new();
    let mut refused = Refused::default();
    loop {
        let next = addresses.next();
        let exhausted = next.is_none();
        if let Some(address) = next {
            tries.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        tokio::select! {
            done = tries.join_next() => match done {
                Some(Ok((_, Ok(stream)))) => return Ok(stream),
                Some(Ok((address, Err(error)))) => refused.add(address, &error),
                Some(Err(panic)) => return Err(io::Error::other(panic)),
                None => return Err(refused.told()),
            },
            () = sleep(HEAD_START), if !exhausted => {}
        }
    }
}

/// What the addresses have said that gave no connection.
#[derive(Default)]
struct Refused {
    kind: Option<io::ErrorKind>,
    words: Vec<String>,
}

impl Refused {
    fn add(&mut self, address: SocketAddr, error: &io::Error) {
        self.kind = Some(error.kind());
        self.words.push(format!("{} says {error}", address.ip()));
    }

    /// All of it as one error, of the last one's kind.
    fn told(self) -> io::Error {
        match self.kind {
            Some(kind) => io::Error::new(kind, self.words.join(", ")),
            None => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let given = ["[::1]:1", "[::2]:1", "127.0.0.1:1", "[::3]:1"].map(address);
        let expected = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"].map(address);
        assert_eq!(interleave(given.into_iter()), expected);
    }

    #[test]
    fn many_addresses_of_one_family_do_not_crowd_the_other_out() {
        let many = (1..=40).map(|n| address(&format!("[::{n}]:1")));
        let mixed = interleave(many.chain([address("127.0.0.1:1")]));
        assert_eq!((mixed.len(), mixed[1]), (ADDRESSES_MAX, address("127.0.0.1:1")));
    }
}
