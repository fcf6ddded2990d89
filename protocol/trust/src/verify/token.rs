//! Shared secrets that are shown as they are: tokens, and user with password.

use subtle::ConstantTimeEq;

use super::{Case, Good, Proof, Wrong};
use crate::encoding::Encoding;
use crate::finding::Reason;
use crate::profile::check::Check;
use crate::secret::Secret;
use crate::selector::Selector;

/// The token, in each place where it is to be.
pub(super) fn check(case: &Case<'_, '_>, check: &Check, from: &Selector, prefix: &str) -> Proof {
    let absent = match from {
        Selector::Header(_) => Reason::HeaderMissing,
        _ => Reason::FieldMissing,
    };
    let values = case.reading.values(from)?;
    let values: Option<Vec<_>> = values.into_iter().collect();
    let values = values.filter(|values| !values.is_empty()).ok_or(Wrong::Absent(absent))?;
    let mut secret = None;
    for value in &values {
        let token = after(value, prefix).ok_or(Reason::MalformedCredentials)?;
        secret = Some(case.any_secret(check, |secret| is(secret, token))?);
    }
    Ok(Good { secret, bound: false })
}

/// User and password, with a colon between them, as the secret has them.
pub(super) fn basic(case: &Case<'_, '_>, check: &Check) -> Proof {
    let value =
        case.reading.header("authorization")?.ok_or(Wrong::Absent(Reason::HeaderMissing))?;
    let coded =
        after(value, "Basic ").map(<[u8]>::trim_ascii).ok_or(Reason::MalformedCredentials)?;
    let given = Encoding::Base64.decode(coded).ok_or(Reason::MalformedCredentials)?;
    let secret = case.any_secret(check, |secret| is(secret, &given))?;
    Ok(Good { secret: Some(secret), bound: false })
}

/// What stands after the prefix; names of authentication schemes are written in any case.
pub(super) fn after<'v>(value: &'v [u8], prefix: &str) -> Option<&'v [u8]> {
    let (begin, rest) = value.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// Whether this is the secret, compared in constant time; an empty secret is none.
fn is(secret: &Secret, given: &[u8]) -> Option<bool> {
    let secret = secret.expose().as_bytes();
    (!secret.is_empty()).then(|| secret.ct_eq(given).into())
}
