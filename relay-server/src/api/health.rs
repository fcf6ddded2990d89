//! Is the relay alive, and is it well enough to be sent requests?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Api;

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
    let body = json!({
        "status": if well { "ready" } else { "not ready" },
        "draining": draining,
        "store": if store.is_ok() { "ok" } else { "unavailable" },
    });
    (status, Json(body))
}
