//! The checks of a profile: how its provider proves who it is. Built from a row of the table, where each mistake is
//! told; what is here can be used.

use std::str::FromStr;

use serde::Deserialize;

use super::jwt::Jwt;
use super::pattern::Pattern;
use crate::encoding::{Digest, Encoding};
use crate::selector::{self, Selector};
use crate::template::{Message, MessagePart};

/// One way in which a provider proves who it is, and when it applies.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// It applies to requests that have these values.
    pub(crate) only_if: Vec<(Selector, String)>,
    /// It applies to secrets of this form.
    pub(crate) only_if_secret: Option<Pattern>,
    /// It does not apply to secrets of this form.
    pub(crate) not_if_secret: Option<Pattern>,
    /// What signed values must look like, lest they run into what stands beside them in the message.
    pub(crate) id_guards: Vec<(Selector, Pattern)>,
    pub(crate) kind: Kind,
}

impl Check {
    /// Whether it is a signature that any body could be sent with.
    pub(crate) fn leaves_body_unsigned(&self) -> bool {
        let binding = [MessagePart::Body, MessagePart::Crc32, MessagePart::FormSorted];
        match &self.kind {
            Kind::Signed(scheme) => !binding.iter().any(|part| scheme.message.has(part)),
            Kind::Jwt(token) => token.body.is_none(),
            _ => false,
        }
    }

    /// Whether it needs a certificate that has to be fetched.
    pub(crate) fn fetches(&self) -> bool {
        match &self.kind {
            Kind::Signed(scheme) => matches!(scheme.method, Method::RsaPkcs1 { .. }),
            Kind::Sns { .. } => true,
            _ => false,
        }
    }

    /// The tolerance of the signed time, if one is signed.
    pub(crate) fn tolerance_s(&mut self) -> Option<&mut u32> {
        match &mut self.kind {
            Kind::Signed(scheme) => scheme.time.as_mut().map(|time| &mut time.tolerance_s),
            Kind::Jwt(token) => Some(&mut token.tolerance_s),
            Kind::Sns { tolerance_s, .. }
            | Kind::Contentful { tolerance_s }
            | Kind::MessageSignature { tolerance_s, .. } => Some(tolerance_s),
            Kind::Token { .. } | Kind::Basic | Kind::Adyen { .. } => None,
        }
    }
}

/// The proof.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A signature over a message that a template makes.
    Signed(Box<Scheme>),
    /// The secret itself, after this prefix.
    Token { from: Selector, prefix: String },
    /// The secret as user and password (RFC 7617).
    Basic,
    /// Adyen's signature in each item of the body.
    Adyen { key: KeyForm },
    /// The signature in a message of AWS SNS.
    Sns { hosts: Hosts, tolerance_s: u32 },
    /// Contentful's signature over a canonical request.
    Contentful { tolerance_s: u32 },
    /// HTTP message signatures (RFC 9421).
    MessageSignature { require: Vec<String>, algorithms: Vec<Algorithm>, tolerance_s: u32 },
    /// A token that is signed (RFC 7519).
    Jwt(Box<Jwt>),
}

/// A signature over a message that a template makes.
#[derive(Debug, Clone)]
pub(crate) struct Scheme {
    pub(crate) method: Method,
    pub(crate) signature: Signature,
    pub(crate) time: Option<Time>,
    pub(crate) message: Message,
    /// Ways in which the URL may have been written where it was signed, beside the one that is known.
    pub(crate) url_variants: Vec<UrlVariant>,
    /// Whether a repeated form field with the same value counts once.
    pub(crate) form_dedup: bool,
    pub(crate) body_hash: Option<BodyHash>,
}

/// How the signature is computed.
#[derive(Debug, Clone)]
pub(crate) enum Method {
    Hmac { digest: Digest, key: KeyForm },
    Hash { digest: Digest },
    Ed25519 { key: KeyForm },
    EcdsaP256 { key: KeyForm },
    RsaPkcs1 { digest: Digest, certificate: Selector, hosts: Hosts },
}

/// Where certificates may be fetched: https, no port, no user; these hosts and paths.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    pub(crate) names: Vec<String>,
    pub(crate) pattern: Option<Pattern>,
    /// What the path begins with.
    pub(crate) path: Option<String>,
}

/// How the text of a secret becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// As it is.
    Utf8,
    Base64,
    Hex,
    /// Base64, after `whsec_` if that is there.
    Whsec,
    /// Base64, after `whpk_` if that is there.
    Whpk,
    /// A public key (SubjectPublicKeyInfo) as base64, or as PEM.
    Spki,
}

/// `key` of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Key {
    Secret(KeyForm),
    /// The certificate at the URL that stands there.
    CertificateUrl(Selector),
}

/// Where signatures stand and how they are written.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) from: Source,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
}

/// Where signatures stand.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A header field; its name in lower case. For [`Format::Numbered`], what its numbers follow.
    Header(Box<str>),
    /// A part of the body.
    Body(Selector),
}

/// How signatures stand there.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    /// One, after this prefix.
    Plain { prefix: String },
    /// `key=value` pairs.
    KeyValue { separator: String, key: String, trim: bool },
    /// `tag,value` entries.
    Tagged { separator: String, tag: String },
    /// Several, each after this prefix.
    List { separator: String, prefix: String },
    /// One in each of the fields `NAME1` to `NAMEmax`.
    Numbered { max: u16 },
}

/// The signed time.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    pub(crate) from: TimeFrom,
    pub(crate) unit: TimeUnit,
    /// 0 is any time.
    pub(crate) tolerance_s: u32,
    /// Whether it may be missing.
    pub(crate) optional: bool,
}

/// Where the signed time stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum TimeFrom {
    /// A pair of the signature's field.
    Pair(Box<str>),
    At(Selector),
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeUnit {
    S,
    Ms,
    Rfc3339,
}

/// Another way of writing a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UrlVariant {
    /// With the scheme's own port.
    Port,
    /// Without a port.
    Noport,
    /// With some escapes undone.
    Decoded,
}

/// A parameter of the (signed) query that holds the body's hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyHash {
    pub(crate) query: String,
    pub(crate) digest: Digest,
    #[serde(rename = "enc")]
    pub(crate) encoding: Encoding,
}

/// An algorithm of RFC 9421.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Algorithm {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256,
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hmac-sha256" => Ok(Self::HmacSha256),
            "ed25519" => Ok(Self::Ed25519),
            "ecdsa-p256-sha256" => Ok(Self::EcdsaP256),
            _ => Err(format!("{text:?} is none of hmac-sha256, ed25519, ecdsa-p256-sha256")),
        }
    }
}

impl FromStr for KeyForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "utf8" => Self::Utf8,
            "base64" => Self::Base64,
            "hex" => Self::Hex,
            "whsec" => Self::Whsec,
            "whpk" => Self::Whpk,
            "spki_b64" => Self::Spki,
            _ => {
                return Err(format!(
                    "{text:?} is none of utf8, base64, hex, whsec, whpk, spki_b64, cert_url:SELECTOR"
                ));
            }
        })
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("cert_url:") {
            Some(selector) => selector.parse().map(Self::CertificateUrl),
            None => text.parse().map(Self::Secret),
        }
    }
}

impl FromStr for TimeFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("kv:") {
            Some("") => Err("kv: without a name".into()),
            Some(name) => Ok(Self::Pair(name.into())),
            None if !text.contains(':') => {
                selector::header(text).map(|name| Self::At(Selector::Header(name)))
            }
            None => text.parse().map(Self::At),
        }
    }
}

impl TryFrom<String> for TimeFrom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
