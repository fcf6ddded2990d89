//! What was found of who sent a request, as one line: for the target, in a header field, and for the relay.

use std::fmt;
use std::str::FromStr;

use relay_protocol::webhook::Fields;
use relay_trust::{Finding, Reason, State};

use crate::time;

/// The header field with it, in lower case.
pub const VERIFICATION: &str = "webhook-relay-verification";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The state.
    pub state: State,
    /// Why it is no better.
    pub reason: Option<Reason>,
    /// By which provider's rules.
    pub provider: String,
    /// When the request was received, in milliseconds of the Unix epoch.
    pub at_ms: u64,
}

/// A text that tells of no finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this tells of no finding")]
pub struct NotTold;

impl Told {
    /// Whether it may be believed.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        Finding { state: self.state, reason: self.reason, secret: None }.is_good()
    }

    /// These fields with the one that says it, in the place of any that says something else.
    #[must_use]
    pub fn put_into(&self, fields: &Fields) -> Fields {
        let text = self.to_string();
        let name = VERIFICATION.as_bytes();
        let others = fields.iter().filter(|(field, _)| *field != name);
        others.chain([(name, text.as_bytes())]).collect()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = time::show(self.at_ms);
        write!(f, "state={}; provider={}; at={at}", self.state, self.provider)?;
        self.reason.map_or(Ok(()), |reason| write!(f, "; reason={reason}"))
    }
}

impl FromStr for Told {
    type Err = NotTold;

    fn from_str(text: &str) -> Result<Self, NotTold> {
        let part = |name: &str| {
            let mut parts = text.split("; ").filter_map(|part| part.split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Ok(Self {
            state: part("state").and_then(|state| state.parse().ok()).ok_or(NotTold)?,
            // One of a later version says nothing here.
            reason: part("reason").and_then(|reason| reason.parse().ok()),
            provider: part("provider").ok_or(NotTold)?.to_owned(),
            at_ms: part("at").and_then(|at| time::parse(at).ok()).ok_or(NotTold)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: Option<Reason>) -> Told {
        let state = if reason.is_some() { State::Failed } else { State::Verified };
        Told { state, reason, provider: "stripe".into(), at_ms: 1_795_514_400_000 }
    }

    #[test]
    fn what_is_told_is_understood() {
        let text = "state=failed; provider=stripe; at=2026-11-24T10:00:00Z; reason=wrong_secret";
        assert_eq!(told(Some(Reason::WrongSecret)).to_string(), text);
        assert_eq!(text.parse(), Ok(told(Some(Reason::WrongSecret))));
        assert_eq!(told(None).to_string().parse(), Ok(told(None)));
        for bad in ["", "state=good; provider=a; at=0", "state=verified; at=0", "wrong_secret"] {
            assert_eq!(bad.parse::<Told>(), Err(NotTold), "{bad}");
        }
    }

    #[test]
    fn it_stands_in_the_place_of_what_others_say() {
        let forged: Fields =
            [(&b"a"[..], &b"1"[..]), (VERIFICATION.as_bytes(), b"forged")].into_iter().collect();
        let fields = told(None).put_into(&forged);
        let all: Vec<_> = fields.all(VERIFICATION.as_bytes()).collect();
        assert_eq!(all, [told(None).to_string().as_bytes()]);
        assert_eq!(fields.iter().count(), 2);
    }
}
