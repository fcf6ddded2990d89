//! The two frames that open a line, HELLO and WELCOME: JSON, so that a person can read them.
//!
//! Unknown members are skipped, and what came after version 1 has a default: old and new understand each other.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::id::Name;
use crate::limits::{
    CREDIT_LIMIT, DATA_MAX, DEAD_AFTER_MAX, INSTANCE_MAX, LINE_CREDIT, STREAM_CREDIT, STREAMS_MAX,
    SUBSCRIPTIONS_MAX,
};

/// What an agent says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol versions the agent speaks.
    pub versions: Vec<u16>,
    /// Program and version, for people.
    pub agent: String,
    /// Chosen anew by every start of an agent, 1 to 64 characters: a line of the same instance and number replaces.
    pub instance: String,
    /// Which of the instance's lines this is, from 0.
    #[serde(default)]
    pub line: u8,
    /// What the agent wants to receive; OPEN names the place in this list.
    pub subscriptions: Vec<Subscription>,
    /// The most streams at a time.
    #[serde(default = "streams_max")]
    pub max_streams: u32,
    /// What the relay may send on one stream before it is granted more, in bytes.
    #[serde(default = "stream_credit")]
    pub stream_credit: u32,
    /// What the relay may send on all streams together before it is granted more, in bytes.
    #[serde(default = "line_credit")]
    pub line_credit: u32,
}

/// One endpoint that an agent serves, and as which group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The endpoint's name.
    pub endpoint: Name,
    /// The group whose work the agent shares.
    #[serde(default = "Name::main")]
    pub group: Name,
    /// Joins as an ephemeral group of its own that sees live events and answers nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tap: bool,
    /// If more than this many deliveries wait for the group, none of them is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backlog: Option<u64>,
    /// Deliveries that have waited longer than this are put aside unsent, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_older_than_ms: Option<u64>,
}

/// What the relay answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that the line speaks from here on.
    pub version: u16,
    /// The session's id, for logs of both sides.
    pub session: String,
    /// Program and version, for people.
    pub relay: String,
    /// How long the line may be quiet before either side sends PING, in milliseconds.
    pub heartbeat_ms: u64,
    /// How long the line may be quiet before either side holds it to be dead, in milliseconds.
    pub dead_after_ms: u64,
    /// What the agent may send on one stream before it is granted more, in bytes.
    pub stream_credit: u32,
    /// What the agent may send on all streams together before it is granted more, in bytes.
    pub line_credit: u32,
    /// Base URLs of other nodes of the relay, for the second line.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// One entry for each subscription, in HELLO's order.
    pub endpoints: Vec<Served>,
    /// In how many milliseconds the token expires, if it does: send RENEW before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_in_ms: Option<u64>,
}

/// What the relay says of one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The endpoint's name.
    pub endpoint: Name,
    /// The group; for a tap, the one made for it.
    pub group: Name,
    /// The endpoint's public URL.
    pub url: String,
    /// How many deliveries wait for the group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub backlog: u64,
    /// How long the oldest of them has waited, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oldest_ms: u64,
    /// Whether they are held back, because there are more than `max_backlog`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// A HELLO that cannot be served as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    /// No protocol version in common.
    #[error("no protocol version in common")]
    NoVersion,
    /// No subscription, or more than [`SUBSCRIPTIONS_MAX`].
    #[error("between 1 and {SUBSCRIPTIONS_MAX} subscriptions are wanted")]
    Subscriptions,
    /// The same subscription twice: its work would be balanced between the line and itself.
    #[error("a subscription is named twice")]
    Twice,
    /// The instance id is empty or too long.
    #[error("the instance id must have 1 to {INSTANCE_MAX} bytes")]
    Instance,
    /// A number that cannot work.
    #[error("max_streams must be at least 1, both credits {DATA_MAX} to {CREDIT_LIMIT}")]
    Numbers,
}

/// A WELCOME that an agent cannot live with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWelcome {
    /// A version that the agent did not offer.
    #[error("the relay chose a version that was not offered")]
    Version,
    /// A number that cannot work.
    #[error("the relay's credits must be {DATA_MAX} to {CREDIT_LIMIT}")]
    Credit,
    /// Times that cannot work.
    #[error("the heartbeat must be at least 1 ms and less than dead_after_ms, that at most a day")]
    Times,
}

impl Hello {
    /// The highest version that both sides speak, when the rest of the HELLO is sound.
    ///
    /// # Errors
    /// [`BadHello`] says what is wrong.
    pub fn check(&self, spoken: &[u16]) -> Result<u16, BadHello> {
        if !(1..=SUBSCRIPTIONS_MAX).contains(&self.subscriptions.len()) {
            return Err(BadHello::Subscriptions);
        }
        if !(1..=INSTANCE_MAX).contains(&self.instance.len()) {
            return Err(BadHello::Instance);
        }
        if self.max_streams == 0 || !is_credit(self.stream_credit) || !is_credit(self.line_credit) {
            return Err(BadHello::Numbers);
        }
        let mut seen = HashSet::new();
        if !self.subscriptions.iter().all(|one| seen.insert((&one.endpoint, &one.group, one.tap))) {
            return Err(BadHello::Twice);
        }
        let common = spoken.iter().filter(|version| self.versions.contains(version));
        common.max().copied().ok_or(BadHello::NoVersion)
    }
}

impl Welcome {
    /// Whether an agent that offered these versions can live with it.
    ///
    /// # Errors
    /// [`BadWelcome`] says what is wrong.
    pub fn check(&self, offered: &[u16]) -> Result<(), BadWelcome> {
        if !offered.contains(&self.version) {
            return Err(BadWelcome::Version);
        }
        if !is_credit(self.stream_credit) || !is_credit(self.line_credit) {
            return Err(BadWelcome::Credit);
        }
        let most = u64::try_from(DEAD_AFTER_MAX.as_millis()).unwrap_or(u64::MAX);
        let sound = self.heartbeat_ms > 0 && self.heartbeat_ms < self.dead_after_ms;
        if sound && self.dead_after_ms <= most { Ok(()) } else { Err(BadWelcome::Times) }
    }
}

/// At least one DATA frame, so that nothing is ever stuck; at most what anybody may grant.
fn is_credit(bytes: u32) -> bool {
    (DATA_MAX as u64..=CREDIT_LIMIT).contains(&u64::from(bytes))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

const fn streams_max() -> u32 {
    STREAMS_MAX
}

const fn stream_credit() -> u32 {
    STREAM_CREDIT
}

const fn line_credit() -> u32 {
    LINE_CREDIT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(text: &str) -> Hello {
        serde_json::from_str(text).expect("a hello")
    }

    #[test]
    fn the_shortest_hello_has_defaults() {
        let hello = hello(
            r#"{"versions":[1,7],"agent":"a","instance":"i","subscriptions":[{"endpoint":"e"}],"later":1}"#,
        );
        assert_eq!(hello.subscriptions[0].group, Name::main());
        assert_eq!(hello.max_streams, STREAMS_MAX);
        assert_eq!(hello.check(&[1]), Ok(1));
        assert_eq!(hello.check(&[1, 7]), Ok(7));
        assert_eq!(hello.check(&[2]), Err(BadHello::NoVersion));
    }

    #[test]
    fn a_hello_that_asks_for_nothing_or_with_nothing_is_refused() {
        let none = hello(r#"{"versions":[1],"agent":"a","instance":"i","subscriptions":[]}"#);
        assert_eq!(none.check(&[1]), Err(BadHello::Subscriptions));
        let poor = hello(
            r#"{"versions":[1],"agent":"a","instance":"i","stream_credit":9,"subscriptions":[{"endpoint":"e"}]}"#,
        );
        assert_eq!(poor.check(&[1]), Err(BadHello::Numbers));
    }

    #[test]
    fn the_same_subscription_twice_is_refused_and_two_groups_of_an_endpoint_are_not() {
        let named = |text: &str| {
            hello(&format!(
                r#"{{"versions":[1],"agent":"a","instance":"i","subscriptions":[{text}]}}"#
            ))
        };
        let twice = named(r#"{"endpoint":"e"},{"endpoint":"f"},{"endpoint":"e","group":"main"}"#);
        assert_eq!(twice.check(&[1]), Err(BadHello::Twice));
        let groups = named(r#"{"endpoint":"e"},{"endpoint":"e","group":"b"}"#);
        assert_eq!(groups.check(&[1]), Ok(1));
    }

    #[test]
    fn credit_that_nobody_may_grant_is_refused_in_both_greetings() {
        let rich = hello(
            r#"{"versions":[1],"agent":"a","instance":"i","line_credit":2147483648,"subscriptions":[{"endpoint":"e"}]}"#,
        );
        assert_eq!(rich.check(&[1]), Err(BadHello::Numbers));
        let welcome = |stream_credit, dead_after_ms| Welcome {
            version: 1,
            session: "s".into(),
            relay: "r".into(),
            heartbeat_ms: 15_000,
            dead_after_ms,
            stream_credit,
            line_credit: LINE_CREDIT,
            nodes: Vec::new(),
            endpoints: Vec::new(),
            token_expires_in_ms: None,
        };
        assert_eq!(welcome(STREAM_CREDIT, 40_000).check(&[1]), Ok(()));
        assert_eq!(welcome(STREAM_CREDIT, 40_000).check(&[2]), Err(BadWelcome::Version));
        assert_eq!(welcome(1 << 31, 40_000).check(&[1]), Err(BadWelcome::Credit));
        assert_eq!(welcome(1, 40_000).check(&[1]), Err(BadWelcome::Credit));
        assert_eq!(welcome(STREAM_CREDIT, 15_000).check(&[1]), Err(BadWelcome::Times));
        assert_eq!(welcome(STREAM_CREDIT, u64::MAX).check(&[1]), Err(BadWelcome::Times));
    }
}
