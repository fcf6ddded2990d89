//! The reasons in words.

use crate::finding::{Finding, Reason};

/// What is known for sure.
pub(super) fn general(found: &Finding) -> Option<String> {
    found.reason.map(|reason| sentence(reason).to_owned())
}

const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::WrongSecret => {
            "None of the active secrets gives this signature: it was made with another one, or what was signed is not \
             what is here."
        }
        Reason::HeaderMissing => {
            "The field with the signature, or one that is signed, is not there."
        }
        Reason::DuplicateHeader => {
            "A field that signs or is signed is there twice, with different values."
        }
        Reason::SignatureMissing => "There is no signature of the wanted scheme in it.",
        Reason::MalformedSignature => {
            "What stands for the signature is none: its prefix, its encoding or its length."
        }
        Reason::MalformedCredentials => "There are no credentials of the wanted kind in the field.",
        Reason::TimestampMissing => "The time that is signed is not there.",
        Reason::MalformedTimestamp => "The time that is signed is no time, or is there twice.",
        Reason::TimestampTooOld => {
            "It is older than the tolerance: sent late, sent again by somebody, or a clock is wrong."
        }
        Reason::TimestampInFuture => {
            "It is from a time further ahead than the tolerance: a clock is wrong."
        }
        Reason::SignatureExpired => "The signature says itself that its time has passed.",
        Reason::MalformedId => {
            "The id that is signed could be read as an id and something else: no full stop may be in it."
        }
        Reason::FieldMissing => "A part of the body or of the query that is signed is not there.",
        Reason::MalformedBody => {
            "The body is not what this provider sends: it cannot be read, or names a part twice."
        }
        Reason::BodyNotSigned => {
            "Nothing in this request binds its body: anybody could have changed it."
        }
        Reason::BodyHashMismatch => {
            "The signature is good, but it is of another body: the hash differs."
        }
        Reason::MalformedUrl => "The URL is none that can be signed.",
        Reason::ComponentNotSigned => "The signature covers less than is asked for.",
        Reason::AlgorithmNotAllowed => "The signature is by an algorithm that is not accepted.",
        Reason::CertificateUrlNotAllowed => {
            "Its certificate is to be fetched from where the provider has none."
        }
        Reason::CertificateUnavailable => "Its certificate could not be fetched.",
        Reason::MalformedCertificate => "What was fetched is no certificate with a fitting key.",
        Reason::CertificateExpired => "Its certificate is not valid at this time.",
        Reason::WrongTopic => "It is of another topic than the endpoint's.",
        Reason::ClaimMismatch => {
            "The token is good, but not for this request: its issuer, its audience or its URL is another."
        }
        Reason::NoSecret => "There is no secret to check it with.",
        Reason::MalformedSecret => "The secret is not of the form that this provider gives.",
        Reason::ParameterMissing => "A parameter that is signed is not set.",
        Reason::Batched => {
            "It is a batch that the relay has put together: no provider has signed it."
        }
        Reason::NotSigned => "This provider signs nothing that can be checked.",
    }
}

/// A time span in words.
pub(super) fn span(seconds: u32) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
