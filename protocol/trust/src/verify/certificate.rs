//! Keys in certificates that a message names: from where they may come, and what they hold.
//!
//! Such a certificate is believed because it was fetched over TLS from the provider's own host; that is why the URL is
//! judged before anybody fetches it.

use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
};
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::pem::parse_x509_pem;

use super::{Case, Wrong};
use crate::encoding::Digest;
use crate::finding::Reason;
use crate::profile::check::Hosts;
use crate::selector::Selector;

/// The longest URL of a certificate.
const URL_MAX: usize = 1024;

/// RSA with this digest. Old messages of SNS are signed with SHA-1.
pub(super) fn algorithm(digest: Digest) -> &'static dyn VerificationAlgorithm {
    match digest {
        Digest::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Digest::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        Digest::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
    }
}

/// The key of the certificate whose URL stands there.
pub(super) fn key(case: &Case<'_, '_>, from: &Selector, hosts: &Hosts) -> Result<Vec<u8>, Wrong> {
    let url = case.reading.value(from)?.ok_or(Wrong::Absent(Reason::HeaderMissing))?;
    key_at(case, &String::from_utf8_lossy(&url), hosts)
}

/// The key of the certificate at this URL.
pub(super) fn key_at(case: &Case<'_, '_>, url: &str, hosts: &Hosts) -> Result<Vec<u8>, Wrong> {
    if !allowed(url, hosts) {
        return Err(Reason::CertificateUrlNotAllowed.into());
    }
    let pem = case.certificates.get(url).ok_or_else(|| Wrong::Wants(url.to_owned()))?;
    Ok(rsa_key(pem, case.now_ms)?)
}

/// The RSA key in the first certificate of this text, if it is valid now.
fn rsa_key(pem: &[u8], now_ms: u64) -> Result<Vec<u8>, Reason> {
    let (_, pem) = parse_x509_pem(pem).map_err(|_| Reason::MalformedCertificate)?;
    let certificate = pem.parse_x509().map_err(|_| Reason::MalformedCertificate)?;
    let now_s = i64::try_from(now_ms / 1000).map_err(|_| Reason::CertificateExpired)?;
    let validity = certificate.validity();
    if now_s < validity.not_before.timestamp() || now_s > validity.not_after.timestamp() {
        return Err(Reason::CertificateExpired);
    }
    let key = certificate.public_key();
    if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
        return Err(Reason::MalformedCertificate);
    }
    Ok(key.subject_public_key.data.to_vec())
}

/// Whether something may be fetched there: https, a host of the list and nothing that could be read in two ways.
pub(crate) fn allowed(url: &str, hosts: &Hosts) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    // What some readers take for the end of a host or of a URL, or leave out.
    let clean = |c: u8| c.is_ascii_graphic() && !b"\\@#".contains(&c);
    if url.len() > URL_MAX || !url.bytes().all(clean) {
        return false;
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.' || c == b'-';
    if host.is_empty() || !host.bytes().all(plain) {
        return false;
    }
    let listed = hosts.names.iter().any(|name| name == host);
    let fits = hosts.pattern.as_ref().is_some_and(|pattern| pattern.fits(host));
    let dots = path.split(['/', '?']).any(|step| matches!(step, "." | "..")) || path.contains('%');
    let below = hosts.path.as_ref().is_none_or(|begin| path.starts_with(begin) && !dots);
    (listed || fits) && below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_hosts_are_asked() {
        let hosts = Hosts {
            names: vec!["api.example.com".into()],
            pattern: Some(
                "^sns\\.[a-z0-9\\-]{3,}\\.example\\.com$".to_owned().try_into().expect("a pattern"),
            ),
            path: Some("/certs/".into()),
        };
        for url in
            ["https://api.example.com/certs/1", "https://sns.eu-1.example.com/certs/a.pem?x=%20"]
        {
            let fine = !url.contains('%');
            assert_eq!(allowed(url, &hosts), fine, "{url}");
        }
        for url in [
            "http://api.example.com/certs/1",
            "https://api.example.com/other",
            "https://api.example.com/certs/../x",
            "https://api.example.com/certs/%2e%2e/x",
            "https://api.example.com:443/certs/1",
            "https://api.example.com.evil.example/certs/1",
            "https://evil.example/certs/1",
            "https://api.example.com@evil.example/certs/1",
            "https://evil.example\\.api.example.com/certs/1",
            "https://evil.example#sns.eu-1.example.com/certs/1",
            "https://API.example.com/certs/1",
            "https:///certs/1",
            "https://api.example.com/certs/\n1",
            "",
        ] {
            assert!(!allowed(url, &hosts), "{url}");
        }
    }
}
