//! What of ACME is in the store: the account and the certificate, sealed, and when one was last asked for.

use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};
use crate::vault::{Own, Vault, VaultError};

/// The account with a directory.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    /// Whose it is.
    pub(super) directory: String,
    /// The address that it was made with.
    pub(super) email: Option<String>,
    /// Its key.
    pub(super) credentials: AccountCredentials,
}

/// A certificate that was ordered.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptCertificate {
    /// From whom.
    pub(super) directory: String,
    /// For whom.
    pub(super) names: Vec<String>,
    /// It and those above it, in PEM.
    pub(super) chain: String,
    /// Its private key, in PEM.
    pub(super) key: String,
}

/// The last order that was begun.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAttempt {
    /// Where.
    pub(super) directory: String,
    /// For whom.
    pub(super) names: Vec<String>,
    /// When, in milliseconds of the Unix epoch.
    pub(super) at_ms: u64,
}

/// Something with a private key in it, which is sealed.
pub(super) trait Kept: Serialize + DeserializeOwned {
    /// What it is in the vault.
    const OWN: Own;

    /// What is kept of it; what cannot be read any more is as good as nothing.
    async fn get(vault: &Vault) -> Result<Option<Self>, VaultError> {
        let text = vault.own(Self::OWN).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps it.
    async fn put(&self, vault: &Vault) -> Result<(), VaultError> {
        let text = serde_json::to_string(self).expect("plain data serializes");
        vault.keep_own(Self::OWN, &text).await
    }
}

impl Kept for KeptAccount {
    const OWN: Own = Own::AcmeAccount;
}

impl Kept for KeptCertificate {
    const OWN: Own = Own::AcmeCertificate;
}

impl KeptAttempt {
    const NAME: &'static str = "acme.attempt";

    /// What is kept of it.
    pub(super) async fn get(store: &Store) -> Result<Option<Self>, StoreError> {
        let bytes = store.kept(Self::NAME).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps it.
    pub(super) async fn put(&self, store: &Store) -> Result<(), StoreError> {
        store.keep(Self::NAME, serde_json::to_vec(self).expect("plain data serializes")).await
    }
}
