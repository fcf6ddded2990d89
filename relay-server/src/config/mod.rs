//! How a relay is set up: from a file, the environment and flags. Every problem is found at once, with its place.

mod gather;
mod tls;
mod urls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relay_client::agent::LINES;
use relay_trust::Profiles;

use crate::address::Networks;
use crate::clock::millis;
use crate::delivery::Rate;
use crate::endpoint::units::{bytes, duration};
use crate::tls::TlsSettings;
use crate::vault::KeySource;

pub use gather::{Given, Problems, SETTINGS, Setting, gather};
pub use urls::PublicUrls;

/// A relay's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the store is.
    pub data: PathBuf,
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Where the key is that seals secrets.
    pub secrets_key: KeySource,
    /// The providers whose events can be verified.
    pub profiles: Arc<Profiles>,
    /// Host and port that are asked for what providers keep on the web, if not those of its URL.
    pub fetch_from: Option<(String, u16)>,
    /// Further root certificates to trust there.
    pub fetch_ca_file: Option<PathBuf>,
    /// How the outside reaches the relay, if not at `listen`.
    pub public_url: Option<String>,
    /// The domain whose subdomains are keys.
    pub hooks_domain: Option<String>,
    /// Where to listen without TLS beside it, for browsers and ACME.
    pub http_listen: Option<SocketAddr>,
    /// How TLS is spoken at `listen`, if it is.
    pub tls: TlsSettings,
    /// How many threads serve connections.
    pub workers: usize,
    /// The proxies whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Networks,
    /// What one address may send to public URLs, if that is bounded.
    pub rate_limit_address: Option<Rate>,
    /// How long it is kept who has changed what, in milliseconds.
    pub audit_keep_for: u64,
    /// How many bytes of requests may be in memory.
    pub in_flight: usize,
    /// The longest header section, in bytes.
    pub headers_max: usize,
    /// The longest request target, in bytes.
    pub uri_max: usize,
    /// How long a request's head may take, and an idle connection be kept.
    pub header_timeout: Duration,
    /// How long a shutdown may take.
    pub drain_timeout: Duration,
    /// How long an agent's line may be quiet before it is asked.
    pub heartbeat: Duration,
    /// How long an agent's line may be quiet before it is dead.
    pub dead_after: Duration,
}

impl Config {
    /// The settings in what was given.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(given: Given) -> Result<Self, Problems> {
        let mut given = given;
        let config = Self {
            data: given.take("data", |text| Ok(PathBuf::from(text))),
            listen: given.take("listen", address),
            secrets_key: given.take_secrets_key(),
            profiles: given.take("profiles_file", profiles),
            fetch_from: given.take_optional("fetch_from", host_and_port),
            fetch_ca_file: given.take_optional("fetch_ca_file", |path| Ok(PathBuf::from(path))),
            public_url: given.take_optional("public_url", urls::base),
            hooks_domain: given.take_optional("hooks_domain", domain),
            http_listen: given.take_optional("http_listen", address),
            tls: tls::read(&mut given),
            workers: given
                .take_optional("workers", |text| whole(text, 1, 256))
                .unwrap_or_else(workers),
            trusted_proxies: given
                .take_optional("trusted_proxies", Networks::parse)
                .unwrap_or_default(),
            rate_limit_address: given.take_optional("rate_limit_address", Rate::parse),
            audit_keep_for: given.take("audit_keep_for", lifetime),
            in_flight: given.take("in_flight", |text| size(text, 1 << 20, 1 << 40)),
            headers_max: given.take("headers_max", |text| size(text, 1 << 10, 40 << 10)),
            uri_max: given.take("uri_max", |text| size(text, 256, 15 << 10)),
            header_timeout: given.take("header_timeout", |text| between(text, 1, 600)),
            drain_timeout: given.take("drain_timeout", |text| between(text, 0, 3600)),
            heartbeat: given.take("heartbeat", |text| milliseconds(text, 100, 300_000)),
            dead_after: given.take("dead_after", |text| milliseconds(text, 250, 900_000)),
        };
        if config.dead_after <= config.heartbeat.mul_f64(1.2) {
            given.refuse(
                "dead_after",
                "must be well above heartbeat, or lines die of silence alone",
            );
        }
        if config.http_listen.is_some() && !config.tls.is_on() {
            given.refuse("http_listen", "is for a relay that speaks TLS itself; listen is plain");
        }
        given.finish(config)
    }
}

/// One for each of an agent's lines, if there are as many cores.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(LINES.into())
}

/// The providers that come with the program, and those in this file.
fn profiles(path: &str) -> Result<Arc<Profiles>, String> {
    if path.is_empty() {
        return Ok(Profiles::embedded());
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    Profiles::with_file(&text).map(Arc::new).map_err(|e| format!("{path}: {e}"))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address with a port, such as 0.0.0.0:8080 or [::]:8080")
    })
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let bad = || format!("{text:?} is no host with a port, such as gateway.example.com:443");
    let (host, port) =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(bad)?;
    Ok((host.to_owned(), port.parse().map_err(|_| bad())?))
}

fn domain(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    if lower.split('.').all(label) { Ok(lower) } else { Err(format!("{text:?} is no domain name")) }
}

fn whole(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no whole number between {least} and {most}"))
}

fn size(text: &str, least: u64, most: u64) -> Result<usize, String> {
    let size = bytes(text)?;
    if (least..=most).contains(&size) {
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    } else {
        Err(format!("{text} is not between {least} and {most} bytes"))
    }
}

fn between(text: &str, least_s: u64, most_s: u64) -> Result<Duration, String> {
    milliseconds(text, least_s * 1000, most_s * 1000)
}

/// A time of up to ten years, in milliseconds.
fn lifetime(text: &str) -> Result<u64, String> {
    between(text, 1, 3650 * 86_400).map(millis)
}

fn milliseconds(text: &str, least: u64, most: u64) -> Result<Duration, String> {
    let wait = duration(text)?;
    if (least..=most).contains(&(wait.as_millis() as u64)) {
        Ok(wait)
    } else {
        Err(format!("{text} is not between {least}ms and {most}ms"))
    }
}
