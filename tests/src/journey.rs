//! All of it put together: provider → relay → agent → target.

use std::sync::Arc;

use crate::agent::{Agent, Wanted};
use crate::authority::Authority;
use crate::provider::Provider;
use crate::relay::{Endpoint, Relay};
use crate::target::Target;

/// One relay with one endpoint, one agent and one target.
#[derive(Debug)]
pub struct Journey {
    /// The relay.
    pub relay: Relay,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The token of its agents.
    pub token: String,
    /// The agent.
    pub agent: Agent,
    /// The target.
    pub target: Target,
}

impl Journey {
    /// To this target, with everything as by default.
    pub async fn to(target: Target) -> Self {
        Self::with(target, &[], &[]).await
    }

    /// To this target, with these settings of the relay and of the endpoint.
    pub async fn with(target: Target, relay: &[(&str, &str)], endpoint: &[(&str, &str)]) -> Self {
        Self::along(Relay::with(relay).await, target, endpoint).await
    }

    /// To this target, through a relay that speaks TLS.
    pub async fn secure(
        authority: &Arc<Authority>,
        target: Target,
        relay: &[(&str, &str)],
        endpoint: &[(&str, &str)],
    ) -> Self {
        Self::along(Relay::secure(authority, relay).await, target, endpoint).await
    }

    async fn along(relay: Relay, target: Target, endpoint: &[(&str, &str)]) -> Self {
        let endpoint = relay.endpoint_with("story", endpoint).await;
        let token = relay.token(&["story"]).await;
        let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
        let wanted = Wanted { trust: relay.trust(), ..wanted };
        let agent = Agent::start(&wanted).await;
        Self { relay, endpoint, token, agent, target }
    }

    /// A provider whose webhooks go through the relay.
    #[must_use]
    pub fn through(&self) -> Provider {
        self.relay.provider(&self.endpoint)
    }

    /// A provider that can reach the target itself.
    #[must_use]
    pub fn direct(&self) -> Provider {
        Provider::of(self.target.address(), "")
    }

    /// One more agent for the same endpoint and target, or another target.
    pub async fn another_agent(&self, target: &Target) -> Agent {
        let url = self.relay.url();
        let wanted = Wanted::for_one(&url, &self.token, "story", &target.url());
        Agent::start(&Wanted { trust: self.relay.trust(), ..wanted }).await
    }
}
