//! The durable queue: what is promised is delivered, whatever happens in between.

mod ack;
mod batch;
mod bounds;
mod breaker;
mod clock;
mod dedup;
mod durable;
mod fallback;
mod groups;
mod order;
mod pace;
mod retry;
mod rot;

use relay_tests::agent::{Agent, Wanted};
use relay_tests::ledger::Ledger;
use relay_tests::raw::Message;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;

/// A relay with one endpoint whose agent is not there yet.
pub(crate) struct Waiting {
    pub(crate) relay: Relay,
    pub(crate) endpoint: Endpoint,
    pub(crate) token: String,
}

impl Waiting {
    /// With these settings of the endpoint.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(Relay::start().await, settings).await
    }

    /// On this relay, with these settings of the endpoint.
    pub(crate) async fn on(relay: Relay, settings: &[(&str, &str)]) -> Self {
        let endpoint = relay.endpoint_with("story", settings).await;
        let token = relay.token(&["story"]).await;
        Self { relay, endpoint, token }
    }

    /// How an agent for this target is to be.
    pub(crate) fn wanted(&self, target: &Target) -> Wanted {
        Wanted::for_one(&self.relay.url(), &self.token, "story", &target.url())
    }

    /// The agent comes.
    pub(crate) async fn agent(&self, target: &Target) -> Agent {
        Agent::start(&self.wanted(target)).await
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::of(&self.relay)
    }

    /// Posts a body.
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Message {
        self.relay.provider(&self.endpoint).post("/hook", body).await
    }

    /// Posts a body that is taken in, and gives the event's id.
    pub(crate) async fn take(&self, body: impl AsRef<[u8]>) -> String {
        taken(&self.post(body).await)
    }
}

/// Checks that this is the relay's own word, and gives the event's id.
pub(crate) fn taken(answer: &Message) -> String {
    assert_eq!(answer.status(), 202, "{}", answer.text());
    assert_eq!(answer.field("webhook-relay-error"), None);
    let id = answer.field("webhook-relay-event-id").expect("the event's id");
    assert_eq!(answer.json()["id"], id);
    id
}

/// The id of the event that came to a target, and which attempt it was.
pub(crate) fn seen_as(message: &Message) -> (String, u32) {
    let id = message.field("webhook-relay-event-id").expect("an event's id");
    let attempt = message.field("webhook-relay-attempt").expect("an attempt's number");
    (id, attempt.parse().expect("a number"))
}

/// The bodies that came to a target, in their order.
pub(crate) fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::text).collect()
}
