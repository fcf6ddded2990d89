//! One certificate with its chain and its key, from PEM. Knows no files.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

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
