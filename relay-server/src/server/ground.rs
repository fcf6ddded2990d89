//! What every room stands on: the store, what is read from it at the start, and the key to its secrets.

use std::sync::Arc;

use crate::access::Access;
use crate::config::Config;
use crate::endpoint::Directory;
use crate::store::Store;
use crate::store::records::Keep;
use crate::vault::{Vault, VaultError};

/// What every room stands on.
pub(super) struct Ground {
    pub(super) store: Arc<Store>,
    pub(super) access: Arc<Access>,
    pub(super) directory: Arc<Directory>,
    pub(super) vault: Arc<Vault>,
}

impl Ground {
    /// Opens the store and reads what every request looks into.
    ///
    /// # Errors
    /// When the store or its secrets do not open, or the relay would stand open to the world.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let profiles = Arc::clone(&config.profiles);
        let store = Arc::new(Store::open(&config.data)?.with_profiles(profiles));
        let (access, directory) = load(&store, config).await?;
        let vault = Arc::new(open_vault(config, &store, &directory).await?);
        refuse_open(config, &access)?;
        Ok(Self { store, access, directory, vault })
    }
}

/// Without an admin token nobody could close what stands open to the world.
fn refuse_open(config: &Config, access: &Access) -> anyhow::Result<()> {
    if !access.has_admin() && !config.listen.ip().to_canonical().is_loopback() {
        anyhow::bail!(
            "the store has no valid admin token, so the relay does not listen on {}: \
             make one with relay-server admin-token --data {}",
            config.listen,
            config.data.display()
        );
    }
    Ok(())
}

/// Reads the tokens and endpoints that every request looks into.
async fn load(store: &Store, config: &Config) -> anyhow::Result<(Arc<Access>, Arc<Directory>)> {
    store.set_audit_retention(config.audit_keep_for);
    let (access, directory) = (Access::default(), Directory::default());
    for token in store.tokens().await? {
        access.put(token);
    }
    for endpoint in store.endpoints().await? {
        store.set_retention(endpoint.id, Keep::of(&endpoint.settings));
        directory.put(endpoint);
    }
    for old in store.old_keys().await? {
        directory.put_old_key(&old.key, old.endpoint, old.until_ms);
    }
    Ok((Arc::new(access), Arc::new(directory)))
}

/// Opens the secrets with the relay's key, if it has one.
async fn open_vault(
    config: &Config,
    store: &Arc<Store>,
    directory: &Directory,
) -> Result<Vault, VaultError> {
    let (source, data) = (&config.secrets_key, &config.data);
    let key = source.read(data)?;
    Vault::open(Arc::clone(store), key, &source.told(data), directory).await
}
