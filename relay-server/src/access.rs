//! Who may do what: tokens `wr_<id>_<secret>`, their scopes and their end. The secret is never kept, shown or logged.

use dashmap::DashMap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use relay_protocol::id::Name;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::clock::now_ms;
use crate::store::records::{Scope, Token};

/// The characters of ids and secrets.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 characters of base62 are 256 bits.
const SECRET_LENGTH: usize = 43;
const ID_LENGTH: usize = 10;

/// What a token allows, once it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's public part.
    pub token: String,
    /// When it expires, in milliseconds of the Unix epoch.
    pub expires_ms: Option<u64>,
    scopes: Vec<Scope>,
    endpoints: Option<Vec<Name>>,
}

impl Grant {
    /// Whether the scope covers this endpoint.
    #[must_use]
    pub fn allows(&self, scope: Scope, endpoint: &Name) -> bool {
        self.has(scope) && self.endpoints.as_ref().is_none_or(|names| names.contains(endpoint))
    }

    /// Whether the scope covers any endpoint.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether the token is for everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin) && self.endpoints.is_none()
    }

    /// Whether the token may see this endpoint at all.
    #[must_use]
    pub fn sees(&self, endpoint: &Name) -> bool {
        Scope::ALL.iter().any(|scope| self.allows(*scope, endpoint))
    }
}

/// Every token, in memory.
#[derive(Debug, Default)]
pub struct Access {
    tokens: DashMap<String, Token>,
}

impl Access {
    /// Adds a token, or puts it in the place of its older self.
    pub fn put(&self, token: Token) {
        self.tokens.insert(token.id.clone(), token);
    }

    /// Marks a token as revoked; `false` when there is none.
    pub fn revoke(&self, id: &str, at_ms: u64) -> bool {
        let found = self.tokens.get_mut(id);
        found.map(|mut token| token.revoked_ms.get_or_insert(at_ms).to_owned()).is_some()
    }

    /// Every token, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Token> {
        let mut all: Vec<Token> = self.tokens.iter().map(|token| token.clone()).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        all
    }

    /// Whether there is a token that may do everything.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        let now = now_ms();
        self.tokens.iter().any(|token| is_live(&token, now) && grant(&token).is_admin())
    }

    /// What this token allows, if it is a good one. Takes the same time for every bad one.
    #[must_use]
    pub fn grant(&self, text: &str) -> Option<Grant> {
        let (id, secret) = split(text).unwrap_or(("", ""));
        let presented = hash(secret);
        let found = self.tokens.get(id);
        let kept = found.as_ref().map_or([0; 32], |token| token.hash);
        let same: bool = presented.ct_eq(&kept).into();
        found.filter(|token| same && is_live(token, now_ms())).map(|token| grant(&token))
    }

    /// Whether the token with this id is still good; for those who were granted something a while ago.
    #[must_use]
    pub fn is_live(&self, id: &str) -> bool {
        self.tokens.get(id).is_some_and(|token| is_live(&token, now_ms()))
    }

    /// What the bearer token of a request allows (RFC 6750 §2.1).
    #[must_use]
    pub fn bearer(&self, headers: &HeaderMap) -> Option<Grant> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| self.grant(token.trim()))?
    }
}

/// A new token: its text, which is shown once, and what is kept of it.
///
/// # Panics
/// When the system has no randomness to give; nothing secret works then.
#[must_use]
pub fn new_token(
    scopes: Vec<Scope>,
    endpoints: Option<Vec<Name>>,
    expires_ms: Option<u64>,
) -> (String, Token) {
    let (id, secret) = (random(ID_LENGTH), random(SECRET_LENGTH));
    let text = format!("wr_{id}_{secret}");
    let (hash, created_ms, revoked_ms) = (hash(&secret), now_ms(), None);
    (text, Token { id, hash, scopes, endpoints, created_ms, expires_ms, revoked_ms })
}

/// A new signing secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn new_signing_secret() -> String {
    let mut bytes = [0u8; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system's randomness");
    format!("whsec_{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes))
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("wr_")?.split_once('_')
}

fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

fn is_live(token: &Token, now_ms: u64) -> bool {
    token.revoked_ms.is_none() && token.expires_ms.is_none_or(|expires| now_ms < expires)
}

fn grant(token: &Token) -> Grant {
    Grant {
        token: token.id.clone(),
        expires_ms: token.expires_ms,
        scopes: token.scopes.clone(),
        endpoints: token.endpoints.clone(),
    }
}

/// Random base62, without bias: bytes above the last whole multiple of 62 are drawn again.
fn random(length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        SystemRandom::new().fill(&mut bytes).expect("the system's randomness");
        let fair = bytes.iter().filter(|byte| **byte < 248).take(length - text.len());
        text.extend(fair.map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_opens_what_it_is_for_and_nothing_else() {
        let access = Access::default();
        let (text, token) = new_token(vec![Scope::Listen], Some(vec![name("a")]), None);
        access.put(token.clone());
        let grant = access.grant(&text).unwrap();
        assert!(grant.allows(Scope::Listen, &name("a")));
        assert!(!grant.allows(Scope::Listen, &name("b")));
        assert!(!grant.allows(Scope::Read, &name("a")));
        assert!(!grant.is_admin());
        assert!(!format!("{token:?}").contains(text.rsplit('_').next().unwrap()));
    }

    #[test]
    fn wrong_expired_and_revoked_tokens_open_nothing() {
        let access = Access::default();
        let (good, token) = new_token(vec![Scope::Admin], None, None);
        let (old, expired) = new_token(vec![Scope::Admin], None, Some(1));
        access.put(token.clone());
        access.put(expired);
        for bad in ["", "wr_", "wr_x_y", &old, &good[..good.len() - 1], &format!("{good}x")] {
            assert_eq!(access.grant(bad), None, "{bad}");
        }
        assert!(access.has_admin());
        assert!(access.is_live(&token.id));
        assert!(access.revoke(&token.id, 5));
        assert_eq!(access.grant(&good), None);
        assert!(!access.is_live(&token.id) && !access.is_live("another"));
        assert!(!access.has_admin());
    }
}
