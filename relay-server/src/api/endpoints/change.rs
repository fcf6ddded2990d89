//! How an endpoint is changed: its settings, whether it is paused, its key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde::Deserialize;

use super::{Shown, administered, show_endpoint};
use crate::api::rotation::Rotation;
use crate::api::{Api, Bearer, Json, Refused};
use crate::clock::now_ms;
use crate::endpoint::{Endpoint, Key, Settings};
use crate::problem::Code;
use crate::store::records::{Change, Keep, Purpose};

/// How long a key or a secret that is rotated away still counts, if nobody says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(86_400);

/// What is to be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Changes {
    /// Only these; `null` for as by default.
    settings: BTreeMap<String, Option<String>>,
}

pub(in crate::api) async fn set(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
    Json(changes): Json<Changes>,
) -> Result<axum::Json<Shown>, Refused> {
    let _turn = api.directory.turn().await;
    let endpoint = administered(&api, &who, &name)?;
    let signs = |set: &Option<String>| set.as_deref().is_some_and(|how| how != "off");
    let resigns = changes.settings.get("resign").is_some_and(signs);
    if resigns && api.vault.of(endpoint.id).of(Purpose::Signing).next().is_none() {
        let words = "resign: the endpoint has no signing secret: make one with endpoints rotate-signing-secret";
        return Err(Refused::new(Code::BadRequest, words));
    }
    refuse_misfit(&api, &endpoint, &changes.settings)?;
    let keys: Vec<&str> = changes.settings.keys().map(String::as_str).collect();
    let keys = keys.join(" ");
    let changed = apply(&api, &who, &endpoint, Change::Settings(changes.settings)).await?;
    tracing::info!(endpoint = %changed.name, by = who.0.token, keys, "an endpoint was set");
    Ok(axum::Json(show_endpoint(&api, &changed)))
}

/// Refuses a provider that none of the endpoint's secrets can be of. While two are changed for each other, there are some
/// of both.
fn refuse_misfit(
    api: &Api,
    endpoint: &Endpoint,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<(), Refused> {
    let mut set = endpoint.set.clone();
    for (key, value) in changes {
        match value {
            Some(value) => drop(set.insert(key.clone(), value.clone())),
            None => drop(set.remove(key)),
        }
    }
    // What is wrong with the settings themselves is told by who keeps them.
    let settings = Settings::apply(&set, &api.profiles);
    let verify = settings.ok().and_then(|settings| settings.verify);
    let Some(verify) = verify.filter(|new| Some(new) != endpoint.settings.verify.as_ref()) else {
        return Ok(());
    };
    let secrets = api.vault.of(endpoint.id);
    let mut why = None;
    for kept in secrets.of(Purpose::Provider) {
        match verify.check_secrets([&kept.secret]) {
            Ok(()) => return Ok(()),
            Err(said) => why = Some(said),
        }
    }
    let told = |why| {
        format!(
            "verify: {why}, and the endpoint has none: with verify=off, put the right one in its place first, with \
             endpoints secrets replace"
        )
    };
    why.map_or(Ok(()), |why| Err(Refused::new(Code::BadRequest, told(why))))
}

pub(in crate::api) async fn pause(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
) -> Result<axum::Json<Shown>, Refused> {
    let _turn = api.directory.turn().await;
    let endpoint = administered(&api, &who, &name)?;
    let changed = apply(&api, &who, &endpoint, Change::Pause(now_ms())).await?;
    tracing::info!(endpoint = %changed.name, by = who.0.token, "an endpoint was paused");
    Ok(axum::Json(show_endpoint(&api, &changed)))
}

pub(in crate::api) async fn resume(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
) -> Result<axum::Json<Shown>, Refused> {
    let _turn = api.directory.turn().await;
    let endpoint = administered(&api, &who, &name)?;
    let changed = apply(&api, &who, &endpoint, Change::Resume).await?;
    // Whoever resumes it wants it to go on, also if it has paused itself.
    api.dispatcher.reopen(&changed);
    tracing::info!(endpoint = %changed.name, by = who.0.token, "an endpoint was resumed");
    Ok(axum::Json(show_endpoint(&api, &changed)))
}

pub(in crate::api) async fn rotate_key(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
    Json(wanted): Json<Rotation>,
) -> Result<axum::Json<Shown>, Refused> {
    let _turn = api.directory.turn().await;
    let endpoint = administered(&api, &who, &name)?;
    let until_ms = wanted.until_ms(GRACE)?;
    let change = Change::Key(Key::random(&endpoint.name), until_ms);
    // First, so that there is no moment in which it leads nowhere.
    api.directory.put_old_key(&endpoint.key, endpoint.id, until_ms);
    let changed = apply(&api, &who, &endpoint, change).await?;
    tracing::info!(endpoint = %changed.name, by = who.0.token, "the key of an endpoint was rotated");
    Ok(axum::Json(show_endpoint(&api, &changed)))
}

/// Changes the endpoint in the store, then in memory, and has its queues looked at again; in the caller's turn.
async fn apply(
    api: &Api,
    who: &Bearer,
    endpoint: &Endpoint,
    change: Change,
) -> Result<Arc<Endpoint>, Refused> {
    let changed = api.store.change_endpoint(endpoint.id, change, who.actor()).await?;
    let changed = api.directory.put(changed);
    api.store.set_retention(changed.id, Keep::of(&changed.settings));
    api.dispatcher.watch(&changed);
    Ok(changed)
}
