//! Fetches what a provider keeps on the web: the certificates of its signatures. Over https only, without following
//! anybody elsewhere, bounded in size, time and number, and not twice.

use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use http::header::{HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use relay_client::socket::{Socket, Trust};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// How long one fetch may take in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest certificate, with those that vouch for it, in bytes.
const SIZE_MAX: usize = 64 * 1024;
/// How many fetches there may be at a time; who comes then is told to come again.
const AT_ONCE: usize = 4;
/// How long what was fetched is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How long it is believed that there is nothing.
const MISSED_FOR: Duration = Duration::from_secs(60);
/// How many answers are kept, also those that there is nothing.
const KEPT_MAX: usize = 256;

/// Why something was not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotFetched {
    /// There is no such thing.
    ForGood(String),
    /// Nobody was reached.
    ForNow(String),
}

/// Who fetches.
#[derive(Debug)]
pub struct Fetcher {
    trust: Trust,
    /// Host and port that are asked, if not those of the URL.
    from: Option<(String, u16)>,
    kept: DashMap<String, (Instant, Result<Bytes, NotFetched>)>,
    permits: Semaphore,
}

impl Fetcher {
    /// One that trusts these roots, and asks this host and port whatever the URL, if any is given.
    #[must_use]
    pub fn new(trust: Trust, from: Option<(String, u16)>) -> Self {
        Self { trust, from, kept: DashMap::new(), permits: Semaphore::new(AT_ONCE) }
    }

    /// What is at this URL.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, NotFetched> {
        if let Some(kept) = self.kept.get(url)
            && Instant::now() < kept.0
        {
            return kept.1.clone();
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(NotFetched::ForNow(format!("{AT_ONCE} fetches are under way")));
        };
        let late = || Err(NotFetched::ForNow("no answer in time".into()));
        let fetched = timeout(TIMEOUT, self.fetch(url)).await.unwrap_or_else(|_| late());
        let lasts = if fetched.is_ok() { KEPT_FOR } else { MISSED_FOR };
        if !matches!(fetched, Err(NotFetched::ForNow(_))) {
            self.keep(url, lasts, fetched.clone());
        }
        fetched
    }

    /// Asks for this URL, because somebody wants it to be asked for.
    pub(super) async fn visit(&self, url: &str) -> Result<(), NotFetched> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(NotFetched::ForNow(format!("{AT_ONCE} fetches are under way")));
        };
        let late = |_| NotFetched::ForNow("no answer in time".into());
        timeout(TIMEOUT, self.fetch(url)).await.map_err(late)?.map(drop)
    }

    fn keep(&self, url: &str, lasts: Duration, fetched: Result<Bytes, NotFetched>) {
        let now = Instant::now();
        if self.kept.len() >= KEPT_MAX {
            self.kept.retain(|_, kept| now < kept.0);
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.insert(url.to_owned(), (now + lasts, fetched));
        }
    }

    async fn fetch(&self, url: &str) -> Result<Bytes, NotFetched> {
        let for_now = |why: &dyn std::fmt::Display| NotFetched::ForNow(why.to_string());
        let (request, host, port) = request(url).map_err(NotFetched::ForGood)?;
        let (host, port) = self.from.as_ref().map_or((&*host, port), |(host, port)| (host, *port));
        let socket = Socket::connect(host, port, Some(&self.trust), TIMEOUT).await;
        let socket = socket.map_err(|e| for_now(&e))?;
        let shaken = http1::handshake(TokioIo::new(socket)).await.map_err(|e| for_now(&e))?;
        let (mut sender, connection) = shaken;
        // Ends with the answer, for nothing more is sent.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|e| for_now(&e))?;
        match response.status() {
            StatusCode::OK => {
                let body = Limited::new(response.into_body(), SIZE_MAX).collect().await;
                body.map(Collected::to_bytes).map_err(|e| for_now(&e))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(for_now(&format!("the answer is {status}")))
            }
            // A redirect as well: the rule for hosts was for this one.
            status => Err(NotFetched::ForGood(format!("the answer is {status}"))),
        }
    }
}

/// The request for a URL, and whom to ask.
fn request(url: &str) -> Result<(Request<Empty<Bytes>>, String, u16), String> {
    let bad = || "it is no https URL without a user".to_owned();
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.filter(|_| uri.scheme_str() == Some("https")).ok_or_else(bad)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .uri(path)
        .header(HOST, authority.as_str())
        .header(USER_AGENT, concat!("relay-server/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|_| bad())?;
    Ok((request, authority.host().to_owned(), authority.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_is_asked_for() {
        let (asked, host, port) = request("https://sns.example/a.pem?b").unwrap();
        assert_eq!(
            (asked.uri().to_string().as_str(), &*host, port),
            ("/a.pem?b", "sns.example", 443)
        );
        assert_eq!(asked.headers()[HOST], "sns.example");
        for url in ["http://a/", "https://u@a/", "https://u:p@a/", "ftp://a/", "a", "", "https://"]
        {
            assert!(request(url).is_err(), "{url}");
        }
    }
}
