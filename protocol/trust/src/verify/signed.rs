//! Signatures over a message that a template makes: most providers sign so.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use super::signature::{self, Signatures};
use super::{Case, Good, Proof, Wrong, certificate, key, message, time};
use crate::finding::Reason;
use crate::profile::check::{BodyHash, Check, Format, Method, Scheme, Time, TimeFrom};
use crate::reading::{Reading, Value};
use crate::secret::Secret;
use crate::template::MessagePart;

/// The most signatures by public keys that are tried: each costs far more than an HMAC.
const PUBLIC_MAX: usize = 16;
/// The longest RSA signature, in bytes: 8192 bits.
const RSA_MAX: usize = 1024;

/// Checks the signature, then the body's hash, then the time: what is told first is known to be the provider's.
pub(super) fn check(case: &Case<'_, '_>, check: &Check, scheme: &Scheme) -> Proof {
    let signatures = signature::find(case.reading, &scheme.signature)?;
    let given = decode(&signatures, scheme)?;
    let signed_at = match &scheme.time {
        Some(time) => signed_at(case.reading, &signatures, &scheme.signature.format, time)?,
        None => None,
    };
    let text = signed_at.as_ref().map_or(&[][..], |at| &at.text);
    let matching = Matching { case, check, scheme, given: &given, time: text };
    let secret = match matching.secret() {
        // That the time is none explains the mismatch.
        Err(Wrong::Bad(Reason::WrongSecret))
            if signed_at.as_ref().is_some_and(SignedAt::is_odd) =>
        {
            return Err(Reason::MalformedTimestamp.into());
        }
        other => other?,
    };
    let bound = is_bound(case, scheme)?;
    if let (Some(at), Some(time)) = (&signed_at, &scheme.time) {
        let tolerance_s = case.keys.tolerance_s.unwrap_or(time.tolerance_s);
        match at.ms {
            None if tolerance_s == 0 => {}
            None => return Err(Reason::MalformedTimestamp.into()),
            Some(ms) => case.is_timely(ms, time.tolerance_s)?,
        }
    }
    Ok(Good { secret, bound })
}

fn decode(signatures: &Signatures<'_>, scheme: &Scheme) -> Result<Vec<Vec<u8>>, Reason> {
    let encoding = scheme.signature.encoding;
    let given = match &scheme.method {
        Method::Hmac { digest, .. } | Method::Hash { digest } => {
            return signatures.decode(encoding, |length| length == digest.len());
        }
        Method::Ed25519 { .. } => signatures.decode(encoding, |length| length == 64)?,
        Method::EcdsaP256 { .. } => {
            signatures.decode(encoding, |length| (8..=72).contains(&length))?
        }
        Method::RsaPkcs1 { .. } => {
            signatures.decode(encoding, |length| (128..=RSA_MAX).contains(&length))?
        }
    };
    if given.len() > PUBLIC_MAX { Err(Reason::MalformedSignature) } else { Ok(given) }
}

/// The signed time: as it was sent, and what it says.
struct SignedAt {
    text: Vec<u8>,
    ms: Option<u64>,
}

impl SignedAt {
    const fn is_odd(&self) -> bool {
        self.ms.is_none()
    }
}

fn signed_at(
    reading: &Reading<'_>,
    signatures: &Signatures<'_>,
    format: &Format,
    time: &Time,
) -> Result<Option<SignedAt>, Wrong> {
    let text = match &time.from {
        TimeFrom::Pair(key) => signatures.pair(format, key)?,
        TimeFrom::At(selector) => reading.value(selector)?.map(Value::into_owned),
    };
    match text {
        Some(text) => Ok(Some(SignedAt { ms: time::parse(&text, time.unit), text })),
        None if time.optional => Ok(None),
        None => Err(Reason::TimestampMissing.into()),
    }
}

/// Whether a good signature of this message binds the body.
fn is_bound(case: &Case<'_, '_>, scheme: &Scheme) -> Result<bool, Wrong> {
    let reading = case.reading;
    let has = |part| scheme.message.has(&part);
    if reading.request.body.is_empty() || has(MessagePart::Body) || has(MessagePart::Crc32) {
        return Ok(true);
    }
    if has(MessagePart::FormSorted) && reading.is_form() {
        return Ok(true);
    }
    if let Some(hash) = &scheme.body_hash
        && has_hash(reading, hash)?
    {
        return Ok(true);
    }
    // Who has seen one signed request could send any body with it.
    if case.body_bound { Err(Reason::BodyNotSigned.into()) } else { Ok(false) }
}

/// Whether the hash in the query is the body's; `false` if there is none.
fn has_hash(reading: &Reading<'_>, hash: &BodyHash) -> Result<bool, Wrong> {
    let selector = crate::selector::Selector::Query(hash.query.as_str().into());
    let Some(given) = reading.value(&selector)? else { return Ok(false) };
    let given = hash.encoding.decode(&given).ok_or(Reason::BodyHashMismatch)?;
    let real = digest::digest(hash.digest.hash(), reading.request.body);
    if bool::from(real.as_ref().ct_eq(&given)) {
        Ok(true)
    } else {
        Err(Reason::BodyHashMismatch.into())
    }
}

/// A message, and the signatures of which one must be its.
struct Matching<'m, 'c, 'r> {
    case: &'m Case<'c, 'r>,
    check: &'m Check,
    scheme: &'m Scheme,
    given: &'m [Vec<u8>],
    time: &'m [u8],
}

impl Matching<'_, '_, '_> {
    /// The secret with which one of the signatures is good; `None` where it is the key of a certificate.
    fn secret(&self) -> Result<Option<usize>, Wrong> {
        let urls = message::urls(self.case.reading.request.url, self.scheme);
        if let Method::RsaPkcs1 { digest, certificate, hosts } = &self.scheme.method {
            let key = certificate::key(self.case, certificate, hosts)?;
            for url in &urls {
                let whole = self.parts(url)?.concat();
                let algorithm = certificate::algorithm(*digest);
                if self.is_by(algorithm, &key, &whole) {
                    return Ok(None);
                }
            }
            return Err(Reason::WrongSecret.into());
        }
        let messages: Result<Vec<_>, Wrong> = urls.iter().map(|url| self.parts(url)).collect();
        let messages = messages?;
        let is_good = |secret: &Secret| self.is_good(secret, &messages);
        self.case.any_secret(self.check, is_good).map(Some)
    }

    fn parts<'p>(&'p self, url: &'p [u8]) -> Result<Vec<Value<'p>>, Wrong> {
        message::parts(self.case.reading, self.scheme, url, self.time)
    }

    /// Whether a signature of one of these messages is good with this secret; `None` if that makes no key.
    fn is_good(&self, secret: &Secret, messages: &[Vec<Value<'_>>]) -> Option<bool> {
        let mut messages = messages.iter();
        Some(match &self.scheme.method {
            Method::Hmac { digest, key: form } => {
                let key = hmac::Key::new(digest.hmac(), &key(secret, *form)?);
                messages.any(|parts| self.is_one_of(hmac_of(&key, parts).as_ref()))
            }
            Method::Hash { digest } => {
                let secret = secret.expose().as_bytes();
                if secret.is_empty() {
                    return None;
                }
                messages.any(|parts| self.is_one_of(self.hash_of(*digest, parts, secret).as_ref()))
            }
            Method::Ed25519 { key: form } => {
                let key = key(secret, *form)?;
                let key = super::key::ed25519(&key)?;
                messages.any(|parts| self.is_by(&ED25519, key, &parts.concat()))
            }
            Method::EcdsaP256 { key: form } => {
                let key = key(secret, *form)?;
                let key = super::key::p256(&key)?;
                messages.any(|parts| self.is_by(&ECDSA_P256_SHA256_ASN1, key, &parts.concat()))
            }
            Method::RsaPkcs1 { .. } => false,
        })
    }

    /// Every one is compared, so that the time tells nothing.
    fn is_one_of(&self, real: &[u8]) -> bool {
        self.given.iter().fold(false, |found, given| found | bool::from(real.ct_eq(given)))
    }

    fn is_by(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        key: &[u8],
        message: &[u8],
    ) -> bool {
        let key = UnparsedPublicKey::new(algorithm, key);
        self.given.iter().any(|given| key.verify(message, given).is_ok())
    }

    /// The digest of the parts, the secret standing where the template has it.
    fn hash_of(
        &self,
        digest: crate::encoding::Digest,
        parts: &[Value<'_>],
        secret: &[u8],
    ) -> digest::Digest {
        let mut context = digest::Context::new(digest.hash());
        for (part, value) in self.scheme.message.0.iter().zip(parts) {
            context.update(if *part == MessagePart::Secret { secret } else { value });
        }
        context.finish()
    }
}

fn hmac_of(key: &hmac::Key, parts: &[Value<'_>]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}
