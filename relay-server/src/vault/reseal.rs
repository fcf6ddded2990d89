//! All that is sealed in a store, sealed anew with another key, while no relay has it.

use super::key::is_sealed;
use super::{CHECK, Own, SealKey, VaultError, place};
use crate::store::Store;
use crate::store::records::{Actor, Resealed};

/// Seals everything anew, and says how many things that were. `told` says where the old key is from; there needs to be
/// none where nothing is sealed.
///
/// # Errors
/// When the old key is not the one of this store, or something does not open with it; nothing has changed then.
pub async fn reseal(
    store: &Store,
    old: Option<&SealKey>,
    told: &str,
    new: &SealKey,
    by: Actor,
) -> Result<usize, VaultError> {
    let (secrets, endpoints) = (store.secrets().await?, store.endpoints().await?);
    let mut own = Vec::new();
    for one in Own::ALL {
        let bytes = store.kept(one.name()).await?.unwrap_or_default();
        own.extend(Some((one, bytes)).filter(|(_, bytes)| !bytes.is_empty()));
    }
    let sealed = secrets.len() + own.iter().filter(|(_, bytes)| is_sealed(bytes)).count();
    if sealed > 0 {
        let old = old.ok_or(VaultError::KeyMissing(sealed))?;
        let check = store.seal_check().await?;
        let same = check.and_then(|check| old.open(CHECK.0, &check)).is_some();
        same.then_some(()).ok_or_else(|| VaultError::WrongKey(told.to_owned()))?;
    }
    let again = |place: &str, sealed: &[u8]| {
        let plain = old.and_then(|old| old.open(place, sealed));
        Some(new.seal(place, &plain?))
    };
    let mut anew = Resealed {
        check: new.seal(CHECK.0, CHECK.1),
        secrets: Vec::with_capacity(secrets.len()),
        own: Vec::with_capacity(own.len()),
    };
    for secret in &secrets {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.id == secret.endpoint);
        let place = endpoint.map(|endpoint| place(&endpoint.name, secret.purpose));
        let damaged = || {
            let of = endpoint.map_or("no endpoint", |endpoint| endpoint.name.as_str());
            VaultError::Damaged(format!("secret {} of {of}", secret.id))
        };
        let sealed = place.and_then(|place| again(&place, &secret.sealed)).ok_or_else(damaged)?;
        anew.secrets.push((secret.id, sealed));
    }
    for (one, bytes) in &own {
        let sealed = if is_sealed(bytes) {
            let damaged = || VaultError::Damaged(one.name().to_owned());
            again(&one.place(), bytes).ok_or_else(damaged)?
        } else {
            new.seal(&one.place(), &String::from_utf8_lossy(bytes))
        };
        anew.own.push((one.name(), sealed));
    }
    let all = anew.secrets.len() + anew.own.len();
    store.reseal(anew, by).await?;
    Ok(all)
}
