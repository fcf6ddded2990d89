//! From the text of a secret to the bytes of a key.

use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::encoding::Encoding;
use crate::profile::check::KeyForm;
use crate::secret::Secret;

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// What stands before the uncompressed point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480).
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// The key in this secret; `None` if the secret is not of this form, or empty: whoever could guess that could sign.
pub(crate) fn key(secret: &Secret, form: KeyForm) -> Option<Vec<u8>> {
    let text = secret.expose();
    let base64 = |text: &str| Encoding::Base64.decode(text.as_bytes());
    let key = match form {
        KeyForm::Utf8 => Some(text.as_bytes().to_vec()),
        KeyForm::Base64 => base64(text),
        KeyForm::Hex => Encoding::Hex.decode(text.as_bytes()),
        KeyForm::Whsec => base64(text.strip_prefix("whsec_").unwrap_or(text)),
        KeyForm::Whpk => base64(text.strip_prefix("whpk_").unwrap_or(text)),
        KeyForm::Spki => spki(text),
    };
    key.filter(|key| !key.is_empty())
}

/// A public key as PEM or as the base64 inside of it.
fn spki(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    Encoding::Base64.decode(lines.collect::<String>().as_bytes())
}

/// The 32 bytes of an Ed25519 key, which may stand alone or in a SubjectPublicKeyInfo.
pub(crate) fn ed25519(key: &[u8]) -> Option<&[u8]> {
    let key = key.strip_prefix(ED25519).unwrap_or(key);
    (key.len() == 32).then_some(key)
}

/// The RSA key in a SubjectPublicKeyInfo, as RFC 8017 writes it.
pub(crate) fn rsa(key: &[u8]) -> Option<Vec<u8>> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(key).ok()?;
    let is_rsa = rest.is_empty() && info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION;
    is_rsa.then(|| info.subject_public_key.data.to_vec())
}

/// The point of a P-256 key in a SubjectPublicKeyInfo.
pub(crate) fn p256(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(P256).filter(|point| point.len() == 65)
}
