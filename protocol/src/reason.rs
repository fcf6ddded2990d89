//! Why something was not done: the closed codes of REFUSE, RESET, GOAWAY and of the WebSocket close.

/// Gives a byte-sized enum its number, its way back and its name in `snake_case`.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every code, in the order of its numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The reason with this number, if there is one.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The name in documents, logs and error bodies.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why an agent did not start an attempt. Nothing reached the target, so it may be tried elsewhere.
    Refusal {
        /// The agent has as much in hand as it may.
        Overloaded = 1 "overloaded",
        /// The agent takes no more work.
        Draining = 2 "draining",
        /// The target takes no connection.
        TargetRefused = 3 "target_refused",
        /// The target's host name does not resolve.
        TargetDns = 4 "target_dns",
        /// No TLS with the target: certificate or handshake.
        TargetTls = 5 "target_tls",
        /// The path would leave the target's base path.
        PathNotAllowed = 6 "path_not_allowed",
        /// The agent has no such subscription.
        UnknownSubscription = 7 "unknown_subscription",
    }
}

codes! {
    /// Why a stream ended before its time.
    Broken {
        /// The caller has gone, or nobody waits for the answer any more.
        Cancelled = 1 "cancelled",
        /// The target gave no answer in time.
        TargetTimeout = 2 "target_timeout",
        /// The target's answer is no HTTP, breaks off, or is beyond a bound.
        TargetBadResponse = 3 "target_bad_response",
        /// The request's body broke off at the caller.
        RequestIncomplete = 4 "request_incomplete",
        /// The receiver of this direction took nothing for too long.
        Stalled = 5 "stalled",
        /// A fault in the sender's own program.
        Internal = 6 "internal",
        /// Nothing proves that the provider has sent it, and the agent's own file says to reject such requests.
        SignatureInvalid = 7 "signature_invalid",
    }
}

codes! {
    /// Whether the target may have seen the request.
    Dispatched {
        /// Surely not.
        No = 0 "no",
        /// It cannot be known.
        Maybe = 1 "maybe",
        /// It has.
        Yes = 2 "yes",
    }
}

codes! {
    /// Why a side takes no more streams.
    Leaving {
        /// It shuts down or restarts.
        Shutdown = 1 "shutdown",
        /// The same instance has come back on a newer line.
        Replaced = 2 "replaced",
        /// The token has expired or was revoked.
        Unauthorized = 3 "unauthorized",
    }
}

/// The WebSocket close codes (RFC 6455 §7.4) with which a line ends.
pub mod close {
    /// Gives each code its constant, and all of them a table for documents.
    macro_rules! close_codes {
        ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
            $($(#[$doc])* pub const $name: u16 = $code;)*

            /// Every code with its name.
            pub const ALL: &[(u16, &str)] = &[$(($code, stringify!($name)),)*];
        };
    }

    close_codes! {
        /// A side leaves in order.
        GOING_AWAY = 1001,
        /// A frame that breaks the protocol.
        PROTOCOL = 1002,
        /// A text message: the wire is binary.
        UNSUPPORTED = 1003,
        /// A message above the bound, or a WELCOME that would be one.
        TOO_BIG = 1009,
        /// No version in common.
        NO_VERSION = 4000,
        /// The first frame did not come in time.
        HELLO_TIMEOUT = 4001,
        /// The token does not allow what HELLO asks for, has expired, or was revoked or replaced.
        NOT_ALLOWED = 4003,
        /// An endpoint of HELLO does not exist, or the last one that the line served was deleted.
        UNKNOWN_ENDPOINT = 4004,
        /// The other side was quiet for too long.
        DEAD = 4008,
        /// The same instance has come back on a newer line.
        REPLACED = 4009,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_way_back() {
        for reason in Refusal::ALL {
            assert_eq!(Refusal::from_code(reason.code()), Some(*reason));
        }
        for reason in Broken::ALL {
            assert_eq!(Broken::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(Dispatched::from_code(3), None);
        assert_eq!(Leaving::from_code(0), None);
    }
}
