//! Endpoints over the API: list, show, create, delete; how they are changed, and their secrets, are below.

mod change;
pub(super) mod secrets;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use relay_protocol::id::Name;
use serde::{Deserialize, Serialize};

use super::{Api, Bearer, Json, Refused};
use crate::access::new_signing_secret;
use crate::clock::{millis, now_ms};
use crate::endpoint::settings::Verify;
use crate::endpoint::{Endpoint, Key, Settings};
use crate::problem::Code;
use crate::store::StoreError;
use crate::store::records::{Keep, NewEndpoint, Scope};
use crate::vault::VaultError;

pub(super) use change::{pause, resume, rotate_key, set};

/// An endpoint as the API shows it.
#[derive(Serialize)]
pub(super) struct Shown {
    name: String,
    key: String,
    url: String,
    created_at_ms: u64,
    agents: usize,
    paused_at_ms: Option<u64>,
    /// How much waits, and how many deliveries are in each state, by group; of a single endpoint only.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<BTreeMap<String, Group>>,
    settings: BTreeMap<String, String>,
    /// What is known of the provider whose events are verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    /// Shown once, to whoever has it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

/// A provider, as people need to know it.
#[derive(Serialize)]
pub(super) struct Provider {
    name: String,
    /// Whether somebody has confirmed how it signs.
    confirmed: bool,
    /// How long it waits for an answer, where that is known.
    waits_ms: Option<u64>,
    /// What it takes for a success, in words.
    success: Option<String>,
    /// When it tries again, in words.
    retries: Option<String>,
}

impl Provider {
    fn of(verify: &Verify) -> Self {
        let (profile, delivery) = (&verify.profile, verify.profile.delivery());
        Self {
            name: profile.name().to_owned(),
            confirmed: !profile.is_unconfirmed(),
            waits_ms: delivery.timeout.map(millis),
            success: delivery.success.clone(),
            retries: delivery.retries.clone(),
        }
    }
}

/// One group of an endpoint.
#[derive(Serialize)]
pub(super) struct Group {
    backlog: u64,
    /// When the oldest of what waits came.
    oldest_at_ms: Option<u64>,
    states: BTreeMap<&'static str, u64>,
}

/// How the groups of an endpoint stand, those that nobody set any more among them.
async fn groups(api: &Api, endpoint: &Endpoint) -> Result<BTreeMap<String, Group>, StoreError> {
    let counts = api.store.counts(endpoint.id).await?;
    let mut names = endpoint.settings.groups.clone();
    names.extend(counts.iter().map(|count| count.group.clone()));
    names.sort_unstable();
    names.dedup();
    let mut groups = BTreeMap::new();
    for name in names {
        let waits = api.store.backlog(endpoint.id, name.clone()).await?;
        let states = counts.iter().filter(|count| count.group == name);
        let states = states.map(|count| (count.state.as_str(), count.n)).collect();
        let oldest_at_ms = waits.oldest.map(|id| id.unix_ms());
        groups.insert(name.to_string(), Group { backlog: waits.count, oldest_at_ms, states });
    }
    Ok(groups)
}

fn show_endpoint(api: &Api, endpoint: &Endpoint) -> Shown {
    let sessions = api.router.sessions();
    let serving = |id| {
        move |session: &&Arc<crate::session::Session>| {
            session.subscriptions.iter().any(|served| served.endpoint == id)
        }
    };
    let mut agents: Vec<&str> =
        sessions.iter().filter(serving(endpoint.id)).map(|s| s.instance.as_str()).collect();
    agents.sort_unstable();
    agents.dedup();
    Shown {
        name: endpoint.name.to_string(),
        key: endpoint.key.to_string(),
        url: api.urls.of(&endpoint.key),
        created_at_ms: endpoint.created_ms,
        agents: agents.len(),
        paused_at_ms: endpoint.paused_ms,
        groups: None,
        settings: endpoint.settings.show(),
        provider: endpoint.settings.verify.as_ref().map(Provider::of),
        signing_secret: None,
    }
}

pub(super) async fn list(State(api): State<Arc<Api>>, who: Bearer) -> axum::Json<Vec<Shown>> {
    let all = api.directory.all();
    let seen = all.iter().filter(|endpoint| who.0.sees(&endpoint.name));
    axum::Json(seen.map(|endpoint| show_endpoint(&api, endpoint)).collect())
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
) -> Result<axum::Json<Shown>, Refused> {
    let endpoint = find(&api, &who, &name)?;
    let groups = Some(groups(&api, &endpoint).await?);
    Ok(axum::Json(Shown { groups, ..show_endpoint(&api, &endpoint) }))
}

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    #[serde(default)]
    exact_key: bool,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// The provider's secrets.
    #[serde(default)]
    secrets: Vec<String>,
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, axum::Json<Shown>), Refused> {
    let bad = |words: String| Refused::new(Code::BadRequest, words);
    let name: Name =
        wanted.name.parse().map_err(|e: relay_protocol::id::NotAName| bad(e.to_string()))?;
    if !who.0.allows(Scope::Admin, &name) {
        return Err(Refused::new(
            Code::NotAllowed,
            "making endpoints needs a token with the scope admin",
        ));
    }
    let settings = Settings::apply(&wanted.settings, &api.profiles)
        .map_err(|all| bad(all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    secrets::refuse_misshapen(settings.verify.as_ref(), &wanted.secrets)?;
    let key = if wanted.exact_key { Key::exact(&name) } else { Key::random(&name) };
    let signing_secret = api.vault.has_key().then(new_signing_secret);
    if settings.resign && signing_secret.is_none() {
        return Err(VaultError::NoKey.into());
    }
    let secrets = secrets::first(&api.vault, &name, &wanted.secrets, signing_secret.as_deref())?;
    let (created_ms, set) = (now_ms(), wanted.settings);
    let new = NewEndpoint { name, key, secrets, created_ms, set, settings };
    let _turn = api.directory.turn().await;
    let made = api.store.create_endpoint(new, who.actor()).await?;
    // Before it can be reached: no event of it is looked at without its secrets.
    api.vault.welcome(&made).await?;
    let endpoint = api.directory.put(made);
    api.store.set_retention(endpoint.id, Keep::of(&endpoint.settings));
    api.dispatcher.watch(&endpoint);
    api.sessions.endpoint_came(&endpoint);
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, "an endpoint was made");
    let shown = Shown { signing_secret, ..show_endpoint(&api, &endpoint) };
    Ok((StatusCode::CREATED, axum::Json(shown)))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    let _turn = api.directory.turn().await;
    let endpoint = administered(&api, &who, &name)?;
    api.store.delete_endpoint(endpoint.id, who.actor()).await?;
    api.directory.remove(&endpoint);
    api.vault.forget(endpoint.id);
    api.dispatcher.forget(&endpoint);
    api.sessions.endpoint_went(endpoint.id);
    api.router.forget(endpoint.id);
    tracing::info!(endpoint = %endpoint.name, by = who.0.token, "an endpoint was deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// The endpoint of this name, for somebody who may change it.
fn administered(api: &Api, who: &Bearer, name: &str) -> Result<Arc<Endpoint>, Refused> {
    let endpoint = find(api, who, name)?;
    if who.0.allows(Scope::Admin, &endpoint.name) {
        Ok(endpoint)
    } else {
        Err(Refused::new(Code::NotAllowed, "this needs a token with the scope admin"))
    }
}

/// The endpoint of this name, for somebody who may see it; for others it is not there.
pub(super) fn find(api: &Api, who: &Bearer, name: &str) -> Result<Arc<Endpoint>, Refused> {
    let found = name.parse::<Name>().ok().and_then(|name| api.directory.by_name(&name));
    let seen = found.filter(|endpoint| who.0.sees(&endpoint.name));
    seen.ok_or_else(|| Refused::new(Code::NotFound, format!("there is no endpoint {name:?}")))
}
