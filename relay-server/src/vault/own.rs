//! What the relay itself has to keep secret: sealed as the secrets of endpoints are, and opened when it is asked for.

use super::key::is_sealed;
use super::{Vault, VaultError};
use crate::store::Store;

/// Something that the relay itself has to keep secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Its account with an ACME server, with the key to it.
    AcmeAccount,
    /// The certificate from there, with its key.
    AcmeCertificate,
}

impl Own {
    /// All of it.
    pub const ALL: [Self; 2] = [Self::AcmeAccount, Self::AcmeCertificate];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcmeAccount => "acme.account",
            Self::AcmeCertificate => "acme.certificate",
        }
    }

    /// What it is bound to when it is sealed.
    pub(super) fn place(self) -> String {
        format!("relay/{}", self.name())
    }

    /// What is kept of it, sealed; none, if it is still as an earlier version kept it.
    pub(super) async fn sealed(self, store: &Store) -> Result<Option<Vec<u8>>, VaultError> {
        Ok(store.kept(self.name()).await?.filter(|bytes| is_sealed(bytes)))
    }
}

impl Vault {
    /// Something of the relay's own; what does not open is as good as nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn own(&self, own: Own) -> Result<Option<String>, VaultError> {
        let Some(sealed) = own.sealed(&self.store).await? else { return Ok(None) };
        let plain = self.key.as_ref().and_then(|key| key.open(&own.place(), &sealed));
        if plain.is_none() {
            tracing::error!(name = own.name(), "what the relay keeps sealed for itself is damaged");
        }
        Ok(plain)
    }

    /// Keeps something of the relay's own, in place of what was kept of it.
    ///
    /// # Errors
    /// When there is no key, or the store does not do it.
    pub async fn keep_own(&self, own: Own, plain: &str) -> Result<(), VaultError> {
        let key = self.key.as_ref().ok_or(VaultError::NoKey)?;
        Ok(self.store.keep(own.name(), key.seal(&own.place(), plain)).await?)
    }

    /// Keeps nothing of it any more.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn forget_own(&self, own: Own) -> Result<(), VaultError> {
        Ok(self.store.keep(own.name(), Vec::new()).await?)
    }

    /// Seals what an earlier version has kept as it is. Its bytes may still stand where they stood before the last change
    /// of them, and in backups.
    pub(super) async fn seal_plain(&self) -> Result<(), VaultError> {
        for own in Own::ALL {
            let bytes = self.store.kept(own.name()).await?.unwrap_or_default();
            if bytes.is_empty() || is_sealed(&bytes) {
                continue;
            }
            let Some(key) = &self.key else {
                tracing::warn!(
                    name = own.name(),
                    "a key is kept unsealed: there is none to seal it with"
                );
                continue;
            };
            let sealed = key.seal(&own.place(), &String::from_utf8_lossy(&bytes));
            self.store.keep_instead(own.name(), sealed).await?;
            tracing::warn!(
                name = own.name(),
                "what was kept unsealed is sealed now; older backups have it as it was, and `relay-server reseal` clears \
                 what was overwritten before"
            );
        }
        Ok(())
    }
}
