//! The end of what was granted: waited for by everything that stays open under a token.

use std::time::Duration;

use tokio::time::sleep;

use super::{Access, Grant};
use crate::clock::now_ms;
use crate::store::records::Token;

/// The longest sleep, after which the clock on the wall is looked at again: somebody may have set it.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

impl Access {
    /// Completes when what was granted holds no more, and says why.
    pub async fn ended(&self, grant: &Grant) -> &'static str {
        loop {
            // Before looking, so that nothing is missed in between.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = now_ms();
            match self.until(grant) {
                Some(until_ms) if until_ms <= now => return self.why(grant),
                Some(until_ms) => {
                    let left = Duration::from_millis(until_ms - now).min(LOOK_AGAIN);
                    tokio::select! {
                        () = changed => {}
                        () = sleep(left) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    fn why(&self, grant: &Grant) -> &'static str {
        let Some(kept) = self.tokens.get(&grant.token) else { return "the token is gone" };
        match &kept.token {
            Token { revoked_ms: Some(_), .. } => "the token was revoked",
            Token { expires_ms: Some(at), .. } if *at <= now_ms() => "the token has expired",
            _ => "the token has another secret now",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::{new_secret, new_token};
    use crate::store::records::{NewSecretOfToken, Scope};

    #[tokio::test]
    async fn the_end_is_told_with_its_reason() {
        let access = Arc::new(Access::default());
        let grant_of = |expires_ms| {
            let (text, token) = new_token(vec![Scope::Listen], None, expires_ms);
            access.put(token);
            access.grant(&text).unwrap()
        };
        let soon = grant_of(Some(now_ms() + 20));
        assert_eq!(access.ended(&soon).await, "the token has expired");
        let replaced = grant_of(None);
        let (_, hash) = new_secret(&replaced.token);
        access.rotate(&replaced.token, NewSecretOfToken { hash, old_until_ms: now_ms() + 20 });
        assert_eq!(access.ended(&replaced).await, "the token has another secret now");
        let revoked = grant_of(None);
        let ended = tokio::spawn({
            let (access, revoked) = (Arc::clone(&access), revoked.clone());
            async move { access.ended(&revoked).await }
        });
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        access.revoke(&revoked.token, now_ms());
        assert_eq!(ended.await.unwrap(), "the token was revoked");
    }
}
