//! What is kept of a token: what it allows, and for how long; never the secret itself.

use relay_protocol::id::Name;

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Hold agent lines.
    Listen,
    /// Look at endpoints and events.
    Read,
    /// Replay events.
    Replay,
    /// Everything, endpoints and tokens included.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Listen, Self::Read, Self::Replay, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Read => "read",
            Self::Replay => "replay",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A token as it is kept: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The public part.
    pub id: String,
    /// SHA-256 of the secret part, which has more entropy than any search reaches.
    pub hash: [u8; 32],
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// For which endpoints; `None` for all, also those to come.
    pub endpoints: Option<Vec<Name>>,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// When it expires.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
    /// What people call it.
    pub name: Option<String>,
    /// The secret that it had before.
    pub old: Option<OldSecret>,
    /// When it was last shown, as far as that was written down, in milliseconds of the Unix epoch.
    pub used_ms: Option<u64>,
}

/// A secret that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldSecret {
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// Until when it counts, in milliseconds of the Unix epoch.
    pub until_ms: u64,
}

/// Another secret for a token.
#[derive(Debug, Clone, Copy)]
pub struct NewSecretOfToken {
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// Until when the one that it replaces counts, in milliseconds of the Unix epoch.
    pub old_until_ms: u64,
}
