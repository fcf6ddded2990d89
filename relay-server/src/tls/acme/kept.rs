//! What of ACME is in the store: the account, the certificate, and when one was last asked for.

use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

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

/// Something that is kept under a name of its own.
pub(super) trait Kept: Serialize + DeserializeOwned {
    /// Its name in the store.
    const NAME: &'static str;

    /// What is kept of it; what cannot be read any more is as good as nothing.
    async fn get(store: &Store) -> Result<Option<Self>, StoreError> {
        let bytes = store.kept(Self::NAME).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps it.
    async fn put(&self, store: &Store) -> Result<(), StoreError> {
        store.keep(Self::NAME, serde_json::to_vec(self).expect("plain data serializes")).await
    }
}

impl Kept for KeptAccount {
    const NAME: &'static str = "acme.account";
}

impl Kept for KeptCertificate {
    const NAME: &'static str = "acme.certificate";
}

impl Kept for KeptAttempt {
    const NAME: &'static str = "acme.attempt";
}
