//! Tokens that are signed (JWT, RFC 7519): who has sent it, and of what only as much as their claims have a hash of.

mod compact;
mod qsh;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{digest, hmac};
use subtle::ConstantTimeEq;

pub(crate) use self::compact::Token;

use super::{Case, Good, Proof, Wrong, key, token};
use crate::encoding::Encoding;
use crate::finding::Reason;
use crate::profile::check::Check;
use crate::profile::jwt::{HashClaim, Jwt, TokenAlgorithm};
use crate::reading::Reading;
use crate::secret::Secret;
use crate::selector::Selector;

/// Checks the signature, then what it is for, then the body's hash, then the time: what is told first is known to be the
/// provider's.
pub(super) fn check(case: &Case<'_, '_>, check: &Check, jwt: &Jwt) -> Proof {
    let text = find(case.reading, jwt).map_err(|reason| match reason {
        Reason::HeaderMissing | Reason::FieldMissing | Reason::MalformedCredentials => {
            Wrong::Absent(reason)
        }
        _ => Wrong::Bad(reason),
    })?;
    let token = Token::read(&text).ok_or(Reason::MalformedSignature)?;
    if token.algorithm()? != jwt.algorithm.as_str() {
        return Err(Reason::AlgorithmNotAllowed.into());
    }
    if !jwt.algorithm.fits(token.signature.len()) {
        return Err(Reason::MalformedSignature.into());
    }
    let secret = case.any_secret(check, |secret| is_good(secret, jwt, &token))?;
    is_for(case, jwt, &token)?;
    let bound = match &jwt.body {
        Some(claim) => binds(case, claim, &token)?,
        None => false,
    };
    is_timely(case, jwt.tolerance_s, &token)?;
    Ok(Good { secret: Some(secret), bound })
}

/// The text of the token.
pub(crate) fn find(reading: &Reading<'_>, jwt: &Jwt) -> Result<Vec<u8>, Reason> {
    let value = reading.value(&jwt.from)?.ok_or(match jwt.from {
        Selector::Header(_) => Reason::HeaderMissing,
        _ => Reason::FieldMissing,
    })?;
    // With a space in it, it is of another scheme than the one that is looked for.
    let found = token::after(&value, &jwt.prefix).filter(|text| !text.contains(&b' '));
    found.map(<[u8]>::to_vec).ok_or(Reason::MalformedCredentials)
}

/// Whether the signature is good with this secret; `None` if that makes no key.
fn is_good(secret: &Secret, jwt: &Jwt, token: &Token<'_>) -> Option<bool> {
    let bytes = key(secret, jwt.key)?;
    if let Some(digest) = jwt.algorithm.shared() {
        // Everybody has a public key: who takes it for a secret lets everybody sign.
        if secret.expose().trim_start().starts_with("-----BEGIN") {
            return None;
        }
        let real = hmac::sign(&hmac::Key::new(digest.hmac(), &bytes), token.signed);
        return Some(real.as_ref().ct_eq(&token.signature).into());
    }
    let is_by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(token.signed, &token.signature).is_ok()
    };
    Some(match jwt.algorithm {
        TokenAlgorithm::Es256 => is_by(&ECDSA_P256_SHA256_FIXED, super::key::p256(&bytes)?),
        _ => is_by(&RSA_PKCS1_2048_8192_SHA256, &super::key::rsa(&bytes)?),
    })
}

/// Whether its claims are those of this request, as far as the profile and the endpoint ask.
fn is_for(case: &Case<'_, '_>, jwt: &Jwt, token: &Token<'_>) -> Result<(), Reason> {
    let param = |name: &str| case.keys.params.get(name).filter(|value| !value.is_empty());
    let own = [("aud", param("audience")), ("iss", param("issuer"))];
    let own = own.into_iter().filter_map(|(claim, wanted)| Some((claim, wanted?)));
    let all = jwt.claims.iter().map(|(claim, wanted)| (claim.as_str(), wanted)).chain(own);
    for (claim, wanted) in all {
        if !token.texts(claim)?.iter().any(|text| text == wanted) {
            return Err(Reason::ClaimMismatch);
        }
    }
    if let Some(claim) = &jwt.url
        && !matches(claim, token, case.reading.request.url)?.unwrap_or_default()
    {
        return Err(Reason::ClaimMismatch);
    }
    if jwt.qsh {
        let given = token.text("qsh")?.and_then(|text| Encoding::Hex.decode(text.as_bytes()));
        let given = given.ok_or(Reason::ClaimMismatch)?;
        if !qsh::hashes(case.reading)?.iter().any(|hash| hash[..] == given) {
            return Err(Reason::ClaimMismatch);
        }
    }
    Ok(())
}

/// Whether the claim is the hash of these bytes; `None` if it is not there.
fn matches(claim: &HashClaim, token: &Token<'_>, bytes: &[u8]) -> Result<Option<bool>, Reason> {
    let Some(given) = token.text(&claim.name)? else { return Ok(None) };
    let real = digest::digest(claim.digest.hash(), bytes);
    Ok(Some(claim.encoding.decode(given.as_bytes()).is_some_and(|given| given == real.as_ref())))
}

/// Whether the body is the one that was meant. Where none was meant, none may be here.
fn binds(case: &Case<'_, '_>, claim: &HashClaim, token: &Token<'_>) -> Result<bool, Reason> {
    let body = case.reading.request.body;
    match matches(claim, token, body)? {
        Some(true) => Ok(true),
        Some(false) => Err(Reason::BodyHashMismatch),
        None if body.is_empty() => Ok(true),
        None => Err(Reason::BodyNotSigned),
    }
}

/// Whether now is within the time that the token gives itself (RFC 7519 §4.1.4 to §4.1.6); where it sets no end, its age
/// is judged.
fn is_timely(case: &Case<'_, '_>, tolerance_s: u32, token: &Token<'_>) -> Result<(), Reason> {
    let tolerance_s = u64::from(case.keys.tolerance_s.unwrap_or(tolerance_s));
    let now_s = case.now_ms / 1000;
    let (expires, issued) = (token.seconds("exp")?, token.seconds("iat")?);
    if expires.is_some_and(|end| now_s >= end.saturating_add(tolerance_s)) {
        return Err(Reason::SignatureExpired);
    }
    let starts = token.seconds("nbf")?.into_iter().chain(issued.filter(|_| tolerance_s > 0));
    if starts.into_iter().any(|start| start > now_s.saturating_add(tolerance_s)) {
        return Err(Reason::TimestampInFuture);
    }
    if expires.is_some() || tolerance_s == 0 {
        return Ok(());
    }
    let issued = issued.ok_or(Reason::TimestampMissing)?;
    if now_s > issued.saturating_add(tolerance_s) {
        return Err(Reason::TimestampTooOld);
    }
    Ok(())
}
