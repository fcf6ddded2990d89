//! Tokens over the API: list, create, revoke.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use relay_protocol::id::Name;
use serde::{Deserialize, Serialize};

use super::{Api, Bearer, Json, Refused};
use crate::access::new_token;
use crate::clock::now_ms;
use crate::endpoint::units::duration;
use crate::problem::Code;
use crate::store::records::{Scope, Token};

/// A token as the API shows it: never its secret.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    scopes: Vec<&'static str>,
    /// `null` for all endpoints.
    endpoints: Option<Vec<Name>>,
    created_at_ms: u64,
    expires_at_ms: Option<u64>,
    revoked_at_ms: Option<u64>,
}

fn show_token(token: &Token) -> Shown {
    Shown {
        id: token.id.clone(),
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
        endpoints: token.endpoints.clone(),
        created_at_ms: token.created_ms,
        expires_at_ms: token.expires_ms,
        revoked_at_ms: token.revoked_ms,
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
) -> Result<axum::Json<Vec<Shown>>, Refused> {
    who.admin()?;
    Ok(axum::Json(api.access.all().iter().map(show_token).collect()))
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
    let expires_ms = lasts.map(|lasts| now_ms() + lasts.as_millis() as u64);
    let (text, token) = new_token(scopes, endpoints, expires_ms);
    api.store.create_token(token.clone()).await?;
    tracing::info!(token = token.id, by = who.0.token, "a token was made");
    let shown = show_token(&token);
    api.access.put(token);
    Ok((StatusCode::CREATED, axum::Json(Made { token: text, shown })))
}

pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    who.admin()?;
    let at_ms = now_ms();
    api.store.revoke_token(id.clone(), at_ms).await?;
    api.access.revoke(&id, at_ms);
    api.sessions.close_token(&id);
    tracing::info!(token = id, by = who.0.token, "a token was revoked");
    Ok(StatusCode::NO_CONTENT)
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
