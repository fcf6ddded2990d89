//! HTTP message signatures (RFC 9421) with a digest of the content (RFC 9530).
//!
//! Components are taken as they are: fields without parameters, and all derived ones but `@query-param`.

mod input;

use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use subtle::ConstantTimeEq;

use self::input::{Input, Labelled, dictionary};
use super::{Case, Good, Proof, Wrong, key};
use crate::encoding::{Digest, Encoding};
use crate::finding::Reason;
use crate::profile::check::{Algorithm, Check, KeyForm};
use crate::reading::Reading;
use crate::secret::Secret;

/// The most signatures of one request that are looked at.
const LABELS_MAX: usize = 8;

pub(super) fn check(
    case: &Case<'_, '_>,
    check: &Check,
    require: &[String],
    algorithms: &[Algorithm],
    tolerance_s: u32,
) -> Proof {
    let inputs =
        combined(case.reading, "signature-input").ok_or(Wrong::Absent(Reason::HeaderMissing))?;
    let signatures = combined(case.reading, "signature").ok_or(Reason::HeaderMissing)?;
    let inputs = dictionary(&inputs).ok_or(Reason::MalformedSignature)?;
    let signatures = dictionary(&signatures).ok_or(Reason::MalformedSignature)?;
    if inputs.len() > LABELS_MAX {
        return Err(Reason::MalformedSignature.into());
    }
    let policy = Policy { case, check, require: wanted(case, require), algorithms, tolerance_s };
    let mut wrong = Wrong::Bad(Reason::SignatureMissing);
    for Labelled { label, value } in &inputs {
        let Some(given) = signatures.iter().find(|signature| signature.label == *label) else {
            continue;
        };
        match policy.one(value, given.value) {
            Ok(good) => return Ok(good),
            Err(other) if other.weight() >= wrong.weight() => wrong = other,
            Err(_) => {}
        }
    }
    Err(wrong)
}

/// All values of a field as one, as RFC 9110 §5.3 has it.
fn combined(reading: &Reading<'_>, name: &str) -> Option<String> {
    let values =
        reading.headers(name).map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned());
    let values: Vec<String> = values.collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The components that must be signed: as the endpoint has it, else as the profile.
fn wanted(case: &Case<'_, '_>, require: &[String]) -> Vec<String> {
    match case.keys.params.get("require") {
        Some(own) => {
            own.split([',', ' ']).filter(|n| !n.is_empty()).map(str::to_ascii_lowercase).collect()
        }
        None => require.to_vec(),
    }
}

struct Policy<'p, 'c, 'r> {
    case: &'p Case<'c, 'r>,
    check: &'p Check,
    require: Vec<String>,
    algorithms: &'p [Algorithm],
    tolerance_s: u32,
}

impl Policy<'_, '_, '_> {
    /// One of the signatures.
    fn one(&self, input: &str, signature: &str) -> Proof {
        let parsed = Input::parse(input).ok_or(Reason::MalformedSignature)?;
        let given = signature.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
        let given = given.and_then(|text| Encoding::Base64.decode(text.as_bytes()));
        let given = given.ok_or(Reason::MalformedSignature)?;
        if let Some(keyid) = self.case.keys.params.get("keyid")
            && parsed.text("keyid") != Some(keyid)
        {
            return Err(Reason::WrongSecret.into());
        }
        if !self.require.iter().all(|name| parsed.covers(name)) {
            return Err(Reason::ComponentNotSigned.into());
        }
        let own = self.case.keys.params.get("alg").map(String::as_str);
        let said = own.into_iter().chain(parsed.text("alg"));
        let said: Result<Vec<Algorithm>, _> = said.map(str::parse).collect();
        let said = said.map_err(|_| Reason::AlgorithmNotAllowed)?;
        let allowed = |algorithm: Algorithm| {
            self.algorithms.contains(&algorithm) && said.iter().all(|said| *said == algorithm)
        };
        if !self.algorithms.iter().any(|algorithm| allowed(*algorithm)) {
            return Err(Reason::AlgorithmNotAllowed.into());
        }
        let base = base(self.case.reading, &parsed, input)?;
        let is_good = |secret: &Secret| is_good(secret, &allowed, &base, &given);
        let secret = self.case.any_secret(self.check, is_good)?;
        self.is_timely(&parsed)?;
        let digest = has_digest(self.case.reading)?;
        let bound = self.case.reading.request.body.is_empty()
            || (parsed.covers("content-digest") && digest.ok_or(Reason::BodyHashMismatch)?);
        Ok(Good { secret: Some(secret), bound })
    }

    fn is_timely(&self, input: &Input<'_>) -> Result<(), Wrong> {
        let seconds = |name: &str| match input.number(name) {
            None => Ok(None),
            Some(Some(seconds)) => Ok(Some(seconds)),
            Some(None) => Err(Reason::MalformedTimestamp),
        };
        if seconds("expires")?.is_some_and(|expires| expires < self.case.now_ms / 1000) {
            return Err(Reason::SignatureExpired.into());
        }
        match seconds("created")? {
            Some(created) => {
                let created = created.checked_mul(1000).ok_or(Reason::MalformedTimestamp)?;
                self.case.is_timely(created, self.tolerance_s)
            }
            None if self.case.keys.tolerance_s.unwrap_or(self.tolerance_s) == 0 => Ok(()),
            None => Err(Reason::TimestampMissing.into()),
        }
    }
}

/// Whether the signature is good; `None` if the secret is no key of an allowed algorithm.
fn is_good(
    secret: &Secret,
    allowed: &dyn Fn(Algorithm) -> bool,
    base: &[u8],
    given: &[u8],
) -> Option<bool> {
    let is_by = |algorithm: &'static dyn ring::signature::VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(base, given).is_ok()
    };
    if !secret.expose().trim_start().starts_with("-----BEGIN") {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret, KeyForm::Base64)?);
        return allowed(Algorithm::HmacSha256)
            .then(|| hmac::sign(&key, base).as_ref().ct_eq(given).into());
    }
    let spki = key(secret, KeyForm::Spki)?;
    if let Some(point) = super::key::p256(&spki) {
        return allowed(Algorithm::EcdsaP256).then(|| is_by(&ECDSA_P256_SHA256_FIXED, point));
    }
    let key = super::key::ed25519(&spki)?;
    allowed(Algorithm::Ed25519).then(|| is_by(&ED25519, key))
}

/// The signature base (RFC 9421 §2.5).
fn base(reading: &Reading<'_>, input: &Input<'_>, raw: &str) -> Result<Vec<u8>, Wrong> {
    let mut base = Vec::new();
    for component in &input.components {
        if !component.params.is_empty() {
            return Err(Reason::MalformedSignature.into());
        }
        base.extend_from_slice(format!("\"{}\": ", component.name).as_bytes());
        base.extend_from_slice(&value(reading, component.name)?);
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(raw.as_bytes());
    Ok(base)
}

/// The value of a component: derived (RFC 9421 §2.2) or a field.
fn value(reading: &Reading<'_>, name: &str) -> Result<Vec<u8>, Wrong> {
    let url = reading.request.url;
    let url = &url[..url.iter().position(|c| *c == b'#').unwrap_or(url.len())];
    let scheme = url.windows(3).position(|w| w == b"://").ok_or(Reason::MalformedUrl)?;
    let target = reading.path_and_query();
    let mark = target.iter().position(|c| *c == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(mark);
    Ok(match name {
        "@method" => reading.request.method.as_bytes().to_vec(),
        "@target-uri" => url.to_vec(),
        "@scheme" => url[..scheme].to_ascii_lowercase(),
        "@authority" => authority(&url[..scheme], &url[scheme + 3..]),
        "@request-target" => target.to_vec(),
        "@path" if path.is_empty() => b"/".to_vec(),
        "@path" => path.to_vec(),
        "@query" if query.is_empty() => b"?".to_vec(),
        "@query" => query.to_vec(),
        other if other.starts_with('@') => return Err(Reason::MalformedSignature.into()),
        field => {
            let values: Vec<&[u8]> = reading.headers(field).map(<[u8]>::trim_ascii).collect();
            if values.is_empty() {
                return Err(Reason::HeaderMissing.into());
            }
            values.join(&b", "[..])
        }
    })
}

/// Host and port, without the port that goes without saying.
fn authority(scheme: &[u8], rest: &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|c| b"/?".contains(c)).unwrap_or(rest.len());
    let authority = rest[..end].to_ascii_lowercase();
    let usual: &[u8] = if scheme.eq_ignore_ascii_case(b"https") { b":443" } else { b":80" };
    authority.strip_suffix(usual).map_or_else(|| authority.clone(), <[u8]>::to_vec)
}

/// Whether the digest of the content is the body's; `None` if there is none that is known.
fn has_digest(reading: &Reading<'_>) -> Result<Option<bool>, Wrong> {
    let Some(text) = combined(reading, "content-digest") else { return Ok(None) };
    let digests = dictionary(&text).ok_or(Reason::BodyHashMismatch)?;
    let mut found = None;
    for Labelled { label, value } in digests {
        let digest = match label {
            "sha-256" => Digest::Sha256,
            "sha-512" => Digest::Sha512,
            _ => continue,
        };
        let given = value.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
        let given = given.and_then(|text| Encoding::Base64.decode(text.as_bytes()));
        let real = ring::digest::digest(digest.hash(), reading.request.body);
        if given.is_none_or(|given| given != real.as_ref()) {
            return Err(Reason::BodyHashMismatch.into());
        }
        found = Some(true);
    }
    Ok(found)
}
