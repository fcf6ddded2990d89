//! What a session serves: what its agent asks for, looked at one by one.

use std::sync::Arc;
use std::time::Duration;

use relay_protocol::hello::{Served, Subscription};
use relay_protocol::id::Name;
use relay_protocol::reason::close;

use super::Host;
use crate::backlog::Backlog;
use crate::delivery::KeyHash;
use crate::endpoint::{Endpoint, EndpointId};
use crate::store::records::Scope;

/// What a session serves.
#[derive(Debug, Clone)]
pub struct Subscribed {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its name, which outlives it.
    pub name: Name,
    /// The group; for a tap, one of its own.
    pub group: Name,
    /// It only looks on.
    pub tap: bool,
    /// What waits in the queue is not sent to it, because there is more than it wants.
    pub held: bool,
    /// It wants nothing from the queue that is older than this.
    pub skip_older_than: Option<Duration>,
}

impl Host {
    /// Looks at one thing that the agent wants, and says how far behind its group is.
    pub(super) async fn subscribe(
        &self,
        instance: &str,
        wanted: &Subscription,
    ) -> Result<(Subscribed, Served), (u16, String)> {
        let endpoint = self.admit(&wanted.endpoint)?;
        let groups = &endpoint.settings.groups;
        if !wanted.tap && !groups.contains(&wanted.group) {
            let all: Vec<&str> = groups.iter().map(Name::as_str).collect();
            let (name, group) = (&endpoint.name, &wanted.group);
            let words = format!("endpoint {name} has no group {group}; it has {}", all.join(", "));
            return Err((close::UNKNOWN_ENDPOINT, words));
        }
        let (group, backlog) = if wanted.tap {
            (tap_group(instance, &wanted.group), Backlog::default())
        } else {
            (wanted.group.clone(), self.sessions.backlogs.of(endpoint.id, &wanted.group).await)
        };
        let held = wanted.max_backlog.is_some_and(|most| backlog.count > most);
        let told = Served {
            endpoint: endpoint.name.clone(),
            group: group.clone(),
            url: self.sessions.urls.of(&endpoint.key),
            backlog: backlog.count,
            oldest_ms: backlog.oldest_ms,
            held,
        };
        let skip_older_than = wanted.skip_older_than_ms.map(Duration::from_millis);
        let (endpoint, name) = (endpoint.id, endpoint.name.clone());
        let tap = wanted.tap;
        Ok((Subscribed { endpoint, name, group, tap, held, skip_older_than }, told))
    }

    fn admit(&self, name: &Name) -> Result<Arc<Endpoint>, (u16, String)> {
        let not_allowed = || (close::NOT_ALLOWED, format!("the token is not for endpoint {name}"));
        if !self.grant.allows(Scope::Listen, name) {
            return Err(not_allowed());
        }
        let found = self.sessions.directory.by_name(name);
        found.ok_or_else(|| (close::UNKNOWN_ENDPOINT, format!("there is no endpoint {name}")))
    }
}

/// A group that nobody else is in: the lines of one agent share it, or it would see everything once for each of them.
fn tap_group(instance: &str, group: &Name) -> Name {
    let whose = KeyHash::of(format!("{group} {instance}").as_bytes());
    format!("tap-{whose:?}").parse().expect("letters, digits and a hyphen")
}
