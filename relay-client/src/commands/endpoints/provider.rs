//! What an endpoint's provider does, for people: on standard error, beside what scripts read.

use std::time::Duration;

use serde_json::Value;

use crate::screen::clean;

/// Tells how the provider behaves, and what is still missing.
pub(super) fn tell(endpoint: &Value, without_secret: bool) {
    for line in lines(endpoint, without_secret) {
        eprintln!("{}", clean(&line));
    }
}

/// The same for who looks at the endpoint.
pub(super) fn lines(endpoint: &Value, without_secret: bool) -> Vec<String> {
    let provider = &endpoint["provider"];
    let Some(name) = provider["name"].as_str() else { return Vec::new() };
    let mut lines = Vec::new();
    if provider["confirmed"] == false {
        lines.push(format!(
            "How {name} signs is not confirmed: see that its events are verified before you rely on it."
        ));
    }
    if let Some(ms) = provider["waits_ms"].as_u64() {
        let patience = endpoint["settings"]["reply_timeout"].as_str().unwrap_or("-");
        let waits = Duration::from_millis(ms);
        lines.push(format!(
            "{name} waits {waits:?} for an answer; the relay waits {patience} for the target."
        ));
    }
    if let Some(success) = provider["success"].as_str() {
        lines.push(format!("{name} takes for a success: {success}."));
    }
    if let Some(retries) = provider["retries"].as_str() {
        lines.push(format!("{name} tries again: {retries}."));
    }
    if without_secret {
        let create = "relay-client endpoints secrets add";
        let endpoint = endpoint["name"].as_str().unwrap_or_default();
        lines.push(format!(
            "No secret was given: if {name} has one, {create} {endpoint} --secret-file FILE."
        ));
    }
    lines
}
