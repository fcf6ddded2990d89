//! The key in a public URL: the endpoint's name and 16 random characters, unless it was made with the exact name.

use std::fmt;

use relay_protocol::id::Name;
use ring::rand::{SecureRandom, SystemRandom};

/// The random characters: base32 in lower case (RFC 4648 §6), 80 bits.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const RANDOM: usize = 16;

/// An endpoint's key: a DNS label (RFC 1035 §2.3.4), so that it can stand in a host name as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to 63 characters of a-z, 0-9 and -")]
pub struct NotAKey;

impl Key {
    /// A key that nobody guesses.
    ///
    /// # Panics
    /// When the system has no randomness to give; nothing secret works then.
    #[must_use]
    pub fn random(name: &Name) -> Self {
        let mut bytes = [0u8; RANDOM];
        SystemRandom::new().fill(&mut bytes).expect("the system's randomness");
        let random: String =
            bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect();
        Self(format!("{name}-{random}").into())
    }

    /// The name itself as key.
    #[must_use]
    pub fn exact(name: &Name) -> Self {
        Self(name.as_str().into())
    }

    /// The key in this text.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(NotAKey) }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_key_is_a_label_that_begins_with_the_name() {
        let name: Name = "n".repeat(46).parse().unwrap();
        let key = Key::random(&name);
        assert_eq!(key.as_str().len(), 63);
        assert_eq!(Key::parse(key.as_str()), Ok(key.clone()));
        assert_ne!(Key::random(&name), key);
    }
}
