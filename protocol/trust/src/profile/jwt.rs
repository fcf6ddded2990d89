//! Tokens (JWT, RFC 7519) as a profile has them: which algorithm, where, and what they must say.
//!
//! The algorithm is the profile's. What the token's own header says of it is only compared: who could choose it could
//! choose `none`, or have a public key taken for a secret.

use serde::Deserialize;

use super::check::KeyForm;
use super::row::CheckRow;
use crate::encoding::{Digest, Encoding};
use crate::selector::Selector;

/// How far apart two clocks may be, in seconds.
const TOLERANCE_S: u32 = 60;

/// The parameters of the endpoint that every token is held against, with what they are.
pub(super) const PARAMS: [(&str, &str); 2] = [
    ("audience", "whom the token must be for (its aud), if that is to be checked"),
    ("issuer", "who must have made the token (its iss), if that is to be checked"),
];

/// A token.
#[derive(Debug, Clone)]
pub(crate) struct Jwt {
    pub(crate) algorithm: TokenAlgorithm,
    pub(crate) key: KeyForm,
    pub(crate) from: Selector,
    /// What stands before it.
    pub(crate) prefix: String,
    /// What claims must be.
    pub(crate) claims: Vec<(String, String)>,
    /// The claim with the body's hash.
    pub(crate) body: Option<HashClaim>,
    /// The claim with the hash of the whole URL.
    pub(crate) url: Option<HashClaim>,
    /// Whether it has Atlassian's hash of method, path and query.
    pub(crate) qsh: bool,
    /// How far apart the clocks may be; without an `exp`, how old the token may be. 0 is any age.
    pub(crate) tolerance_s: u32,
}

/// A claim with a hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HashClaim {
    pub(crate) name: String,
    pub(crate) digest: Digest,
    #[serde(rename = "enc")]
    pub(crate) encoding: Encoding,
}

/// An algorithm of RFC 7518.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum TokenAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Es256,
}

impl TokenAlgorithm {
    /// As a token names it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The digest, where the secret is shared; `None` where it is a public key.
    pub(crate) const fn shared(self) -> Option<Digest> {
        match self {
            Self::Hs256 => Some(Digest::Sha256),
            Self::Hs384 => Some(Digest::Sha384),
            Self::Hs512 => Some(Digest::Sha512),
            Self::Rs256 | Self::Es256 => None,
        }
    }

    /// Whether a signature has so many bytes.
    pub(crate) fn fits(self, length: usize) -> bool {
        match self {
            Self::Rs256 => (256..=1024).contains(&length),
            Self::Es256 => length == 64,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => {
                self.shared().is_some_and(|digest| digest.len() == length)
            }
        }
    }
}

impl CheckRow {
    /// The token in this row.
    pub(super) fn token(&mut self) -> Result<Jwt, String> {
        let algorithm = self.alg.ok_or("a jwt needs alg: the token may not choose it")?;
        let is_shared = algorithm.shared().is_some();
        let key = self.secret_key(if is_shared { KeyForm::Utf8 } else { KeyForm::Spki })?;
        if (key == KeyForm::Spki) == is_shared {
            let wanted = if is_shared { "utf8, base64 or hex" } else { "spki_b64" };
            return Err(format!("with {}, key is {wanted}", algorithm.as_str()));
        }
        Ok(Jwt {
            algorithm,
            key,
            from: self.from.take().ok_or("a jwt needs from")?,
            prefix: self.prefix.take().unwrap_or_default(),
            claims: std::mem::take(&mut self.claims).into_iter().collect(),
            body: self.body_claim.take(),
            url: self.url_claim.take(),
            qsh: self.qsh.unwrap_or_default(),
            tolerance_s: self.tolerance.unwrap_or(TOLERANCE_S),
        })
    }
}
