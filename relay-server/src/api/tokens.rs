//! Tokens over the API: list, create, rotate, revoke.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use http::StatusCode;
use relay_protocol::id::Name;
use serde::{Deserialize, Serialize};

use super::rotation::Rotation;
use super::{Api, Bearer, Json, Refused};
use crate::access::{new_secret, new_token};
use crate::clock::{from_now, now_ms};
use crate::endpoint::units::duration;
use crate::problem::Code;
use crate::store::records::{NewSecretOfToken, Scope, Token};

/// How long a secret that is replaced still counts, if nobody says otherwise.
const GRACE: Duration = Duration::from_secs(3600);

/// The longest name, in characters.
const NAME_MAX: usize = 80;

/// A token as the API shows it: never its secret.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    name: Option<String>,
    scopes: Vec<&'static str>,
    /// `null` for all endpoints.
    endpoints: Option<Vec<Name>>,
    created_at_ms: u64,
    expires_at_ms: Option<u64>,
    revoked_at_ms: Option<u64>,
    /// Until when the secret that it had before counts.
    old_secret_until_ms: Option<u64>,
    last_used_at_ms: Option<u64>,
    /// How many agents' lines it holds.
    lines: usize,
}

/// How many agents' lines each token holds that holds any.
fn lines(api: &Api) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    for session in api.router.sessions() {
        *lines.entry(session.token()).or_default() += 1;
    }
    lines
}

fn show_token(lines: &HashMap<String, usize>, token: &Token) -> Shown {
    let lines = lines.get(&token.id).copied().unwrap_or(0);
    Shown {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
        endpoints: token.endpoints.clone(),
        created_at_ms: token.created_ms,
        expires_at_ms: token.expires_ms,
        revoked_at_ms: token.revoked_ms,
        old_secret_until_ms: token.old.map(|old| old.until_ms).filter(|until| now_ms() < *until),
        last_used_at_ms: if lines > 0 { Some(now_ms()) } else { token.used_ms },
        lines,
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
) -> Result<axum::Json<Vec<Shown>>, Refused> {
    who.admin()?;
    let lines = lines(&api);
    Ok(axum::Json(api.access.all().iter().map(|token| show_token(&lines, token)).collect()))
}

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Empty for all endpoints.
    #[serde(default)]
    endpoints: Vec<String>,
    /// Empty for `listen`.
    #[serde(default)]
    scopes: Vec<String>,
    /// A duration such as `90d`.
    expires: Option<String>,
    /// What people call it.
    name: Option<String>,
}

/// A new token with its secret, which is shown this once.
#[derive(Serialize)]
pub(super) struct Made {
    token: String,
    #[serde(flatten)]
    shown: Shown,
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, axum::Json<Made>), Refused> {
    who.admin()?;
    let bad = |words: String| Refused::new(Code::BadRequest, words);
    let scopes = scopes(&wanted.scopes).map_err(bad)?;
    let endpoints = endpoints(&api, &wanted.endpoints)?;
    let lasts = wanted.expires.as_deref().map(duration).transpose();
    let lasts = lasts.map_err(|why| bad(format!("expires: {why}")))?;
    let name = wanted.name.map(name).transpose().map_err(bad)?;
    let (text, token) = new_token(scopes, endpoints, lasts.map(from_now));
    let token = Token { name, ..token };
    api.store.create_token(token.clone(), who.actor()).await?;
    tracing::info!(token = token.id, by = who.0.token, "a token was made");
    let shown = show_token(&HashMap::new(), &token);
    api.access.put(token);
    Ok((StatusCode::CREATED, axum::Json(Made { token: text, shown })))
}

pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
    Json(wanted): Json<Rotation>,
) -> Result<axum::Json<Made>, Refused> {
    who.admin()?;
    let old_until_ms = wanted.until_ms(GRACE)?;
    let token = api.access.by_id(&id);
    if token.is_some_and(|token| token.expires_ms.is_some_and(|expires| expires <= now_ms())) {
        return Err(Refused::new(Code::Conflict, "the token has expired; make a new one"));
    }
    let (text, hash) = new_secret(&id);
    let new = NewSecretOfToken { hash, old_until_ms };
    api.store.rotate_token(id.clone(), new, who.actor()).await?;
    api.access.rotate(&id, new);
    tracing::info!(token = id, by = who.0.token, "a token was rotated");
    let gone = || Refused::new(Code::NotFound, format!("there is no token {id}"));
    let shown = show_token(&lines(&api), &api.access.by_id(&id).ok_or_else(gone)?);
    Ok(axum::Json(Made { token: text, shown }))
}

pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    who.admin()?;
    let at_ms = now_ms();
    api.store.revoke_token(id.clone(), at_ms, who.actor()).await?;
    api.access.revoke(&id, at_ms);
    tracing::info!(token = id, by = who.0.token, "a token was revoked");
    Ok(StatusCode::NO_CONTENT)
}

fn name(text: String) -> Result<String, String> {
    let fits = (1..=NAME_MAX).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(format!("name: 1 to {NAME_MAX} characters, and no control characters"))
    }
}

fn scopes(names: &[String]) -> Result<Vec<Scope>, String> {
    if names.is_empty() {
        return Ok(vec![Scope::Listen]);
    }
    let all = Scope::ALL.map(Scope::as_str).join(", ");
    let parse =
        |name: &String| Scope::parse(name).ok_or(format!("{name:?} is none of the scopes {all}"));
    let mut scopes = names.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

fn endpoints(api: &Api, names: &[String]) -> Result<Option<Vec<Name>>, Refused> {
    let known = |text: &String| {
        let found = text.parse::<Name>().ok().and_then(|name| api.directory.by_name(&name));
        let missing = || Refused::new(Code::NotFound, format!("there is no endpoint {text:?}"));
        found.map(|endpoint| endpoint.name.clone()).ok_or_else(missing)
    };
    let names = names.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    Ok((!names.is_empty()).then_some(names))
}
