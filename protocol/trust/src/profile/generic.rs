//! The generic profiles: what their check is, the endpoint's parameters say.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::check::Check;
use super::row::{CheckRow, Generic};

/// A parameter's name, where it goes in the row (`sig.`: below `sig`), what it is, what it is if it is not set.
type Known = (&'static str, &'static str, &'static str, Option<&'static str>);

const HMAC: &[Known] = &[
    ("header", "sig.header", "the field with the signature", None),
    ("format", "sig.format", "plain, kv, tagged or list", Some("plain")),
    ("prefix", "sig.prefix", "what stands before the signature", None),
    ("separator", "sig.sep", "what stands between several", None),
    ("signature_key", "sig.key", "with format kv: the key of the signature", None),
    ("tag", "sig.tag", "with format tagged: the tag of the signature", None),
    ("encoding", "sig.enc", "hex or base64", Some("hex")),
    ("digest", "digest", "sha1, sha256, sha384 or sha512", Some("sha256")),
    ("key", "key", "how the secret becomes a key: utf8, base64, hex or whsec", Some("utf8")),
    ("template", "message", "what is signed", Some("{body}")),
    ("timestamp", "ts.from", "where the time is: a field's name, kv:KEY or json:PATH", None),
    ("timestamp_unit", "ts.unit", "s, ms or rfc3339", None),
];

const TOKEN: &[Known] = &[
    ("header", "", "the field with the token", None),
    ("from", "", "where the token is, if in no field: query:NAME, json:PATH or form:NAME", None),
    ("prefix", "", "what stands before the token", None),
];

const JWT: &[Known] = &[
    ("algorithm", "alg", "HS256, HS384, HS512, RS256 or ES256", Some("HS256")),
    ("header", "", "the field with the token", None),
    ("from", "", "where the token is, if in no field: query:NAME, json:PATH or form:NAME", None),
    ("prefix", "", "what stands before the token", None),
    (
        "key",
        "key",
        "how the secret becomes a key: utf8, base64 or hex; spki_b64 for public keys",
        None,
    ),
    ("body_claim", "body_claim.name", "the claim with the body's hash, if there is one", None),
    ("body_digest", "body_claim.digest", "sha1, sha256, sha384 or sha512", None),
    ("body_encoding", "body_claim.enc", "hex or base64", None),
    ("audience", "", "whom the token must be for (its aud)", None),
    ("issuer", "", "who must have made the token (its iss)", None),
];

impl Generic {
    /// Each parameter with what it is.
    pub(super) fn params(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.known().iter().map(|(name, _, what, _)| (*name, *what))
    }

    const fn known(self) -> &'static [Known] {
        match self {
            Self::Hmac => HMAC,
            Self::Token => TOKEN,
            Self::Jwt => JWT,
        }
    }

    /// The check that these parameters say.
    pub(super) fn check(self, params: &BTreeMap<String, String>) -> Result<Check, String> {
        let row = match self {
            Self::Hmac => hmac(params)?,
            Self::Token => token(params)?,
            Self::Jwt => jwt(params)?,
        };
        let row = CheckRow::deserialize(Value::Table(row));
        let check = row.map_err(|e| e.message().trim().to_owned())?.build()?;
        if self == Self::Hmac && check.leaves_body_unsigned() {
            return Err("template leaves out the {body}: anybody could send another one".into());
        }
        Ok(check)
    }
}

fn hmac(params: &BTreeMap<String, String>) -> Result<Table, String> {
    if !params.contains_key("header") {
        return Err("the parameter header is missing: the field with the signature".into());
    }
    let mut row = Table::from_iter([("kind".to_owned(), Value::from("hmac"))]);
    put(&mut row, HMAC, params)?;
    if let Some(time) = row.get_mut("ts").and_then(Value::as_table_mut) {
        if !time.contains_key("from") {
            return Err("timestamp_unit without timestamp".into());
        }
        time.entry("unit").or_insert_with(|| Value::from("s"));
        time.insert("tolerance".into(), Value::from(300));
    }
    Ok(row)
}

/// Puts each parameter where it goes in the row; those that go nowhere are put by hand.
fn put(row: &mut Table, known: &[Known], params: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, place, _, usual) in known.iter().filter(|(_, place, ..)| !place.is_empty()) {
        let Some(value) = params.get(*name).map(String::as_str).or(*usual) else { continue };
        let (table, key) = match place.split_once('.') {
            Some((table, key)) => {
                let inner = row.entry(table).or_insert_with(|| Value::Table(Table::new()));
                (inner.as_table_mut().ok_or("a table")?, key)
            }
            None => (&mut *row, *place),
        };
        table.insert(key.to_owned(), Value::from(value));
    }
    Ok(())
}

/// A token of RFC 7519 stands where another one would.
fn jwt(params: &BTreeMap<String, String>) -> Result<Table, String> {
    let mut row = token(params)?;
    row.insert("kind".into(), Value::from("jwt"));
    put(&mut row, JWT, params)?;
    if let Some(claim) = row.get_mut("body_claim").and_then(Value::as_table_mut) {
        if !claim.contains_key("name") {
            return Err(
                "body_digest and body_encoding are of a body_claim, which is missing".into()
            );
        }
        claim.entry("digest").or_insert_with(|| Value::from("sha256"));
        claim.entry("enc").or_insert_with(|| Value::from("hex"));
    }
    Ok(row)
}

fn token(params: &BTreeMap<String, String>) -> Result<Table, String> {
    let header = params.get("header").map(|name| name.to_ascii_lowercase());
    let from = match (header, params.get("from")) {
        (Some(_), Some(_)) => return Err("header or from, not both".into()),
        (Some(name), None) => format!("hdr:{name}"),
        (None, Some(from)) => from.clone(),
        (None, None) => "hdr:authorization".to_owned(),
    };
    let usual = if from == "hdr:authorization" { "Bearer " } else { "" };
    let prefix = params.get("prefix").map_or(usual, String::as_str);
    let row = [("kind", "token"), ("from", &from), ("prefix", prefix)];
    Ok(row.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect())
}
