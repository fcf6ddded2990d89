//! What a verifier is given: the request as it was received, and what the endpoint knows.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// A request as it was received. Nothing in it is decoded, trimmed or put in order.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, as on the wire.
    pub method: &'a str,
    /// The whole URL as the provider knows it, with its query: `https://hooks.example.com/hooks/key/sub?raw`.
    ///
    /// Some providers sign it, so it comes from the endpoint's settings and never from `Host`.
    pub url: &'a [u8],
    /// Name and value of each field, in their order; a name may be there several times, in any case.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The body. It need not be UTF-8.
    pub body: &'a [u8],
}

/// What the endpoint knows of its provider.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// All active secrets, the newest first: any of them may have signed. None is asked for by some handshakes.
    pub secrets: &'a [Secret],
    /// The profile's parameters (`verify_param.NAME`).
    pub params: &'a BTreeMap<String, String>,
    /// How far the signed time may be from now, in seconds, if not as the profile says; 0 is any time.
    pub tolerance_s: Option<u32>,
}

/// The certificates at hand, each under the URL that it was fetched from.
///
/// A verifier that misses one asks for it ([`crate::NeedsCertificate`]), after its URL has passed the profile's rule.
#[derive(Debug, Clone, Default)]
pub struct Certificates(BTreeMap<String, Vec<u8>>);

impl Certificates {
    /// None at hand.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds what was fetched from this URL: a certificate in PEM, which may be followed by others.
    pub fn insert(&mut self, url: impl Into<String>, pem: impl Into<Vec<u8>>) {
        self.0.insert(url.into(), pem.into());
    }

    /// What was fetched from this URL.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(Vec::as_slice)
    }
}
