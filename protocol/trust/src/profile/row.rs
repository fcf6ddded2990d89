//! A row of the table as it is written: every key that there is, and what may stand there.
//!
//! What is wrong with one value is found while it is read; what is wrong between values, in `build`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::check::{Algorithm, BodyHash, Key, TimeFrom, TimeUnit, UrlVariant};
use super::jwt::{HashClaim, TokenAlgorithm};
use super::pattern::Pattern;
use super::{Ack, Confidence};
use crate::encoding::{Digest, Encoding};
use crate::selector::Selector;
use crate::template::{Message, Text};

/// A provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(default)]
    pub(super) conf: Confidence,
    #[serde(default)]
    pub(super) verify: Vec<Spanned<CheckRow>>,
    pub(super) generic: Option<Generic>,
    #[serde(default = "yes")]
    pub(super) body_bound: bool,
    #[serde(default)]
    pub(super) event: EventRow,
    #[serde(default)]
    pub(super) delivery: DeliveryRow,
    #[serde(default)]
    pub(super) handshake: Vec<Spanned<RuleRow>>,
    /// What each parameter is, in words.
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

/// A profile whose check is made of the endpoint's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Generic {
    Hmac,
    Token,
    Jwt,
}

/// An entry of `verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckRow {
    pub(super) kind: KindName,
    #[serde(default)]
    pub(super) only_if: BTreeMap<Selector, String>,
    pub(super) only_if_secret: Option<Pattern>,
    pub(super) not_if_secret: Option<Pattern>,
    #[serde(default)]
    pub(super) id_guard: BTreeMap<Selector, Pattern>,
    pub(super) digest: Option<Digest>,
    pub(super) key: Option<Key>,
    pub(super) sig: Option<SignatureRow>,
    pub(super) ts: Option<TimeRow>,
    pub(super) message: Option<Message>,
    pub(super) url_variants: Option<Vec<UrlVariant>>,
    pub(super) form_dedup: Option<bool>,
    pub(super) body_hash: Option<BodyHash>,
    pub(super) from: Option<Selector>,
    pub(super) prefix: Option<String>,
    pub(super) cert_hosts: Option<Vec<String>>,
    pub(super) cert_host_re: Option<Pattern>,
    pub(super) cert_path: Option<String>,
    pub(super) tolerance: Option<u32>,
    pub(super) ts_unit: Option<TimeUnit>,
    pub(super) require: Option<Vec<String>>,
    pub(super) algs: Option<Vec<Algorithm>>,
    pub(super) alg: Option<TokenAlgorithm>,
    #[serde(default)]
    pub(super) claims: BTreeMap<String, String>,
    pub(super) body_claim: Option<HashClaim>,
    pub(super) url_claim: Option<HashClaim>,
    pub(super) qsh: Option<bool>,
}

/// `kind` of an entry of `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindName {
    Hmac,
    Hash,
    Token,
    Basic,
    Ed25519,
    EcdsaP256,
    RsaPkcs1,
    Adyen,
    Sns,
    Contentful,
    Rfc9421,
    Jwt,
}

/// `sig` of an entry of `verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureRow {
    pub(super) header: Option<String>,
    pub(super) from: Option<Selector>,
    #[serde(default)]
    pub(super) format: FormatName,
    pub(super) enc: Encoding,
    pub(super) prefix: Option<String>,
    pub(super) sep: Option<String>,
    pub(super) key: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) max: Option<u16>,
    pub(super) trim: Option<bool>,
}

/// `format` of a `sig`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FormatName {
    #[default]
    Plain,
    Kv,
    Tagged,
    List,
    Numbered,
}

/// `ts` of an entry of `verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeRow {
    pub(super) from: TimeFrom,
    pub(super) unit: TimeUnit,
    pub(super) tolerance: u32,
    #[serde(default)]
    pub(super) optional: bool,
}

/// `event`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventRow {
    pub(super) id: Vec<Spanned<String>>,
    pub(super) r#type: Vec<Spanned<String>>,
    /// What repeats are known by, if not by the id.
    pub(super) dedup: Option<Vec<Spanned<String>>>,
}

/// `delivery`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeliveryRow {
    /// Seconds; 0 is not known.
    pub(super) timeout_s: u32,
    /// Seconds; 0 is not said.
    pub(super) wait_s: u32,
    pub(super) ok: Option<String>,
    pub(super) retries: Option<String>,
    /// Bytes; 0 is not known.
    pub(super) max_body: u64,
    pub(super) ack: Option<Ack>,
    pub(super) answer_is_data: Option<Spanned<WhenRow>>,
}

/// An entry of `handshake`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleRow {
    pub(super) when: WhenRow,
    pub(super) verify: VerifyRow,
    pub(super) on_bad_sig: Option<u16>,
    pub(super) on_mismatch: Option<u16>,
    #[serde(default)]
    pub(super) guard: BTreeMap<Selector, Pattern>,
    #[serde(default)]
    pub(super) equals: BTreeMap<Selector, Text>,
    pub(super) store_secret: Option<Selector>,
    #[serde(default)]
    pub(super) show_operator: bool,
    pub(super) fetch: Option<FetchRow>,
    pub(super) respond: RespondRow,
}

/// `verify` of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "true, false or \"token-if-set\" was expected")]
pub(super) enum VerifyRow {
    Is(bool),
    Text(VerifyText),
}

/// `verify` of a handshake, as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum VerifyText {
    #[serde(rename = "token-if-set")]
    TokenIfSet,
}

/// Which requests are meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WhenRow {
    pub(super) method: Option<String>,
    pub(super) hdr: BTreeMap<String, String>,
    pub(super) hdr_present: Vec<String>,
    pub(super) hdr_absent: Vec<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) query_present: Vec<String>,
    pub(super) form_present: Vec<String>,
    pub(super) form_only: Option<Vec<String>>,
    pub(super) json: BTreeMap<String, toml::Value>,
    pub(super) json_present: Vec<String>,
    pub(super) json_absent: Vec<String>,
    pub(super) json_only: Option<Vec<String>>,
}

/// `fetch` of a handshake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FetchRow {
    pub(super) method: String,
    pub(super) url: Text,
    pub(super) host_re: Pattern,
}

/// `respond` of a handshake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RespondRow {
    pub(super) status: u16,
    pub(super) r#type: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Text>,
    pub(super) body: Option<Text>,
    pub(super) json: Option<toml::Table>,
}
