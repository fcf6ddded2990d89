//! The provider of an endpoint: how its events are verified, and what suits it where nobody has set anything by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use relay_trust::{Profile, Profiles, Secret};

use super::{BadSetting, PARAM, Settings};
use crate::delivery::Selector;

/// How much earlier than the provider the relay loses its patience, so that its word still arrives: a tenth of the time,
/// and not less than this.
const MARGIN_MIN: Duration = Duration::from_millis(500);

/// The patience with a target, whatever the provider's is.
const PATIENCE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(300);

/// What a provider's events are verified with.
#[derive(Debug, Clone)]
pub struct Verify {
    /// The provider, fitted to the endpoint's parameters.
    pub profile: Arc<Profile>,
    /// Those parameters.
    pub params: BTreeMap<String, String>,
}

impl PartialEq for Verify {
    fn eq(&self, other: &Self) -> bool {
        self.profile.name() == other.profile.name() && self.params == other.params
    }
}

impl Eq for Verify {}

impl Verify {
    /// By the provider of this name.
    pub(super) fn of(name: &str, profiles: &Profiles) -> Result<Self, String> {
        let found = profiles.get(name).ok_or_else(|| unknown(name, profiles))?;
        Ok(Self { profile: Arc::clone(found), params: BTreeMap::new() })
    }

    /// Looks whether these secrets can be of the provider.
    ///
    /// # Errors
    /// Which of them cannot, and what it would have to be; not the secret.
    pub fn check_secrets<'a>(
        &self,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<(), String> {
        for (at, secret) in secrets.into_iter().enumerate() {
            let told = |why| if at == 0 { why } else { format!("the {}. one: {why}", at + 1) };
            self.profile.check_secret(secret).map_err(told)?;
        }
        Ok(())
    }

    /// The same, with these parameters.
    pub(super) fn fitted(&self, params: BTreeMap<String, String>) -> Result<Self, String> {
        let profile = Arc::new(self.profile.fit(&params)?);
        Ok(Self { profile, params })
    }
}

/// That there is no such provider, and which are likely meant.
fn unknown(name: &str, profiles: &Profiles) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let near =
        |known: &&str| known.contains(&*name) || distance(&name, known) <= 1 + name.len() / 4;
    let mut likely: Vec<&str> =
        if name.is_empty() { Vec::new() } else { profiles.names().filter(near).collect() };
    likely.sort_by_key(|known| distance(&name, known));
    likely.truncate(3);
    if likely.is_empty() {
        let all: Vec<&str> = profiles.names().collect();
        return format!("no such provider; there are off, {}", all.join(", "));
    }
    format!("no such provider; did you mean {}?", likely.join(" or "))
}

/// How many letters are to be put in, left out or changed to come from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl Settings {
    /// Fits what verifies to the parameters.
    pub(super) fn fit_provider(&mut self, params: BTreeMap<String, String>) -> Option<BadSetting> {
        let bad = |key: &str, why: String| Some(BadSetting { key: key.to_owned(), why });
        let Some(verify) = &self.verify else {
            let first = params.into_keys().next()?;
            return bad(&format!("{PARAM}{first}"), "is for a provider; needs verify".into());
        };
        match verify.fitted(params) {
            Ok(fitted) => {
                self.verify = Some(fitted);
                None
            }
            Err(why) => bad("verify_param", why),
        }
    }

    /// What suits the provider, for every setting that nobody has set by hand.
    pub(super) fn suit_provider(&mut self, set: &BTreeMap<String, String>) {
        let Some(verify) = &self.verify else { return };
        let profile = Arc::clone(&verify.profile);
        let free = |key: &str| !set.contains_key(key);
        let delivery = profile.delivery();
        if let Some(waits) = delivery.timeout.filter(|_| free("reply_timeout")) {
            let patience = waits.saturating_sub((waits / 10).max(MARGIN_MIN));
            self.reply_timeout = patience.clamp(*PATIENCE.start(), *PATIENCE.end());
        }
        if let Some(max) = delivery.max_body.filter(|_| free("max_body")) {
            self.max_body = max;
        }
        if let Some(ack) = delivery.ack.as_ref().filter(|_| free("ack_status") && free("ack_body"))
        {
            self.ack_status = ack.status;
            self.ack_body = Some(ack.body.as_str().into());
            self.ack_type = ack.content_type.as_deref().map(Arc::from);
        }
        if let Some(selector) = profile.dedup().filter(|_| free("dedup")) {
            // A header that a selector cannot name says nothing.
            self.dedup = Selector::parse(selector).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_provider_is_guessed() {
        let told = |name: &str| Verify::of(name, &Profiles::embedded()).unwrap_err();
        assert_eq!(told("strpe"), "no such provider; did you mean stripe?");
        assert!(told("graph").ends_with("did you mean microsoft_graph?"));
        assert!(told("qqqqqqqq").contains("there are off, adyen, "));
        assert!(Verify::of("standard-webhooks", &Profiles::embedded()).is_ok());
    }

    #[test]
    fn distances_are_counted_in_letters() {
        for (a, b, n) in [("", "", 0), ("a", "", 1), ("slck", "slack", 1), ("gitbuh", "github", 2)]
        {
            assert_eq!(distance(a, b), n, "{a} {b}");
        }
    }
}
