//! What a check has found: one of four states, and why.

use std::fmt;
use std::str::FromStr;

/// Gives an enum its names in `snake_case`, and the way back from them.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Each of them once.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on screen, in records and in header fields.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let found = Self::ALL.iter().copied().find(|name| name.as_str() == text);
                found.ok_or(UnknownName)
            }
        }
    };
}

/// A text that names no state and no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct UnknownName;

names! {
    /// What is known of who sent an event.
    State {
        /// A signature that binds the body is good.
        Verified = "verified",
        /// A shared secret was shown, or a signature is good that leaves the body unsigned.
        Authenticated = "authenticated",
        /// It was checked, and it is not good.
        Failed = "failed",
        /// It was not checked, for there is nothing to check it with.
        Unattempted = "unattempted",
    }
}

names! {
    /// Why an event is not verified.
    Reason {
        /// The signature or token is well formed, and none of the active secrets gives it: a wrong secret, or what is
        /// signed was changed on its way.
        WrongSecret = "wrong_secret",
        /// The field with the signature, the token or the credentials is not there, or another field that is signed.
        HeaderMissing = "header_missing",
        /// A field that is signed, or that signs, is there twice with different values.
        DuplicateHeader = "duplicate_header",
        /// There is no signature of the wanted scheme where one is looked for.
        SignatureMissing = "signature_missing",
        /// What stands for the signature is none: its prefix, its encoding, its length.
        MalformedSignature = "malformed_signature",
        /// There are no credentials of the wanted kind in the field.
        MalformedCredentials = "malformed_credentials",
        /// The time that is signed is not there.
        TimestampMissing = "timestamp_missing",
        /// The time that is signed is no time, or is there twice.
        MalformedTimestamp = "malformed_timestamp",
        /// The signature is good, and older than the tolerance.
        TimestampTooOld = "timestamp_too_old",
        /// The signature is good, and from a time further ahead than the tolerance.
        TimestampInFuture = "timestamp_in_future",
        /// The signature says itself that its time has passed.
        SignatureExpired = "signature_expired",
        /// The id that is signed holds what would let it be read as an id and something else.
        MalformedId = "malformed_id",
        /// A part of the body or of the query that is signed is not there.
        FieldMissing = "field_missing",
        /// The body cannot be read, or names a signed part twice: no JSON, no form.
        MalformedBody = "malformed_body",
        /// Nothing of this request binds its body.
        BodyNotSigned = "body_not_signed",
        /// The signature is good, but not for this body: its hash differs.
        BodyHashMismatch = "body_hash_mismatch",
        /// The URL is none that can be signed.
        MalformedUrl = "malformed_url",
        /// The signature covers less than what is asked for.
        ComponentNotSigned = "component_not_signed",
        /// The signature is by an algorithm that is not accepted.
        AlgorithmNotAllowed = "algorithm_not_allowed",
        /// The certificate is to be fetched from where the provider has none.
        CertificateUrlNotAllowed = "certificate_url_not_allowed",
        /// The certificate could not be fetched.
        CertificateUnavailable = "certificate_unavailable",
        /// What was fetched is no certificate with a fitting key.
        MalformedCertificate = "malformed_certificate",
        /// The certificate is not valid now.
        CertificateExpired = "certificate_expired",
        /// The message is of another topic than the endpoint's.
        WrongTopic = "wrong_topic",
        /// The token is good, but not for this request: its issuer, its audience or its URL is another.
        ClaimMismatch = "claim_mismatch",
        /// There is no secret to check with.
        NoSecret = "no_secret",
        /// The secret is not of the form that the provider gives.
        MalformedSecret = "malformed_secret",
        /// A parameter that is signed is not set.
        ParameterMissing = "parameter_missing",
        /// It is a batch that the relay has put together: no provider has signed it.
        Batched = "batched",
        /// This provider signs nothing that can be checked.
        NotSigned = "not_signed",
    }
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The state.
    pub state: State,
    /// Why it is no better, where there is something to say.
    pub reason: Option<Reason>,
    /// Which of the secrets it was, counted from 0, where one was found good.
    pub secret: Option<usize>,
}

impl State {
    /// Whether who sent it may be believed.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Verified | Self::Authenticated)
    }
}

impl Finding {
    /// A check that has failed for this reason.
    #[must_use]
    pub const fn failed(reason: Reason) -> Self {
        Self { state: State::Failed, reason: Some(reason), secret: None }
    }

    /// A check that could not be made, for this reason.
    #[must_use]
    pub const fn unattempted(reason: Reason) -> Self {
        Self { state: State::Unattempted, reason: Some(reason), secret: None }
    }

    /// Whether it may be believed.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.state.is_good()
    }
}

/// A certificate is wanted: fetch it (https, no redirect, bounded), put it into [`crate::Certificates`], and ask again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate at {url} is not at hand")]
pub struct NeedsCertificate {
    /// Where it is. The profile's rule for hosts allows it.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_way_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert_eq!("good".parse::<State>(), Err(UnknownName));
    }
}
