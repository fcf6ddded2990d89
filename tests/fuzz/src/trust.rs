//! The targets of verification: a request with all that is known of its sender, as lines of text before a body.
//!
//! ```text
//! PROVIDER
//! now SECONDS
//! secret TEXT
//! param NAME VALUE
//! request METHOD URL
//! Name: value
//!
//! body
//! ```

use std::collections::BTreeMap;

use relay_trust::{
    Certificates, Finding, Keys, NeedsCertificate, Profile, Profiles, Request, Secret, explain,
    handshake, verify,
};

/// A certificate, for whoever asks for one.
const CERTIFICATE: &str = include_str!("../corpus/certificate.pem");

/// The largest body of which a failure is explained: that tries some dozens of others.
const EXPLAINED_MAX: usize = 4096;

/// No request makes a verifier panic, and none is good with a secret that is another.
pub fn verifier(data: &[u8]) {
    let Some(script) = Script::read(data) else { return };
    let found = script.find(&script.secrets);
    if found.is_some_and(|found| found.is_good() && found.secret.is_some()) {
        let others: Vec<Secret> = script
            .secrets
            .iter()
            .map(|secret| Secret::new(format!("x{}", secret.expose())))
            .collect();
        let other = script.find(&others);
        assert!(!other.is_some_and(|found| found.is_good()), "another secret is as good");
    }
    script.with(&script.secrets, |case| {
        let _ = case.profile.event_id(case.request);
        let _ = case.profile.event_type(case.request);
        let _ = case.profile.fallback(case.request);
    });
}

/// No request makes a handshake panic; what it answers can be sent, and what it wants visited is the provider's.
pub fn handshakes(data: &[u8]) {
    let Some(script) = Script::read(data) else { return };
    script.with(&script.secrets, |case| {
        let ask = |certificates: &Certificates| {
            handshake(case.profile, case.request, case.keys, certificates, case.now_ms)
        };
        let Ok(Some(answer)) = case.with_certificate(ask) else { return };
        assert!((200..500).contains(&answer.status));
        for (_, value) in &answer.headers {
            assert!(!value.iter().any(u8::is_ascii_control), "a value that ends its line");
        }
        assert!(answer.status < 300 || (answer.body.is_empty() && answer.keep.is_none()));
        assert!(
            answer.visit.is_none_or(|url| url.starts_with("https://sns.")),
            "an errand elsewhere"
        );
        assert!(answer.keep.is_none() || case.keys.secrets.is_empty(), "a secret is replaced");
    });
}

/// No failure makes its explanation panic, and none tells the secret.
pub fn explained(data: &[u8]) {
    let Some(script) = Script::read(data) else { return };
    if script.body.len() > EXPLAINED_MAX {
        return;
    }
    script.with(&script.secrets, |case| {
        let none = Certificates::new();
        let profiles = Profiles::embedded();
        let told = explain(&profiles, case.profile, case.request, case.keys, &none, case.now_ms);
        let good = find(case).is_some_and(|found| found.is_good() && found.secret.is_some());
        assert!(!good || told.is_empty() || told[0].contains("certificate"));
    });
}

/// No table makes its reader panic; every mistake has a line of it, and what has none can be used.
pub fn profiles(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let profiles = match Profiles::with_file(text) {
        Ok(profiles) => profiles,
        Err(error) => {
            let lines = 1 + text.matches('\n').count();
            assert!(!error.mistakes.is_empty());
            assert!(error.mistakes.iter().all(|m| (1..=lines).contains(&m.line)), "{error}");
            return;
        }
    };
    let headers: [(&[u8], &[u8]); 2] = [(b"x", b"y"), (b"authorization", b"Basic eDp5")];
    let request = Request {
        method: "POST",
        url: b"https://h/p?a=b",
        headers: &headers,
        body: b"{\"a\":[{}]}",
    };
    let (params, secrets) = (BTreeMap::new(), [Secret::new("whsec_YWJj")]);
    let keys = Keys { secrets: &secrets, params: &params, tolerance_s: None };
    for name in profiles.names() {
        let Some(profile) = profiles.get(name) else { continue };
        let none = Certificates::new();
        let _ = verify(profile, &request, &keys, &none, 0);
        let _ = handshake(profile, &request, &keys, &none, 0);
        let _ = profile.fit(&params);
    }
}

/// A request as the lines say it.
struct Script<'a> {
    provider: &'a str,
    now_ms: u64,
    secrets: Vec<Secret>,
    params: BTreeMap<String, String>,
    method: &'a str,
    url: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

/// What a target is given.
struct Case<'c> {
    profile: &'c Profile,
    request: &'c Request<'c>,
    keys: &'c Keys<'c>,
    now_ms: u64,
}

impl<'a> Script<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        let mut line = || {
            let at = rest.iter().position(|c| *c == b'\n')?;
            let line = &rest[..at];
            rest = &rest[at + 1..];
            Some(line)
        };
        let text = |line| std::str::from_utf8(line).ok();
        let provider = line().and_then(text)?;
        let mut script = Self {
            provider,
            now_ms: 0,
            secrets: Vec::new(),
            params: BTreeMap::new(),
            method: "",
            url: b"",
            headers: Vec::new(),
            body: b"",
        };
        loop {
            let head = line()?;
            if let Some(target) = head.strip_prefix(b"request ") {
                let space = target.iter().position(|c| *c == b' ')?;
                script.method = text(&target[..space])?;
                script.url = &target[space + 1..];
                break;
            }
            match text(head)?.split_once(' ')? {
                ("now", seconds) => {
                    script.now_ms = seconds.parse::<u64>().ok()?.checked_mul(1000)?;
                }
                ("secret", secret) => script.secrets.push(Secret::new(secret.replace("\\n", "\n"))),
                ("param", pair) => {
                    let (name, value) = pair.split_once(' ')?;
                    script.params.insert(name.to_owned(), value.to_owned());
                }
                _ => return None,
            }
        }
        loop {
            let field = line()?;
            if field.is_empty() {
                break;
            }
            let colon = field.iter().position(|c| *c == b':')?;
            let value = &field[colon + 1..];
            script.headers.push((&field[..colon], value.strip_prefix(b" ").unwrap_or(value)));
        }
        script.body = rest;
        Some(script)
    }

    /// What is found with these secrets.
    fn find(&self, secrets: &[Secret]) -> Option<Finding> {
        self.with(secrets, find)?
    }

    fn with<T>(&self, secrets: &[Secret], act: impl FnOnce(&Case<'_>) -> T) -> Option<T> {
        let profiles = Profiles::embedded();
        let profile = profiles.get(self.provider)?.fit(&self.params).ok()?;
        let request =
            Request { method: self.method, url: self.url, headers: &self.headers, body: self.body };
        let keys = Keys { secrets, params: &self.params, tolerance_s: None };
        Some(act(&Case { profile: &profile, request: &request, keys: &keys, now_ms: self.now_ms }))
    }
}

impl Case<'_> {
    /// Asks, and once more with the certificate that is asked for.
    fn with_certificate<T>(
        &self,
        ask: impl Fn(&Certificates) -> Result<T, NeedsCertificate>,
    ) -> Result<T, NeedsCertificate> {
        let mut certificates = Certificates::new();
        let wanted = match ask(&certificates) {
            Err(wanted) => wanted,
            done => return done,
        };
        certificates.insert(wanted.url, CERTIFICATE);
        ask(&certificates)
    }
}

/// What is found of the sender.
fn find(case: &Case<'_>) -> Option<Finding> {
    let ask = |certificates: &Certificates| {
        verify(case.profile, case.request, case.keys, certificates, case.now_ms)
    };
    case.with_certificate(ask).ok()
}
