//! The relay's certificate from an ACME server (RFC 8555): ordered when there is none, renewed before it ends.
//!
//! The relay serves all the while, with the certificate it has, or one of its own making. An order that fails is tried
//! again ever more seldom, also across restarts.

mod challenges;
mod directory;
mod kept;
mod order;
mod plan;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use instant_acme::{Account, ChallengeType, Error, NewAccount};
use relay_client::socket::Trust;
use rustls::sign::CertifiedKey;
use tokio::time::sleep;

use super::certificate;
use super::names::Names;
use crate::clock::now_ms;
use crate::store::Store;
use crate::vault::Vault;
pub use challenges::Challenges;
pub(super) use challenges::PROTOCOL;
use directory::Directory;
use kept::{Kept, KeptAccount, KeptAttempt, KeptCertificate};
use plan::{pause, renewal};

/// The longest sleep: the clock may be set meanwhile, or the machine have slept.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// How certificates are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The names, all in one certificate.
    pub names: Vec<String>,
    /// Whom the server may write to.
    pub email: Option<String>,
    /// The server's directory.
    pub directory: String,
    /// Further authorities to trust there.
    pub ca_file: Option<PathBuf>,
    /// How long it is waited after a first failure.
    pub retry: Duration,
    /// Whether there is a plain listener to be asked at.
    pub in_clear: bool,
}

/// How it stands with the order, for people.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether what is shown is what was ordered.
    pub issued: bool,
    /// Whether an order is under way.
    pub ordering: bool,
    /// How many failed in a row.
    pub failures: u32,
    /// Why the last one did.
    pub why: Option<String>,
    /// When the next one begins, in milliseconds of the Unix epoch.
    pub next_ms: u64,
}

/// The keeper of the certificate.
#[derive(Debug)]
pub(super) struct Acme {
    settings: AcmeSettings,
    standing: RwLock<Standing>,
}

impl Acme {
    /// Shows the certificate that is kept, if it still holds, or one that the relay makes itself.
    ///
    /// # Errors
    /// When the store cannot be read, or the names are none.
    pub(super) async fn start(
        settings: AcmeSettings,
        store: &Store,
        vault: &Vault,
        names: &Names,
    ) -> anyhow::Result<Self> {
        let (found, mut next_ms, mut issued) = (KeptCertificate::get(vault).await?, 0, false);
        let shown = match found.as_ref().and_then(holding) {
            Some((shown, validity)) => {
                issued =
                    found.is_some_and(|found| settings.ordered(&found.directory, &found.names));
                next_ms = if issued { renewal(validity, fastrand::f64()) } else { 0 };
                shown
            }
            None => {
                let made = certificate::self_signed(&settings.names, None);
                Arc::new(made.map_err(anyhow::Error::msg)?)
            }
        };
        names.show_ordered(shown);
        if let Some(last) = KeptAttempt::get(store).await?
            && settings.ordered(&last.directory, &last.names)
        {
            // A relay that is started over and over does not ask over and over.
            let wait = u64::try_from(settings.retry.as_millis()).unwrap_or(u64::MAX);
            next_ms = next_ms.max(last.at_ms.min(now_ms()).saturating_add(wait));
        }
        let standing = RwLock::new(Standing { issued, next_ms, ..Standing::default() });
        Ok(Self { settings, standing })
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Orders and renews for ever.
    pub(super) async fn keep(&self, store: &Store, vault: &Vault, names: &Names) {
        loop {
            let before = self.standing();
            wait_until(before.next_ms).await;
            self.stand(Standing { ordering: true, ..before.clone() });
            tracing::info!(names = self.settings.names.join(" "), "a certificate is being ordered");
            let ended = self.order(store, vault, before.failures, names).await;
            names.challenges.clear();
            self.stand(match ended {
                Ok((shown, validity)) => {
                    names.show_ordered(shown);
                    tracing::info!(
                        names = self.settings.names.join(" "),
                        "there is a new certificate"
                    );
                    let next_ms = renewal(validity, fastrand::f64());
                    Standing { issued: true, next_ms, ..Standing::default() }
                }
                Err(error) => self.failed(&error, &before),
            });
        }
    }

    fn stand(&self, standing: Standing) {
        *self.standing.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    fn failed(&self, error: &anyhow::Error, before: &Standing) -> Standing {
        let failures = before.failures + 1;
        let too_many = is(error, "rateLimited");
        let pause = pause(self.settings.retry, failures, too_many, fastrand::f64());
        let why = format!("{error:#}");
        tracing::error!(why, failures, ?pause, "no certificate was issued; it is tried again");
        let next_ms = now_ms() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Standing { issued: before.issued, ordering: false, failures, why: Some(why), next_ms }
    }

    /// One order; what it brings is kept.
    async fn order(
        &self,
        store: &Store,
        vault: &Vault,
        failures: u32,
        names: &Names,
    ) -> anyhow::Result<(Arc<CertifiedKey>, (u64, u64))> {
        let (directory, wanted) = (self.settings.directory.clone(), self.settings.names.clone());
        let attempt = KeptAttempt { directory, names: wanted, at_ms: now_ms() };
        attempt.put(store).await?;
        let account = self.account(vault).await?;
        // Where one way is barred, the next attempt goes the other.
        let mut kinds = vec![ChallengeType::TlsAlpn01];
        if self.settings.in_clear {
            kinds.insert(0, ChallengeType::Http01);
        }
        let turns = failures as usize % kinds.len();
        kinds.rotate_left(turns);
        let KeptAttempt { directory, names: wanted, .. } = attempt;
        let issued = order::order(&account, &wanted, &kinds, &names.challenges).await;
        let issued = match issued.map_err(anyhow::Error::from) {
            Err(error) if is(&error, "accountDoesNotExist") => {
                vault.forget_own(KeptAccount::OWN).await?;
                return Err(error.context("the next attempt makes a new account"));
            }
            issued => issued?,
        };
        let order::Issued { chain, key } = issued;
        let kept = KeptCertificate { directory, names: wanted, chain, key };
        let shown = holding(&kept);
        let shown = shown.ok_or_else(|| anyhow::anyhow!("what was issued does not hold"))?;
        if let Err(error) = kept.put(vault).await {
            tracing::error!(%error, "the new certificate could not be kept: it is gone after a restart");
        }
        Ok(shown)
    }

    /// The account that is kept, or a new one.
    async fn account(&self, vault: &Vault) -> anyhow::Result<Account> {
        let AcmeSettings { directory, email, ca_file, .. } = &self.settings;
        let trust = Trust::load(ca_file.as_deref())?;
        let builder = Account::builder_with_http(Box::new(Directory { trust }));
        let contact: Vec<String> = email.iter().map(|email| format!("mailto:{email}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let kept = KeptAccount::get(vault).await?.filter(|kept| kept.directory == *directory);
        let (account, credentials) = match kept {
            Some(kept) if kept.email == *email => {
                return Ok(builder.from_credentials(kept.credentials).await?);
            }
            Some(kept) => {
                let copy = serde_json::from_value(serde_json::to_value(&kept.credentials)?)?;
                let account = builder.from_credentials(copy).await?;
                account.update_contacts(&contact).await?;
                (account, kept.credentials)
            }
            None => {
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                builder.create(&new, directory.clone(), None).await?
            }
        };
        let (directory, email) = (directory.clone(), email.clone());
        KeptAccount { directory, email, credentials }.put(vault).await?;
        Ok(account)
    }
}

impl AcmeSettings {
    /// Whether it is this that was ordered there.
    fn ordered(&self, directory: &str, names: &[String]) -> bool {
        self.directory == directory && self.names == names
    }
}

/// A certificate that is kept, with the time it holds, unless that is over.
fn holding(kept: &KeptCertificate) -> Option<(Arc<CertifiedKey>, (u64, u64))> {
    let key = certificate::from_pem(kept.chain.as_bytes(), kept.key.as_bytes()).ok()?;
    let (from, until) = certificate::validity(&key)?;
    (until > now_ms()).then(|| (Arc::new(key), (from, until)))
}

/// Whether a server has refused with this kind of error (RFC 8555 §6.7).
fn is(error: &anyhow::Error, kind: &str) -> bool {
    let Some(Error::Api(problem)) = error.downcast_ref() else { return false };
    let told =
        problem.r#type.as_deref().and_then(|told| told.strip_prefix("urn:ietf:params:acme:error:"));
    told == Some(kind)
}

async fn wait_until(at_ms: u64) {
    loop {
        let left = Duration::from_millis(at_ms.saturating_sub(now_ms()));
        if left.is_zero() {
            return;
        }
        sleep(left.min(SLEEP_MAX)).await;
    }
}
