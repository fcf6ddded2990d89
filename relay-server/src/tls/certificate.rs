//! One certificate with its chain and its key, from PEM or made here. Knows no files and no clock.

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::parse_x509_certificate;

use super::provider;

/// Reads a chain, the leaf first, and its key.
///
/// # Errors
/// What is wrong with it, in words that show nothing of the key.
pub(super) fn from_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| format!("the certificate is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            "there is no private key in it (encrypted ones are not supported)".to_owned()
        }
        // The library's own words might show a piece of it.
        _ => "the private key is no PEM".to_owned(),
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the certificate is not sound: {error}"),
        error => format!("the private key is of no use: {error}"),
    })
}

/// A certificate that nobody but itself vouches for; with the digest of a challenge's answer in it (RFC 8737 §3), if
/// there is one.
///
/// # Errors
/// When a name is none.
pub(super) fn self_signed(names: &[String], answer: Option<&[u8]>) -> Result<CertifiedKey, String> {
    let told = |error: rcgen::Error| format!("no certificate for {}: {error}", names.join(", "));
    let mut params = CertificateParams::new(names).map_err(told)?;
    params.custom_extensions.extend(answer.map(CustomExtension::new_acme_identifier));
    let key = KeyPair::generate().map_err(told)?;
    let certificate = params.self_signed(&key).map_err(told)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    // They belong together, and the library does not know the extension of a challenge, so it cannot look.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// From when until when a certificate holds, in milliseconds of the Unix epoch.
pub(super) fn validity(key: &CertifiedKey) -> Option<(u64, u64)> {
    let (_, parsed) = parse_x509_certificate(key.end_entity_cert().ok()?).ok()?;
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let validity = parsed.validity();
    Some((ms(validity.not_before.timestamp()), ms(validity.not_after.timestamp())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_made_here_holds_now() {
        let made = self_signed(&["a.example".into()], None).unwrap();
        let (from, until) = validity(&made).unwrap();
        let now = crate::clock::now_ms();
        assert!(from <= now && now < until, "{from} {now} {until}");
        assert!(self_signed(&["\u{e9}".into()], None).is_err());
        assert!(self_signed(&["a.example".into()], Some(&[7; 32])).is_ok());
    }
}
