//! Secrets of endpoints as the store keeps them: sealed, with a key that it does not have.

use crate::endpoint::EndpointId;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To verify what a provider sends.
    Provider,
    /// To sign what is forwarded.
    Signing,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 2] = [Self::Provider, Self::Signing];

    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Signing => "signing",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// A secret to be kept.
#[derive(Debug)]
pub struct NewSecret {
    /// What it is for.
    pub purpose: Purpose,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// Now, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// Whether it came with a handshake, so that a person may not have seen it yet.
    pub unseen: bool,
}

/// A secret as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Its number; never given twice.
    pub id: i64,
    /// Whose it is.
    pub endpoint: EndpointId,
    /// What it is for.
    pub purpose: Purpose,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// Since when it is kept, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// Until when it counts, if it was replaced, in milliseconds of the Unix epoch.
    pub until_ms: Option<u64>,
    /// Whether it came with a handshake and nobody has been shown it.
    pub unseen: bool,
}

/// What is to be changed of an endpoint's secrets.
#[derive(Debug)]
pub enum SecretChange {
    /// One more, beside at most `most - 1` others of its purpose.
    Add {
        /// The secret.
        new: NewSecret,
        /// How many of its purpose there may be then.
        most: usize,
    },
    /// In the place of the others of its purpose, which count until this time, in milliseconds of the Unix epoch.
    Replace(NewSecret, u64),
    /// No longer this one.
    Remove(i64),
    /// It has been shown.
    Seen(i64),
}

/// All that is sealed in a store, sealed anew.
#[derive(Debug)]
pub struct Resealed {
    /// What the key is known by.
    pub check: Vec<u8>,
    /// The secrets of endpoints, by their numbers.
    pub secrets: Vec<(i64, Vec<u8>)>,
    /// What the relay keeps for itself, by name.
    pub own: Vec<(&'static str, Vec<u8>)>,
}
