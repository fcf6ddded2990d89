//! Why a check has failed: what webhook users ask first. Each guess is tried: a sentence about a cause is only said when
//! the request would be good without it.
//!
//! For people with a saved request in their hands; too costly for the way of an event.

mod body;
mod scheme;
mod secret;
mod token;
mod url;
mod words;

use std::borrow::Cow;

use crate::finding::{Finding, Reason};
use crate::profile::check::{Format, Kind, Source};
use crate::profile::{Profile, Profiles};
use crate::reading::Reading;
use crate::request::{Certificates, Keys, Request};
use crate::secret::Secret;
use crate::verify::verify;

/// Why this request is not good, in sentences, what is surest first; empty if it is good.
///
/// The profile is one that was made for the endpoint's parameters. No sentence has a secret in it.
#[must_use]
pub fn explain(
    profiles: &Profiles,
    profile: &Profile,
    request: &Request<'_>,
    keys: &Keys<'_>,
    certificates: &Certificates,
    now_ms: u64,
) -> Vec<String> {
    let trial = Trial { request, keys, certificates, now_ms };
    let found = match verify(profile, request, keys, certificates, now_ms) {
        Ok(found) if found.is_good() => return Vec::new(),
        Ok(found) => found,
        Err(wanted) => {
            return vec![format!(
                "It is signed with a certificate that is not at hand: {}.",
                wanted.url
            )];
        }
    };
    let mut told = match found.reason {
        Some(Reason::WrongSecret | Reason::MalformedSignature | Reason::MalformedSecret) => {
            trial.causes(profile)
        }
        Some(reason) if TIMES.contains(&reason) => trial.age(profile),
        Some(Reason::BodyHashMismatch) => trial.bodies(profile),
        Some(Reason::ClaimMismatch) => trial.urls(profile),
        _ => Vec::new(),
    };
    told.extend(token::read(profile, request, keys));
    told.extend(words::general(&found));
    told.extend(secret::hints(profile.name(), keys.secrets));
    if matches!(
        found.reason,
        Some(Reason::HeaderMissing | Reason::SignatureMissing | Reason::NotSigned)
    ) || told.len() == 1
    {
        told.extend(trial.others(profiles, profile));
    }
    if found.reason == Some(Reason::WrongSecret) {
        told.push(format!("The body that was checked has {} bytes.", request.body.len()));
    }
    told
}

/// That it is good, at another time.
const TIMES: [Reason; 3] =
    [Reason::TimestampTooOld, Reason::TimestampInFuture, Reason::SignatureExpired];

/// A request with which guesses are tried.
struct Trial<'t> {
    request: &'t Request<'t>,
    keys: &'t Keys<'t>,
    certificates: &'t Certificates,
    now_ms: u64,
}

impl Trial<'_> {
    /// What is found with these in the place of the request's and the endpoint's own.
    fn find(
        &self,
        profile: &Profile,
        request: &Request<'_>,
        secrets: &[Secret],
    ) -> Option<Finding> {
        let keys = Keys { secrets, ..*self.keys };
        verify(profile, request, &keys, self.certificates, self.now_ms).ok()
    }

    /// Whether the signature is good so, whatever its age.
    fn is_cause(&self, profile: &Profile, request: &Request<'_>, secrets: &[Secret]) -> bool {
        self.find(profile, request, secrets).is_some_and(|found| {
            found.is_good() || found.reason.is_some_and(|reason| TIMES.contains(&reason))
        })
    }

    /// Each cause without which the signature would be good.
    fn causes(&self, profile: &Profile) -> Vec<String> {
        let mut told = self.bodies(profile);
        for (secrets, why) in secret::variants(self.keys.secrets) {
            if self.is_cause(profile, self.request, &secrets) {
                told.push(why);
            }
        }
        for (other, why) in scheme::variants(profile) {
            if self.is_cause(&other, self.request, self.keys.secrets) {
                told.push(why);
            }
        }
        told.extend(self.urls(profile));
        let method = if self.request.method == "POST" { "GET" } else { "POST" };
        if self.is_cause(profile, &Request { method, ..*self.request }, self.keys.secrets) {
            told.push(format!("It was signed as a {method}, and it is a {}.", self.request.method));
        }
        told
    }

    /// Each other way of writing the URL with which it would be good.
    fn urls(&self, profile: &Profile) -> Vec<String> {
        let mut told = Vec::new();
        if profile.signs_url() {
            for (url, why) in url::variants(self.request) {
                let request = Request { url: &url, ..*self.request };
                if self.is_cause(profile, &request, self.keys.secrets) {
                    told.push(why);
                }
            }
        }
        told
    }

    /// Each change of the body without which the signature would be good.
    fn bodies(&self, profile: &Profile) -> Vec<String> {
        let mut told = Vec::new();
        for (body, why) in body::variants(self.request.body) {
            let request = Request { body: &body, ..*self.request };
            if self.is_cause(profile, &request, self.keys.secrets) {
                told.push(why.to_owned());
            }
        }
        told.truncate(1);
        told
    }

    /// How far away the signed time is: found by trying, for each scheme has its time elsewhere.
    fn age(&self, profile: &Profile) -> Vec<String> {
        let is_good = |tolerance_s: u32| {
            let keys = Keys { tolerance_s: Some(tolerance_s), ..*self.keys };
            let found = verify(profile, self.request, &keys, self.certificates, self.now_ms);
            found.is_ok_and(|found| found.is_good())
        };
        let (mut near, mut far) = (0, u32::MAX);
        if !is_good(far) {
            return vec![
                "The signature is good, but its time is more than a hundred years away.".into(),
            ];
        }
        while far - near > 1 {
            let middle = near + (far - near) / 2;
            if is_good(middle) { far = middle } else { near = middle }
        }
        vec![format!(
            "The signature is good, but its time is {far} seconds ({}) away.",
            words::span(far)
        )]
    }

    /// Which other providers it may be of: those whose signature it brings.
    fn others(&self, profiles: &Profiles, profile: &Profile) -> Vec<String> {
        let params = self.keys.params;
        let reading = Reading::new(self.request, params);
        let mut bringing = Vec::new();
        for other in profiles.names().filter_map(|name| profiles.get(name)) {
            if other.name() == profile.name() || !brings(other, &reading) {
                continue;
            }
            if self.is_cause(other, self.request, self.keys.secrets) {
                return vec![format!(
                    "With this secret, it is good for the provider {}.",
                    other.name()
                )];
            }
            bringing.push(other.name());
        }
        if bringing.is_empty() {
            return Vec::new();
        }
        vec![format!("It brings a signature as these providers send it: {}.", bringing.join(", "))]
    }
}

/// Whether the request has the field with this provider's signature.
fn brings(profile: &Profile, reading: &Reading<'_>) -> bool {
    profile.checks.iter().any(|check| {
        if let Kind::Jwt(jwt) = &check.kind {
            return token::is_there(reading, jwt);
        }
        let Kind::Signed(scheme) = &check.kind else { return false };
        let Source::Header(name) = &scheme.signature.from else { return false };
        let name = match scheme.signature.format {
            Format::Numbered { .. } => Cow::Owned(format!("{name}1")),
            _ => Cow::Borrowed(&**name),
        };
        reading.headers(&name).next().is_some()
    })
}
