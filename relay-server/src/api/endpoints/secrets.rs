//! The secrets of endpoints over the API: added, replaced and removed, but not shown; only what came with a handshake is,
//! once, for somebody may have to give it back to the provider.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use relay_protocol::id::Name;
use relay_trust::Secret;
use serde::{Deserialize, Serialize};

use super::change::GRACE;
use super::{Shown, administered, show_endpoint};
use crate::access::new_signing_secret;
use crate::api::rotation::Rotation;
use crate::api::{Api, Bearer, Json, Refused};
use crate::endpoint::settings::Verify;
use crate::problem::Code;
use crate::store::records::{NewSecret, Purpose, SecretChange};
use crate::vault::{Kept, SECRETS_MAX, Secrets, Vault, VaultError};

/// A secret as the API shows it: everything but the secret.
#[derive(Serialize)]
pub(in crate::api) struct Told {
    id: i64,
    purpose: &'static str,
    created_at_ms: u64,
    /// Until when it counts, if it was replaced.
    until_ms: Option<u64>,
    /// Whether it came with a handshake, and can be shown once.
    unseen: bool,
}

impl Told {
    fn all(secrets: &Secrets) -> axum::Json<Vec<Self>> {
        axum::Json(secrets.all().map(Self::of).collect())
    }

    fn of(kept: &Kept) -> Self {
        Self {
            id: kept.id,
            purpose: kept.purpose.as_str(),
            created_at_ms: kept.created_ms,
            until_ms: kept.until_ms,
            unseen: kept.unseen,
        }
    }
}

/// The secrets with which an endpoint begins.
pub(super) fn first(
    vault: &Vault,
    name: &Name,
    provider: &[String],
    signing: Option<&str>,
) -> Result<Vec<NewSecret>, VaultError> {
    let provider = provider.iter().map(|plain| (Purpose::Provider, plain.as_str()));
    let all = provider.chain(signing.map(|plain| (Purpose::Signing, plain)));
    all.map(|(purpose, plain)| vault.seal(name, purpose, plain)).collect()
}

/// Refuses secrets with which nothing of the provider could be verified.
pub(super) fn refuse_misshapen(verify: Option<&Verify>, secrets: &[String]) -> Result<(), Refused> {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(text.as_str())).collect();
    let told = |why| Refused::new(Code::BadRequest, format!("secret: {why}"));
    verify.map_or(Ok(()), |verify| verify.check_secrets(&secrets)).map_err(told)
}

pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
) -> Result<axum::Json<Vec<Told>>, Refused> {
    let endpoint = administered(&api, &who, &name)?;
    Ok(Told::all(&api.vault.of(endpoint.id)))
}

/// A secret of the provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Added {
    secret: String,
    /// Whether those that are there count no longer than its grace; else they count on.
    #[serde(default)]
    replace: bool,
    /// How long what it replaces still counts: a duration.
    grace: Option<String>,
}

pub(in crate::api) async fn add(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
    Json(added): Json<Added>,
) -> Result<(StatusCode, axum::Json<Vec<Told>>), Refused> {
    let endpoint = administered(&api, &who, &name)?;
    refuse_misshapen(endpoint.settings.verify.as_ref(), std::slice::from_ref(&added.secret))?;
    let new = api.vault.seal(&endpoint.name, Purpose::Provider, &added.secret)?;
    let change = match (added.replace, added.grace) {
        (false, None) => SecretChange::Add { new, most: SECRETS_MAX },
        (false, Some(_)) => {
            let words = "grace: says how long what is replaced counts, and nothing is replaced";
            return Err(Refused::new(Code::BadRequest, words));
        }
        (true, grace) => SecretChange::Replace(new, Rotation { grace }.until_ms(GRACE)?),
    };
    let secrets = api.vault.change(&endpoint, change, who.actor()).await?;
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, "a secret was added");
    Ok((StatusCode::CREATED, Told::all(&secrets)))
}

pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path((name, id)): Path<(String, i64)>,
) -> Result<StatusCode, Refused> {
    let endpoint = administered(&api, &who, &name)?;
    api.vault.change(&endpoint, SecretChange::Remove(id), who.actor()).await?;
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, id, "a secret was removed");
    Ok(StatusCode::NO_CONTENT)
}

/// A secret that came with a handshake, shown for the only time.
#[derive(Serialize)]
pub(in crate::api) struct Open {
    secret: String,
}

pub(in crate::api) async fn show_once(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path((name, id)): Path<(String, i64)>,
) -> Result<axum::Json<Open>, Refused> {
    let endpoint = administered(&api, &who, &name)?;
    let secrets = api.vault.change(&endpoint, SecretChange::Seen(id), who.actor()).await?;
    let gone = || Refused::new(Code::NotFound, format!("there is no secret {id}"));
    let kept = secrets.all().find(|kept| kept.id == id).ok_or_else(gone)?;
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, id, "a secret was shown");
    Ok(axum::Json(Open { secret: kept.secret.expose().to_owned() }))
}

pub(in crate::api) async fn rotate_signing(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
    Json(wanted): Json<Rotation>,
) -> Result<axum::Json<Shown>, Refused> {
    let endpoint = administered(&api, &who, &name)?;
    let secret = new_signing_secret();
    let new = api.vault.seal(&endpoint.name, Purpose::Signing, &secret)?;
    let change = SecretChange::Replace(new, wanted.until_ms(GRACE)?);
    api.vault.change(&endpoint, change, who.actor()).await?;
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, "a signing secret was rotated");
    Ok(axum::Json(Shown { signing_secret: Some(secret), ..show_endpoint(&api, &endpoint) }))
}
