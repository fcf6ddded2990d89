//! `relay-client events tail`: one line an event, for as long as somebody watches.

use std::time::Duration;

use clap::Args;
use relay_protocol::backoff::Backoff;
use serde_json::Value;

use super::{Which, list, say};
use crate::api::{Api, ApiError};
use crate::commands::Failure;
use crate::screen::clean;

/// How long to wait before the relay is asked again, at first and at the most.
const FIRST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(in crate::commands) struct Tail {
    /// Of this endpoint; may be given several times [default: all that the token sees]
    #[arg(long = "endpoint", value_name = "NAME")]
    endpoints: Vec<String>,
    /// Only those that come in this state; may be given several times
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Begin with what came after this event
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Tail {
    pub(super) async fn run(mut self, api: &Api, json: bool) -> Result<(), Failure> {
        let (endpoints, states) =
            (std::mem::take(&mut self.endpoints), std::mem::take(&mut self.states));
        let query = Which { endpoints, states, ..Which::default() }.query();
        let mut backoff = Backoff::new(FIRST, MOST);
        let mut begun = false;
        loop {
            let after = self.after.as_ref().map(|id| format!("&after={id}")).unwrap_or_default();
            match self.watch(api, &format!("/events/stream?{query}{after}"), json, &mut begun).await
            {
                Ok(true) => return Ok(()),
                Ok(false) => backoff.reset(),
                // Whoever never reached the relay is told so; later on it will come back.
                Err(ApiError::Unreachable(why) | ApiError::NotNow(why)) if begun => {
                    eprintln!("relay-client: {}", clean(&why));
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(backoff.next(fastrand::f64())).await;
        }
    }

    /// Shows what one stream brings; whether that was enough.
    async fn watch(
        &mut self,
        api: &Api,
        path: &str,
        json: bool,
        begun: &mut bool,
    ) -> Result<bool, ApiError> {
        let mut lines = api.lines(path).await?;
        if !std::mem::replace(begun, true) {
            eprintln!("watching; Ctrl-C ends it");
        }
        // Without an event yet, it goes on from where it began.
        self.after = self.after.take().or(lines.cursor.take());
        while self.limit != Some(0) {
            let Some(line) = lines.next().await? else { return Ok(false) };
            let nonsense = |_| ApiError::Failed("the relay sends no JSON".into());
            let event: Value = serde_json::from_slice(&line).map_err(nonsense)?;
            self.after = event["id"].as_str().map(str::to_owned).max(self.after.take());
            self.limit = self.limit.map(|left| left - 1);
            let line = if json { list::line(&event) } else { for_people(&event) };
            say(format!("{line}\n").as_bytes()).map_err(|e| ApiError::Failed(e.to_string()))?;
        }
        Ok(true)
    }
}

fn for_people(event: &Value) -> String {
    list::row(event).map(|cell| clean(&cell)).join("  ")
}
