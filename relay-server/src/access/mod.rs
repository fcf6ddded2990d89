//! Who may do what: tokens `wr_<id>_<secret>`, their scopes and their end. The secret is never kept, shown or logged.

mod bearer;
mod ended;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use relay_protocol::id::Name;
use subtle::ConstantTimeEq;
use tokio::sync::Notify;

use crate::clock::now_ms;
use crate::store::records::{NewSecretOfToken, OldSecret, Scope, Token};

pub use bearer::Denied;
use bearer::Guesses;
use token::{hash, split};
pub use token::{new_secret, new_signing_secret, new_token};

/// How far what is written down of a token's use may be behind, in milliseconds: who shows one a thousand times a second
/// makes the store write once a minute.
const USE_BEHIND_MS: u64 = 60_000;

/// What a token allows, once it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's public part.
    pub token: String,
    /// The token's name.
    pub name: Option<String>,
    scopes: Vec<Scope>,
    endpoints: Option<Vec<Name>>,
    /// Of the secret that was shown.
    hash: [u8; 32],
}

impl Grant {
    /// Whether the scope covers this endpoint.
    #[must_use]
    pub fn allows(&self, scope: Scope, endpoint: &Name) -> bool {
        self.has(scope) && self.endpoints.as_ref().is_none_or(|names| names.contains(endpoint))
    }

    /// Whether the scope covers any endpoint.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether the token is for everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin) && self.endpoints.is_none()
    }

    /// Whether the token may see this endpoint at all.
    #[must_use]
    pub fn sees(&self, endpoint: &Name) -> bool {
        Scope::ALL.iter().any(|scope| self.allows(*scope, endpoint))
    }
}

/// Every token, in memory.
#[derive(Debug, Default)]
pub struct Access {
    tokens: DashMap<String, Kept>,
    guesses: Guesses,
    /// Told when a token's use is worth writing down.
    stale: Notify,
    /// Told when a token holds no longer, or not for as long as it did.
    changed: Notify,
}

/// A token, and when it was last shown, in milliseconds of the Unix epoch; 0 for never.
#[derive(Debug)]
struct Kept {
    token: Token,
    used_ms: AtomicU64,
    written_ms: AtomicU64,
}

impl Access {
    /// Adds a token.
    pub fn put(&self, token: Token) {
        let at_ms = token.used_ms.unwrap_or(0);
        let (used_ms, written_ms) = (AtomicU64::new(at_ms), AtomicU64::new(at_ms));
        self.tokens.insert(token.id.clone(), Kept { token, used_ms, written_ms });
    }

    /// Marks a token as revoked; `false` when there is none.
    pub fn revoke(&self, id: &str, at_ms: u64) -> bool {
        let found = self.tokens.get_mut(id).map(|mut kept| {
            kept.token.revoked_ms.get_or_insert(at_ms);
        });
        self.changed.notify_waiters();
        found.is_some()
    }

    /// Gives a token another secret; the one before it counts for a while.
    pub fn rotate(&self, id: &str, new: NewSecretOfToken) {
        if let Some(mut kept) = self.tokens.get_mut(id) {
            let hash = std::mem::replace(&mut kept.token.hash, new.hash);
            kept.token.old = Some(OldSecret { hash, until_ms: new.old_until_ms });
        }
        self.changed.notify_waiters();
    }

    /// The token with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Token> {
        self.tokens.get(id).map(|kept| kept.shown())
    }

    /// Every token, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Token> {
        let mut all: Vec<Token> = self.tokens.iter().map(|kept| kept.shown()).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        all
    }

    /// Whether there is a token that may do everything.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        let now = now_ms();
        let admin = |token: &Token| grant(token, token.hash).is_admin();
        self.tokens.iter().any(|kept| is_live(&kept.token, now) && admin(&kept.token))
    }

    /// What this token allows, if it is a good one. Takes the same time for every bad one.
    #[must_use]
    pub fn grant(&self, text: &str) -> Option<Grant> {
        let (id, secret) = split(text).unwrap_or(("", ""));
        let (presented, now) = (hash(secret), now_ms());
        let found = self.tokens.get(id);
        let (kept, old) = found.as_ref().map_or(([0; 32], None), |kept| {
            (kept.token.hash, kept.token.old.filter(|old| now < old.until_ms))
        });
        let same = presented.ct_eq(&kept) | presented.ct_eq(&old.map_or([0; 32], |old| old.hash));
        let same: bool = same.into();
        let good = found.filter(|kept| same && is_live(&kept.token, now))?;
        self.was_used(&good, now);
        Some(grant(&good.token, presented))
    }

    /// Until when what was granted holds, in milliseconds of the Unix epoch: 0 if it does not any more, none for ever.
    #[must_use]
    pub fn until(&self, grant: &Grant) -> Option<u64> {
        let Some(kept) = self.tokens.get(&grant.token) else { return Some(0) };
        let Token { hash, old, expires_ms, revoked_ms, .. } = &kept.token;
        let of_secret = match old {
            _ if revoked_ms.is_some() => Some(0),
            _ if *hash == grant.hash => None,
            Some(old) if old.hash == grant.hash => Some(old.until_ms),
            _ => Some(0),
        };
        [of_secret, *expires_ms].into_iter().flatten().min()
    }

    /// Whether what was granted still holds.
    #[must_use]
    pub fn holds(&self, grant: &Grant) -> bool {
        self.until(grant).is_none_or(|until_ms| now_ms() < until_ms)
    }

    /// Notes that what was granted is used at this moment.
    pub fn touch(&self, grant: &Grant) {
        if let Some(kept) = self.tokens.get(&grant.token) {
            self.was_used(&kept, now_ms());
        }
    }

    fn was_used(&self, kept: &Kept, now_ms: u64) {
        kept.used_ms.store(now_ms, Ordering::Relaxed);
        if now_ms.abs_diff(kept.written_ms.load(Ordering::Relaxed)) >= USE_BEHIND_MS {
            self.stale.notify_one();
        }
    }

    /// Completes when it is time to write down when tokens were used.
    pub async fn worth_writing(&self) {
        self.stale.notified().await;
    }

    /// When tokens were last used that were used since this was asked last.
    #[must_use]
    pub fn uses(&self) -> Vec<(String, u64)> {
        let fresh = |kept: &Kept| {
            let used_ms = kept.used_ms.load(Ordering::Relaxed);
            let written_ms = kept.written_ms.swap(used_ms, Ordering::Relaxed);
            (used_ms != written_ms).then(|| (kept.token.id.clone(), used_ms))
        };
        self.tokens.iter().filter_map(|kept| fresh(&kept)).collect()
    }
}

impl Kept {
    /// The token as it is now.
    fn shown(&self) -> Token {
        let used_ms = Some(self.used_ms.load(Ordering::Relaxed)).filter(|at_ms| *at_ms > 0);
        Token { used_ms, ..self.token.clone() }
    }
}

fn is_live(token: &Token, now_ms: u64) -> bool {
    token.revoked_ms.is_none() && token.expires_ms.is_none_or(|expires| now_ms < expires)
}

fn grant(token: &Token, hash: [u8; 32]) -> Grant {
    Grant {
        token: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.clone(),
        endpoints: token.endpoints.clone(),
        hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_opens_what_it_is_for_and_nothing_else() {
        let access = Access::default();
        let (text, token) = new_token(vec![Scope::Listen], Some(vec![name("a")]), None);
        access.put(token.clone());
        let grant = access.grant(&text).unwrap();
        assert!(grant.allows(Scope::Listen, &name("a")));
        assert!(!grant.allows(Scope::Listen, &name("b")));
        assert!(!grant.allows(Scope::Read, &name("a")));
        assert!(!grant.is_admin());
        assert!(!format!("{token:?} {grant:?}").contains(text.rsplit('_').next().unwrap()));
    }

    #[test]
    fn wrong_expired_and_revoked_tokens_open_nothing() {
        let access = Access::default();
        let (good, token) = new_token(vec![Scope::Admin], None, None);
        let (old, expired) = new_token(vec![Scope::Admin], None, Some(1));
        access.put(token.clone());
        access.put(expired);
        for bad in ["", "wr_", "wr_x_y", &old, &good[..good.len() - 1], &format!("{good}x")] {
            assert_eq!(access.grant(bad), None, "{bad}");
        }
        let grant = access.grant(&good).unwrap();
        assert!(access.has_admin() && access.holds(&grant));
        assert!(access.revoke(&token.id, 5));
        assert_eq!(access.grant(&good), None);
        assert!(!access.holds(&grant) && !access.has_admin());
    }

    #[test]
    fn a_secret_that_was_replaced_counts_for_its_grace_and_the_one_before_it_no_more() {
        let access = Access::default();
        let (first, token) = new_token(vec![Scope::Admin], None, None);
        access.put(token.clone());
        let rotate = |old_until_ms| {
            let (text, hash) = new_secret(&token.id);
            access.rotate(&token.id, NewSecretOfToken { hash, old_until_ms });
            text
        };
        let by_first = access.grant(&first).unwrap();
        assert_eq!(access.until(&by_first), None);
        let second = rotate(u64::MAX);
        assert!(access.grant(&first).is_some() && access.grant(&second).is_some());
        assert_eq!(access.until(&by_first), Some(u64::MAX));
        let third = rotate(u64::MAX);
        assert!(access.grant(&first).is_none() && access.grant(&third).is_some());
        assert_eq!(access.until(&by_first), Some(0));
        let by_third = access.grant(&third).unwrap();
        let _fourth = rotate(1);
        assert!(access.grant(&third).is_none() && !access.holds(&by_third));
    }

    #[test]
    fn a_use_is_told_once_and_only_when_there_was_one() {
        let access = Access::default();
        let (text, token) = new_token(vec![Scope::Admin], None, None);
        access.put(token.clone());
        assert!(access.uses().is_empty());
        assert!(access.grant("wr_x_y").is_none() && access.grant(&text).is_some());
        let uses = access.uses();
        assert_eq!((uses.len(), &uses[0].0), (1, &token.id));
        assert!(uses[0].1.abs_diff(now_ms()) < 60_000);
        assert!(access.uses().is_empty());
        assert_eq!(access.by_id(&token.id).unwrap().used_ms, Some(uses[0].1));
    }
}
