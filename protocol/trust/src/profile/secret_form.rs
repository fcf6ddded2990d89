//! What the text of a secret has to look like, so that a mistake is told when it is made and not at every event.

use super::Profile;
use super::check::{Check, KeyForm, Kind, Method};
use super::jwt::{Jwt, TokenAlgorithm};
use crate::secret::Secret;
use crate::verify::{ed25519, key, p256, rsa};

impl Profile {
    /// Whether anything can be checked with this secret.
    ///
    /// Ask it of a profile that was made for the endpoint's parameters ([`Profile::fit`]).
    ///
    /// # Errors
    /// What a secret of this provider has to be, in words that do not tell the secret.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        let nothing = Secret::new("");
        let meant: Vec<&Check> = self.checks.iter().filter(|check| check.is_for(secret)).collect();
        // One that it fits is enough.
        let wrong: Option<Vec<String>> = meant.iter().map(|check| check.wants(secret)).collect();
        let mut forms = match wrong {
            None => return Ok(()),
            Some(_) if meant.is_empty() => {
                self.checks.iter().filter_map(|check| check.wants(&nothing)).collect()
            }
            Some(forms) => forms,
        };
        forms.dedup();
        match forms.len() {
            0 => Ok(()),
            _ => Err(format!("a secret of {} is {}", self.name, forms.join(", or "))),
        }
    }
}

impl Check {
    /// Whether it is meant for secrets that look like this one.
    pub(crate) fn is_for(&self, secret: &Secret) -> bool {
        let text = secret.expose();
        self.only_if_secret.as_ref().is_none_or(|pattern| pattern.fits(text))
            && !self.not_if_secret.as_ref().is_some_and(|pattern| pattern.fits(text))
    }

    /// What the secret would have to be, if it is something else; an empty one never does.
    fn wants(&self, secret: &Secret) -> Option<String> {
        let text = secret.expose();
        let unless = |good: bool, form: &str| (!good).then(|| form.to_owned());
        match &self.kind {
            Kind::Signed(scheme) => match &scheme.method {
                Method::Hmac { key: form, .. } => shared(secret, *form),
                Method::Ed25519 { key: form } => {
                    let good = key(secret, *form).is_some_and(|key| ed25519(&key).is_some());
                    (!good).then(|| format!("an Ed25519 public key of 32 bytes: {}", words(*form)))
                }
                Method::EcdsaP256 { key: form } => {
                    let good = key(secret, *form).is_some_and(|key| p256(&key).is_some());
                    (!good).then(|| format!("a P-256 public key: {}", words(*form)))
                }
                Method::Hash { .. } => unless(!text.is_empty(), words(KeyForm::Utf8)),
                Method::RsaPkcs1 { .. } => None,
            },
            Kind::Adyen { key: form } => shared(secret, *form),
            Kind::Basic => unless(text.contains(':'), "user and password, as user:password"),
            Kind::Sns { .. } => unless(text.starts_with("arn:"), "the topic's ARN, arn:..."),
            Kind::MessageSignature { .. } => unless(
                signs_messages(secret),
                "base64, or the PEM of a public key (Ed25519 or P-256)",
            ),
            Kind::Jwt(token) => signs_tokens(secret, token),
            Kind::Token { .. } | Kind::Contentful { .. } => shared(secret, KeyForm::Utf8),
        }
    }
}

/// What a shared secret would have to be.
fn shared(secret: &Secret, form: KeyForm) -> Option<String> {
    key(secret, form).is_none().then(|| words(form).to_owned())
}

/// Whether it is a key of HTTP message signatures.
fn signs_messages(secret: &Secret) -> bool {
    if !secret.expose().trim_start().starts_with("-----BEGIN") {
        return key(secret, KeyForm::Base64).is_some();
    }
    let spki = key(secret, KeyForm::Spki);
    spki.is_some_and(|spki| p256(&spki).is_some() || ed25519(&spki).is_some())
}

/// What a key of tokens would have to be. Everybody has a public key: none is taken for a shared secret.
fn signs_tokens(secret: &Secret, token: &Jwt) -> Option<String> {
    if token.algorithm.shared().is_some() {
        let public = secret.expose().trim_start().starts_with("-----BEGIN");
        let form = words(token.key);
        return if public {
            Some(format!("{form}, and no PEM"))
        } else {
            shared(secret, token.key)
        };
    }
    let bytes = key(secret, token.key);
    let (good, kind) = match token.algorithm {
        TokenAlgorithm::Es256 => (bytes.is_some_and(|key| p256(&key).is_some()), "a P-256"),
        _ => (bytes.is_some_and(|key| rsa(&key).is_some()), "an RSA"),
    };
    (!good).then(|| format!("{kind} public key: {}", words(token.key)))
}

const fn words(form: KeyForm) -> &'static str {
    match form {
        KeyForm::Utf8 => "any text but none",
        KeyForm::Base64 => "base64",
        KeyForm::Hex => "hexadecimal digits, two for each byte",
        KeyForm::Whsec => "base64, with whsec_ before it or without",
        KeyForm::Whpk => "base64, with whpk_ before it",
        KeyForm::Spki => "its PEM, or the base64 inside of it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    /// The public key of RFC 8032's first test, and the points of a P-256 key, as people are given them.
    const ED25519: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\
        axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==";

    fn told(provider: &str, params: &[(&str, &str)], secret: &str) -> Result<(), String> {
        let params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let profile = Profiles::embedded().get(provider).unwrap().fit(&params).unwrap();
        profile.check_secret(&Secret::new(secret))
    }

    #[test]
    fn a_secret_of_the_right_form_is_taken() {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{P256}\n-----END PUBLIC KEY-----");
        for (provider, secret) in [
            ("github", "anything"),
            ("svix", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("standard-webhooks", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("adyen", "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"),
            ("discord", ED25519),
            ("sendgrid", P256),
            ("sendgrid", &pem),
        ] {
            assert_eq!(told(provider, &[], secret), Ok(()), "{provider}");
        }
        assert_eq!(told("hmac", &[("header", "x-sig"), ("key", "hex")], "00ff"), Ok(()));
    }

    #[test]
    fn another_is_refused_with_what_it_has_to_be_and_never_told() {
        for (provider, secret, wanted) in [
            ("svix", "whsec_no-base64!", "base64, with whsec_ before it or without"),
            ("svix", "whsec_", "whsec_"),
            (
                "standard-webhooks",
                "whpk_AAAA",
                "an Ed25519 public key of 32 bytes: base64, with whpk_",
            ),
            ("adyen", "no-hex-digits", "hexadecimal digits, two for each byte"),
            ("discord", &ED25519[2..], "an Ed25519 public key of 32 bytes: hexadecimal digits"),
            ("sendgrid", "-----BEGIN PUBLIC KEY-----\nAAAA", "a P-256 public key: its PEM"),
            ("sendgrid", &P256[4..], "a P-256 public key"),
        ] {
            let said = told(provider, &[], secret).unwrap_err();
            assert!(said.contains(wanted) && said.contains(provider), "{provider}: {said}");
            assert!(
                !said.contains(secret.trim_start_matches("whsec_")) || secret == "whsec_",
                "{said}"
            );
        }
        let public = format!("-----BEGIN PUBLIC KEY-----\n{P256}\n-----END PUBLIC KEY-----");
        for (algorithm, secret, wanted) in [
            ("HS256", &public[..], "any text but none, and no PEM"),
            ("RS256", &public, "an RSA public key"),
            ("ES256", &P256[4..], "a P-256 public key"),
        ] {
            let said = told("jwt", &[("algorithm", algorithm)], secret).unwrap_err();
            assert!(said.contains(wanted), "{algorithm}: {said}");
        }
        assert_eq!(told("jwt", &[("algorithm", "ES256")], &public), Ok(()));
        let said = told("hmac", &[("header", "x-sig"), ("key", "hex")], "0").unwrap_err();
        assert!(said.contains("hexadecimal"), "{said}");
        assert!(told("github", &[], "").is_err());
    }
}
