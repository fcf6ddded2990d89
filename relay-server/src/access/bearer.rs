//! The token of a request (RFC 6750 §2.1), and patience with those who show wrong ones.
//!
//! A right token is always taken: whoever guesses from the same address locks nobody out, and the 256 bits of a secret are
//! what keeps it from being guessed. Wrong ones are answered ever so often and else told to come later, so that nobody
//! makes the relay write its log full.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::{Access, Grant};
use crate::clock::steady_ms;
use crate::delivery::{Rate, Turn};
use crate::problem::{Code, Problem};
use crate::throttle::{Throttle, seconds_until};

/// How many wrong tokens of one address are just refused.
const WRONG: &str = "1/s:20";

/// The most addresses that are remembered for wrong tokens.
const SENDERS_MAX: usize = 8192;

/// Why a request is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There is no token.
    Missing,
    /// There is more than one.
    Several,
    /// It is none that counts.
    Wrong,
    /// It is none that counts, and there were too many of them: come again after so many seconds.
    TooMany(u32),
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let unauthorized = |words: &str| Self::new(Code::Unauthorized, words);
        match denied {
            Denied::Missing => unauthorized(
                "there is no token: it comes as Authorization: Bearer, and nowhere else",
            ),
            Denied::Several => unauthorized("there is more than one Authorization"),
            Denied::Wrong => unauthorized("the token is wrong, expired or revoked"),
            Denied::TooMany(seconds) => {
                let words =
                    "too many wrong tokens have come from this address, and this is another";
                Self::new(Code::RateLimited, words).after(seconds)
            }
        }
    }
}

/// Who has shown wrong tokens lately.
#[derive(Debug)]
pub(super) struct Guesses {
    rate: Rate,
    senders: Throttle,
}

impl Default for Guesses {
    fn default() -> Self {
        let rate = Rate::parse(WRONG).expect("a rate");
        Self { rate, senders: Throttle::new(SENDERS_MAX) }
    }
}

impl Guesses {
    fn another(&self, from: IpAddr) -> Denied {
        let now_ms = steady_ms();
        match self.senders.take(from, self.rate, now_ms) {
            Turn::Now => Denied::Wrong,
            Turn::At(at_ms) => Denied::TooMany(seconds_until(at_ms, now_ms)),
        }
    }
}

impl Access {
    /// What the bearer token of a request from this address allows.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn bearer(&self, headers: &HeaderMap, from: IpAddr) -> Result<Grant, Denied> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => return Err(Denied::Missing),
            // Somebody in between may have looked at the other one.
            (Some(_), Some(_)) => return Err(Denied::Several),
            (Some(field), None) => field,
        };
        self.shown(token(field).unwrap_or_default(), from)
    }

    /// What a token allows that was shown from this address, wherever it stood.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn shown(&self, token: &str, from: IpAddr) -> Result<Grant, Denied> {
        self.grant(token).ok_or_else(|| self.guesses.another(from))
    }
}

fn token(field: &HeaderValue) -> Option<&str> {
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::new_token;
    use crate::store::records::Scope;

    fn shown(tokens: &[&str]) -> HeaderMap {
        let field = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        tokens.iter().map(field).collect()
    }

    #[test]
    fn a_token_comes_once_and_as_bearer() {
        let access = Access::default();
        let (text, token) = new_token(vec![Scope::Admin], None, None);
        access.put(token);
        let from = IpAddr::from([192, 0, 2, 1]);
        let good = format!("bEARER  {text} ");
        assert!(access.bearer(&shown(&[&good]), from).is_ok());
        let basic = format!("Basic {text}");
        for (tokens, denied) in [
            (&[][..], Denied::Missing),
            (&[good.as_str(), &good], Denied::Several),
            (&[good.as_str(), "Bearer x"], Denied::Several),
            (&[text.as_str()], Denied::Wrong),
            (&[basic.as_str()], Denied::Wrong),
            (&["Bearer"], Denied::Wrong),
        ] {
            assert_eq!(access.bearer(&shown(tokens), from), Err(denied), "{tokens:?}");
        }
    }

    #[test]
    fn who_guesses_is_slowed_and_locks_nobody_out() {
        let access = Access::default();
        let (text, token) = new_token(vec![Scope::Admin], None, None);
        access.put(token);
        let (guesser, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let wrong = shown(&["Bearer wr_0000000000_x"]);
        let refusals: Vec<Denied> =
            (0..10_000).filter_map(|_| access.bearer(&wrong, guesser).err()).collect();
        let answered = refusals.iter().filter(|denied| **denied == Denied::Wrong).count();
        assert!((20..30).contains(&answered) && refusals.len() == 10_000, "{answered}");
        assert_eq!(access.bearer(&wrong, guesser), Err(Denied::TooMany(1)));
        assert_eq!(access.bearer(&wrong, other), Err(Denied::Wrong));
        assert!(access.bearer(&shown(&[&format!("Bearer {text}")]), guesser).is_ok());
    }
}
