//! Secrets of endpoints, and what the relay itself has to keep secret: sealed in the store, open in memory only, never
//! shown again, never logged.
//!
//! Knows the store's verbs and no SQL. Whoever verifies or signs asks it for the secrets of an endpoint.

mod key;
mod own;
mod reseal;

use std::sync::Arc;

use dashmap::DashMap;
use relay_protocol::id::Name;
use relay_trust::Secret;

use crate::clock::now_ms;
use crate::endpoint::{Directory, Endpoint, EndpointId};
use crate::store::records::{Actor, NewSecret, Purpose, SealedSecret, SecretChange};
use crate::store::{Store, StoreError};

pub use key::{HOW_TO, KeyError, KeySource, SealKey, beside};
pub use own::Own;
pub use reseal::reseal;

/// The longest secret, in bytes: an RSA key in PEM is shorter.
pub const SECRET_MAX: usize = 8 << 10;

/// How many secrets an endpoint may have for one purpose: some providers have one for each of many subscriptions.
pub const SECRETS_MAX: usize = 64;

/// What the key seals in an otherwise empty store, to be known again by it.
const CHECK: (&str, &str) = ("check", "the key of this store");

/// Why a secret is not kept, or the vault does not open.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no key to seal it with.
    #[error("the relay has no key to seal secrets with: {HOW_TO}")]
    NoKey,
    /// The store holds secrets, and there is no key.
    #[error(
        "the store holds {0} sealed secrets, and there is no key to open them: say --secrets-key-file FILE or set RELAY_SECRETS_KEY"
    )]
    KeyMissing(usize),
    /// The store's secrets were sealed with another key.
    #[error("the secrets in the store were sealed with another key than the one in {0}")]
    WrongKey(String),
    /// Something that is sealed does not open with the key that has sealed the rest.
    #[error("{0} is damaged and does not open; nothing was changed")]
    Damaged(String),
    /// The text is none.
    #[error("a secret has 1 to {SECRET_MAX} bytes of text")]
    Malformed,
    /// The key cannot be read.
    #[error("no key to open secrets with: {0}")]
    Key(#[from] KeyError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One secret of an endpoint.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its number in the store.
    pub id: i64,
    /// What it is for.
    pub purpose: Purpose,
    /// The secret.
    pub secret: Secret,
    /// Since when it is kept, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// Until when it counts, if it was replaced, in milliseconds of the Unix epoch.
    pub until_ms: Option<u64>,
    /// Whether it came with a handshake and nobody has been shown it.
    pub unseen: bool,
}

/// The secrets of one endpoint, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<[Kept]>);

impl Secrets {
    /// Those that count now.
    pub fn all(&self) -> impl Iterator<Item = &Kept> {
        let now_ms = now_ms();
        self.0.iter().filter(move |kept| kept.until_ms.is_none_or(|until_ms| now_ms < until_ms))
    }

    /// Those for one purpose that count now.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Kept> {
        self.all().filter(move |kept| kept.purpose == purpose)
    }
}

/// The vault.
#[derive(Debug)]
pub struct Vault {
    store: Arc<Store>,
    key: Option<SealKey>,
    open: DashMap<EndpointId, Secrets>,
    /// One change at a time, so that what is open is what was written last.
    changing: tokio::sync::Mutex<()>,
}

impl Vault {
    /// Opens the secrets of all endpoints with a key; without one there may be none. `told` says where the key is from.
    ///
    /// # Errors
    /// When there are secrets and no key, or another than the one that has sealed them.
    pub async fn open(
        store: Arc<Store>,
        key: Option<SealKey>,
        told: &str,
        directory: &Directory,
    ) -> Result<Self, VaultError> {
        let sealed = store.secrets().await?;
        let vault =
            Self { store, key, open: DashMap::new(), changing: tokio::sync::Mutex::default() };
        let mut own = 0;
        for one in Own::ALL {
            own += usize::from(one.sealed(&vault.store).await?.is_some());
        }
        vault.prove_key(sealed.len() + own, told).await?;
        vault.seal_plain().await?;
        for endpoint in directory.all() {
            let of = sealed.iter().filter(|sealed| sealed.endpoint == endpoint.id);
            vault.put(&endpoint, of);
        }
        Ok(vault)
    }

    /// Refuses a key that cannot be the one of this store, also before any secret is looked at.
    async fn prove_key(&self, secrets: usize, told: &str) -> Result<(), VaultError> {
        let check = self.store.seal_check().await?;
        let Some(key) = &self.key else {
            return if secrets == 0 { Ok(()) } else { Err(VaultError::KeyMissing(secrets)) };
        };
        let same = check.and_then(|sealed| key.open(CHECK.0, &sealed)).is_some();
        match (same, secrets) {
            (true, _) => Ok(()),
            (false, 0) => Ok(self.store.set_seal_check(key.seal(CHECK.0, CHECK.1)).await?),
            (false, _) => Err(VaultError::WrongKey(told.to_owned())),
        }
    }

    /// Whether secrets can be kept.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The secrets of an endpoint.
    #[must_use]
    pub fn of(&self, endpoint: EndpointId) -> Secrets {
        self.open.get(&endpoint).map(|found| found.clone()).unwrap_or_default()
    }

    /// A secret sealed for an endpoint of this name.
    ///
    /// # Errors
    /// When there is no key, or the text is no secret.
    pub fn seal(
        &self,
        endpoint: &Name,
        purpose: Purpose,
        plain: &str,
    ) -> Result<NewSecret, VaultError> {
        let key = self.key.as_ref().ok_or(VaultError::NoKey)?;
        if !(1..=SECRET_MAX).contains(&plain.len()) {
            return Err(VaultError::Malformed);
        }
        let sealed = key.seal(&place(endpoint, purpose), plain);
        Ok(NewSecret { purpose, sealed, created_ms: now_ms(), unseen: false })
    }

    /// Changes the secrets of an endpoint, and gives what it has then. It is durable when this returns.
    ///
    /// # Errors
    /// What the store says.
    pub async fn change(
        &self,
        endpoint: &Endpoint,
        change: SecretChange,
        by: Actor,
    ) -> Result<Secrets, VaultError> {
        let _one = self.changing.lock().await;
        let sealed = self.store.change_secrets(endpoint, change, by).await?;
        Ok(self.put(endpoint, sealed.iter()))
    }

    /// Opens the secrets of an endpoint that was just made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn welcome(&self, endpoint: &Endpoint) -> Result<(), VaultError> {
        let sealed = self.store.secrets().await?;
        self.put(endpoint, sealed.iter().filter(|sealed| sealed.endpoint == endpoint.id));
        Ok(())
    }

    /// Forgets an endpoint that was deleted.
    pub fn forget(&self, endpoint: EndpointId) {
        self.open.remove(&endpoint);
    }

    fn put<'a>(
        &self,
        endpoint: &Endpoint,
        sealed: impl Iterator<Item = &'a SealedSecret>,
    ) -> Secrets {
        let open = |sealed: &SealedSecret| {
            let place = place(&endpoint.name, sealed.purpose);
            let plain = self.key.as_ref().and_then(|key| key.open(&place, &sealed.sealed));
            if plain.is_none() {
                tracing::error!(endpoint = %endpoint.name, secret = sealed.id, "a secret in the store is damaged");
            }
            Some(Kept {
                id: sealed.id,
                purpose: sealed.purpose,
                secret: Secret::new(plain?),
                created_ms: sealed.created_ms,
                until_ms: sealed.until_ms,
                unseen: sealed.unseen,
            })
        };
        let secrets = Secrets(sealed.filter_map(open).collect());
        self.open.insert(endpoint.id, secrets.clone());
        secrets
    }
}

/// What a secret is bound to, so that a sealed one put elsewhere in the store does not open.
fn place(endpoint: &Name, purpose: Purpose) -> String {
    format!("{}/{endpoint}", purpose.as_str())
}
