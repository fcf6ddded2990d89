//! Verification: a profile's checks against a request. Each kind of proof has its file; none knows a provider's name,
//! but for the three whose way nobody shares.

mod adyen;
mod certificate;
mod contentful;
pub(crate) mod jwt;
mod key;
mod message;
mod message_signature;
mod signature;
mod signed;
mod sns;
mod time;
mod token;

pub(crate) use self::certificate::allowed;
pub(crate) use self::key::{ed25519, key, p256, rsa};

use crate::finding::{Finding, NeedsCertificate, Reason, State};
use crate::profile::Profile;
use crate::profile::check::{Check, Kind};
use crate::reading::Reading;
use crate::request::{Certificates, Keys, Request};
use crate::secret::Secret;

/// Who sent this request, as far as it proves it. `now_ms` is the time of its receipt, in milliseconds since 1970.
///
/// The profile is one that was made for the endpoint's parameters ([`Profile::fit`]).
///
/// # Errors
/// A certificate is not at hand. Its URL has passed the profile's rule: fetch it and ask again.
pub fn verify(
    profile: &Profile,
    request: &Request<'_>,
    keys: &Keys<'_>,
    certificates: &Certificates,
    now_ms: u64,
) -> Result<Finding, NeedsCertificate> {
    let reading = Reading::new(request, keys.params);
    let case =
        Case { reading: &reading, keys, certificates, now_ms, body_bound: profile.body_bound };
    let mut wrong = Wrong::Absent(Reason::NotSigned);
    for check in &profile.checks {
        match case.check(check) {
            Ok(good) => return Ok(good.finding()),
            Err(Wrong::Wants(url)) => return Err(NeedsCertificate { url }),
            Err(other) if other.weight() > wrong.weight() => wrong = other,
            Err(_) => {}
        }
    }
    Ok(match wrong {
        Wrong::Absent(reason) | Wrong::Bad(reason) => match reason {
            Reason::NotSigned | Reason::NoSecret => Finding::unattempted(reason),
            _ => Finding::failed(reason),
        },
        Wrong::Wants(url) => return Err(NeedsCertificate { url }),
    })
}

/// All that a check may look at.
struct Case<'c, 'r> {
    reading: &'c Reading<'r>,
    keys: &'c Keys<'c>,
    certificates: &'c Certificates,
    now_ms: u64,
    body_bound: bool,
}

/// A good proof.
struct Good {
    /// Which secret it was.
    secret: Option<usize>,
    /// Whether the body is bound by it.
    bound: bool,
}

/// No good proof.
enum Wrong {
    /// The check does not apply to this request.
    Absent(Reason),
    Bad(Reason),
    /// A certificate is not at hand.
    Wants(String),
}

type Proof = Result<Good, Wrong>;

impl From<Reason> for Wrong {
    fn from(reason: Reason) -> Self {
        Self::Bad(reason)
    }
}

impl Wrong {
    /// Of several, the one that says most is told.
    const fn weight(&self) -> u8 {
        match self {
            Self::Absent(Reason::NotSigned) => 0,
            Self::Absent(_) => 1,
            Self::Bad(Reason::MalformedSecret) => 2,
            Self::Bad(Reason::NoSecret) => 3,
            Self::Bad(Reason::MalformedSignature | Reason::SignatureMissing) => 4,
            Self::Bad(Reason::WrongSecret) => 5,
            Self::Bad(_) => 6,
            Self::Wants(_) => 7,
        }
    }
}

impl Good {
    const fn finding(&self) -> Finding {
        let state = if self.bound { State::Verified } else { State::Authenticated };
        Finding { state, reason: None, secret: self.secret }
    }
}

impl Case<'_, '_> {
    fn check(&self, check: &Check) -> Proof {
        for (selector, wanted) in &check.only_if {
            let value = self.reading.value(selector)?;
            if value.is_none_or(|value| *value != *wanted.as_bytes()) {
                return Err(Wrong::Absent(Reason::HeaderMissing));
            }
        }
        for (selector, pattern) in &check.id_guards {
            let Some(value) = self.reading.value(selector)? else { continue };
            if !std::str::from_utf8(&value).is_ok_and(|value| pattern.fits(value)) {
                return Err(Reason::MalformedId.into());
            }
        }
        match &check.kind {
            Kind::Signed(scheme) => signed::check(self, check, scheme),
            Kind::Token { from, prefix } => token::check(self, check, from, prefix),
            Kind::Basic => token::basic(self, check),
            Kind::Jwt(jwt) => jwt::check(self, check, jwt),
            Kind::Adyen { key } => adyen::check(self, check, *key),
            Kind::Sns { hosts, tolerance_s } => sns::check(self, hosts, *tolerance_s),
            Kind::Contentful { tolerance_s } => contentful::check(self, check, *tolerance_s),
            Kind::MessageSignature { require, algorithms, tolerance_s } => {
                message_signature::check(self, check, require, algorithms, *tolerance_s)
            }
        }
    }

    /// The secrets that this check is for, each with its place.
    fn secrets(&self, check: &Check) -> Result<Vec<(usize, &Secret)>, Wrong> {
        if self.keys.secrets.is_empty() {
            return Err(Wrong::Bad(Reason::NoSecret));
        }
        let all = self.keys.secrets.iter().enumerate();
        let fitting: Vec<_> = all.filter(|(_, secret)| check.is_for(secret)).collect();
        if fitting.is_empty() { Err(Wrong::Absent(Reason::MalformedSecret)) } else { Ok(fitting) }
    }

    /// The first secret with which `is_good`; a secret that makes no key (`None`) is passed over.
    fn any_secret(
        &self,
        check: &Check,
        is_good: impl Fn(&Secret) -> Option<bool>,
    ) -> Result<usize, Wrong> {
        let mut reason = Reason::MalformedSecret;
        for (at, secret) in self.secrets(check)? {
            match is_good(secret) {
                Some(true) => return Ok(at),
                Some(false) => reason = Reason::WrongSecret,
                None => {}
            }
        }
        Err(Wrong::Bad(reason))
    }

    /// Whether the signed time is near enough, now that the signature is known to be good.
    fn is_timely(&self, signed_ms: u64, tolerance_s: u32) -> Result<(), Wrong> {
        let tolerance_s = self.keys.tolerance_s.unwrap_or(tolerance_s);
        time::judge(signed_ms, tolerance_s, self.now_ms).map_or(Ok(()), |reason| Err(reason.into()))
    }
}
