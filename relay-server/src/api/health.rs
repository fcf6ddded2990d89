//! Is the relay alive, and is it well enough to be sent requests?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::time::show;
use crate::tls::{Standing, Tls};

/// The process answers: restart it if it does not.
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// The relay takes requests and the store writes: send requests elsewhere if not.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, Json<Value>) {
    let draining = api.sessions.draining.is_cancelled();
    let store = api.store.health();
    let well = !draining && store.is_ok();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({
        "status": if well { "ready" } else { "not ready" },
        "draining": draining,
        "store": if store.is_ok() { "ok" } else { "unavailable" },
    });
    if let Some(tls) = &api.tls {
        body["tls"] = certificates(tls);
    }
    (status, Json(body))
}

/// How it stands with the certificates. The relay serves with whatever it has, so none of this makes it less ready; an
/// ACME server could not even reach it otherwise.
fn certificates(tls: &Tls) -> Value {
    let (ends, order) = tls.standing();
    let ends = json!({"expires_at": ends.map(show)});
    let Some(order) = order else { return ends };
    let state = match &order {
        Standing { ordering: true, .. } => "ordering",
        Standing { failures: 1.., .. } => "failed",
        Standing { issued: true, .. } => "issued",
        _ => "waiting",
    };
    json!({
        "expires_at": ends["expires_at"],
        "acme": {
            "state": state,
            "failures": order.failures,
            "why": order.why,
            "next_at": show(order.next_ms),
        },
    })
}
