//! One endpoint for people: what it is, what waits, how its events stand, what is set.

use serde_json::Value;

use super::provider;
use crate::commands::table;
use crate::screen::clean;

pub(super) fn print(endpoint: &Value, json: bool) {
    if json {
        return println!("{endpoint}");
    }
    let text = |key: &str| clean(endpoint[key].as_str().unwrap_or("-"));
    println!("{}\n", text("name"));
    println!("  url      {}", text("url"));
    println!("  agents   {}", endpoint["agents"]);
    println!("  created  {}", table::time(endpoint["created_at_ms"].as_u64()));
    if let Some(since) = endpoint["paused_at_ms"].as_u64() {
        println!("  paused   since {}: nothing is delivered", table::time(Some(since)));
    }
    for line in provider::lines(endpoint, false) {
        println!("  {}", clean(&line));
    }
    println!();
    groups(&endpoint["groups"]);
    println!();
    let settings = endpoint["settings"].as_object().into_iter().flatten();
    let value = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    table::print(["SETTING", "VALUE"], settings.map(|(key, set)| [key.clone(), value(set)]));
}

fn groups(groups: &Value) {
    let rows = groups.as_object().into_iter().flatten().map(|(name, group)| {
        let states = group["states"].as_object().into_iter().flatten();
        let states: Vec<String> = states.map(|(state, n)| format!("{n} {state}")).collect();
        let waits = group["backlog"].to_string();
        [name.clone(), waits, table::time(group["oldest_at_ms"].as_u64()), states.join(", ")]
    });
    table::print(["GROUP", "WAITING", "SINCE", "DELIVERIES"], rows);
}
