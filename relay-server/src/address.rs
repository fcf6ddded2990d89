//! Addresses of the internet: networks as people write them, and what counts as one sender. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

/// The most networks in one list: more than any provider publishes, and quickly looked through.
const NETWORKS_MAX: usize = 1024;

/// The bits of an IPv6 address that belong to one customer: who has one address has all that share these.
const CUSTOMER_BITS: u32 = 64;

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Arc<[IpNet]>);

impl Networks {
    /// The networks in this text: addresses and CIDRs, with commas or spaces between them.
    ///
    /// # Errors
    /// Which of them is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let list = parts.map(network).collect::<Result<Vec<_>, _>>()?;
        match list.len() {
            0 => Err("at least one address or network".into()),
            1..=NETWORKS_MAX => Ok(Self(list.into())),
            _ => Err(format!("at most {NETWORKS_MAX} addresses and networks")),
        }
    }

    /// Whether one of them has this address. An IPv4 address is the same in its IPv6 form (RFC 4291 §2.5.5.2).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, net) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match net.prefix_len() == net.max_prefix_len() {
                true => net.addr().fmt(f)?,
                false => net.fmt(f)?,
            }
        }
        Ok(())
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let wrong =
        || format!("{text:?} is no address or network such as 192.0.2.0/24 or 2001:db8::/32");
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| wrong())?,
    };
    // Half of those who write 192.0.2.7/24 mean the network, the other half the address.
    if net.trunc() != net {
        let (network, address) = (net.trunc(), net.addr());
        return Err(format!(
            "{text} is an address with a network's length: {network} or {address}?"
        ));
    }
    Ok(plain(net))
}

/// A network of IPv4 addresses in their IPv6 form, as what it is.
fn plain(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    four.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// What counts as one sender: an IPv4 address, or an IPv6 network of 64 bits.
#[must_use]
pub fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            Ipv6Addr::from_bits(six.to_bits() & (!0 << (128 - CUSTOMER_BITS))).into()
        }
        four => four,
    }
}

/// The address in one element of `X-Forwarded-For`, which some proxies write with a port.
#[must_use]
pub fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare =
        || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let ported = || text.parse::<std::net::SocketAddr>().ok().map(|with| with.ip());
    let found = text.parse().ok().or_else(bare).or_else(ported);
    found.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_written() {
        for (given, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7, 2001:db8::/32  ::1", "192.0.2.7,2001:db8::/32,::1"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("::ffff:10.0.0.0/104 ::ffff:192.0.2.7", "10.0.0.0/8,192.0.2.7"),
            ("0.0.0.0/0 ::/0", "0.0.0.0/0,::/0"),
        ] {
            assert_eq!(Networks::parse(given).unwrap().to_string(), shown);
        }
        let many = "192.0.2.1,".repeat(NETWORKS_MAX + 1);
        for bad in
            ["", " , ", "10.0.0.0/33", "10.0.0/8", "10.0.0.1/8", "a", "::1/129", "1.2.3.4/", &many]
        {
            assert!(Networks::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ipv4_address_is_itself_in_either_form() {
        let nets = Networks::parse("192.0.2.0/24,2001:db8::/32").unwrap();
        for inside in ["192.0.2.255", "::ffff:192.0.2.1", "2001:db8:ffff::1"] {
            assert!(nets.contains(address(inside)), "{inside}");
        }
        for outside in ["192.0.3.0", "::ffff:192.0.3.0", "2001:db9::", "::192.0.2.1", "::"] {
            assert!(!nets.contains(address(outside)), "{outside}");
        }
    }

    #[test]
    fn a_customer_is_one_sender() {
        assert_eq!(sender(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_eq!(sender(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_ne!(sender(address("2001:db8:1:2::1")), sender(address("2001:db8:1:3::1")));
        assert_ne!(sender(address("192.0.2.1")), sender(address("192.0.2.2")));
    }

    #[test]
    fn a_hop_may_have_a_port() {
        for (text, is) in [
            (" 192.0.2.1 ", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("::1", "::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(hop(text), Some(address(is)), "{text}");
        }
        for none in
            ["", "unknown", "_hidden", "192.0.2", "192.0.2.1:", "example.com", "[192.0.2.1]"]
        {
            assert_eq!(hop(none), None, "{none}");
        }
    }
}
