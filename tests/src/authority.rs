//! A certificate authority that only the story trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use relay_client::socket::Trust;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::folder::Folder;

/// An authority with its files.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
    issuer: CertifiedIssuer<'static, KeyPair>,
    ca_file: PathBuf,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A fresh one.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn fresh() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // By its own name, or what it signs looks signed by itself to some.
        params.distinguished_name.push(DnType::CommonName, "the story's authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = Folder::fresh();
        let ca_file = folder.file("ca.pem", &issuer.pem());
        Self { folder, issuer, ca_file }
    }

    /// The file to trust it by.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The system's certificates, and this one.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::load(Some(&self.ca_file)).expect("its file")
    }

    /// A certificate for these names, in files of this name; written over those that are there.
    #[must_use]
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.issue_as(file, names, |_| {})
    }

    /// The same, made otherwise than by default.
    ///
    /// # Panics
    /// When the names are none.
    #[must_use]
    pub fn issue_as(
        &self,
        file: &str,
        names: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        // The key first: who looks in between sees two that do not belong together.
        let key = self.folder.file(&format!("{file}.key"), &key.serialize_pem());
        let certificate = self.folder.file(&format!("{file}.pem"), &leaf.pem());
        Issued { certificate, key }
    }

    /// Takes certificates of this authority and no others.
    ///
    /// # Panics
    /// Never: the authority is sound.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("its own certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a root")
    }

    /// A file of the story beside those of the authority.
    #[must_use]
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        self.folder.file(name, content)
    }
}

impl Issued {
    /// Where they are, as settings have it.
    #[must_use]
    pub fn paths(&self) -> (String, String) {
        (self.certificate.display().to_string(), self.key.display().to_string())
    }

    /// As the library has them.
    ///
    /// # Panics
    /// When the files are gone.
    #[must_use]
    pub fn der(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        (certificate, PrivateKeyDer::from_pem_file(&self.key).expect("a key"))
    }
}
