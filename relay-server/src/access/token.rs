//! How tokens and secrets are made: drawn from the system's randomness, shown once, kept as a hash.

use relay_protocol::id::Name;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::now_ms;
use crate::store::records::{Scope, Token};

/// The characters of ids and secrets.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 characters of base62 are 256 bits.
const SECRET_LENGTH: usize = 43;
const ID_LENGTH: usize = 10;

/// A new token without a name: its text, which is shown once, and what is kept of it.
///
/// # Panics
/// When the system has no randomness to give; nothing secret works then.
#[must_use]
pub fn new_token(
    scopes: Vec<Scope>,
    endpoints: Option<Vec<Name>>,
    expires_ms: Option<u64>,
) -> (String, Token) {
    let id = random(ID_LENGTH);
    let (text, hash) = new_secret(&id);
    let (created_ms, revoked_ms, name, old, used_ms) = (now_ms(), None, None, None, None);
    let token = Token {
        id,
        hash,
        scopes,
        endpoints,
        created_ms,
        expires_ms,
        revoked_ms,
        name,
        old,
        used_ms,
    };
    (text, token)
}

/// A new secret for the token with this id: the text of the token, which is shown once, and the secret's hash.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn new_secret(id: &str) -> (String, [u8; 32]) {
    let secret = random(SECRET_LENGTH);
    (format!("wr_{id}_{secret}"), hash(&secret))
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

/// The id and the secret in a token's text.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("wr_")?.split_once('_')
}

pub(super) fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
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
