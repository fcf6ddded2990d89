//! Where a delivery stands: one closed list, with the names that are stored and shown.

macro_rules! states {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Where one event stands for one group.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum State { $($(#[$doc])* $variant,)* }

        impl State {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as it is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The state of this name, if there is one.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

states! {
    /// A live attempt is under way, and nothing was promised to the provider.
    Live = "live",
    /// Promised: it waits for its time or its turn.
    Pending = "pending",
    /// A worker of the queue has it in hand, under a lease.
    Delivering = "delivering",
    /// The target took it.
    Delivered = "delivered",
    /// It was answered live: the provider knows, and it is the provider's turn.
    Failed = "failed",
    /// A dead letter: not tried again by itself, kept, replayable.
    Dead = "dead",
    /// It was older than anybody wants it before it could be delivered.
    Expired = "expired",
    /// The group's filter did not take it.
    Filtered = "filtered",
    /// It is not known who has sent it, and the provider was told so.
    Rejected = "rejected",
    /// A newer event of its key took its place.
    Collapsed = "collapsed",
    /// A repeat: the provider was given the first one's answer.
    Duplicate = "duplicate",
}

impl State {
    /// Whether something is still going to happen to it by itself.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Live | Self::Pending | Self::Delivering)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_way_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
        assert_eq!(State::parse("Live"), None);
        assert_eq!(State::ALL.iter().filter(|state| state.is_open()).count(), 3);
    }
}
