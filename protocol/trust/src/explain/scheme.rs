//! The provider signs otherwise than the profile has it.

use crate::encoding::{Digest, Encoding};
use crate::profile::Profile;
use crate::profile::check::{Format, KeyForm, Kind, Method, Scheme};

/// The profile with one thing changed, and what that says.
pub(super) fn variants(profile: &Profile) -> Vec<(Profile, String)> {
    let mut found = Vec::new();
    for form in [KeyForm::Utf8, KeyForm::Base64, KeyForm::Hex, KeyForm::Whsec] {
        let why = match form {
            KeyForm::Base64 | KeyForm::Whsec => {
                "The secret is meant as base64: what it decodes to is the key."
            }
            KeyForm::Hex => "The secret is meant as hex: what it decodes to is the key.",
            _ => {
                "The secret is meant as text: the key is its letters, and nothing that they decode to."
            }
        };
        add(profile, &mut found, why, |kind| match kind {
            Kind::Signed(scheme) => {
                if let Method::Hmac { key, .. } = &mut scheme.method {
                    *key = form;
                }
            }
            Kind::Jwt(jwt) if jwt.algorithm.shared().is_some() => jwt.key = form,
            _ => {}
        });
    }
    for (digest, name) in [
        (Digest::Sha1, "SHA-1"),
        (Digest::Sha256, "SHA-256"),
        (Digest::Sha384, "SHA-384"),
        (Digest::Sha512, "SHA-512"),
    ] {
        add_scheme(profile, &mut found, &format!("It was signed with {name}."), |scheme| {
            if let Method::Hmac { digest: own, .. } | Method::Hash { digest: own } =
                &mut scheme.method
            {
                *own = digest;
            }
        });
    }
    for (encoding, name) in [(Encoding::Hex, "hex"), (Encoding::Base64, "base64")] {
        add_scheme(
            profile,
            &mut found,
            &format!("The signature is written as {name}."),
            |scheme| {
                scheme.signature.encoding = encoding;
            },
        );
    }
    for prefix in ["", "sha256=", "sha1=", "v0=", "v1="] {
        let why = if prefix.is_empty() {
            "The signature lacks the prefix that belongs to it.".to_owned()
        } else {
            format!("The signature has the prefix {prefix}, which is not of this scheme.")
        };
        add_scheme(profile, &mut found, &why, |scheme| {
            if let Format::Plain { prefix: own } = &mut scheme.signature.format {
                prefix.clone_into(own);
            }
        });
    }
    found
}

fn add(
    profile: &Profile,
    found: &mut Vec<(Profile, String)>,
    why: &str,
    change: impl Fn(&mut Kind),
) {
    let mut other = profile.clone();
    other.checks.iter_mut().for_each(|check| change(&mut check.kind));
    found.push((other, why.to_owned()));
}

fn add_scheme(
    profile: &Profile,
    found: &mut Vec<(Profile, String)>,
    why: &str,
    change: impl Fn(&mut Scheme),
) {
    add(profile, found, why, |kind| {
        if let Kind::Signed(scheme) = kind {
            change(scheme);
        }
    });
}
