//! What is asked of an event before anything is done with it: whether its provider has sent it.
//!
//! Knows the endpoint's settings, its secrets and the certificates of providers; neither the store nor any agent. What a
//! signature is, [`relay_trust`] knows.

mod case;
mod fetch;

use std::sync::Arc;

use relay_protocol::webhook::Fields;
use relay_trust::{Answer, Certificates, Keep, Reason};

use crate::budget::Budget;
use crate::config::PublicUrls;
use crate::endpoint::Endpoint;
use crate::endpoint::settings::OnFailure;
use crate::event::{Body, Checked, Head};
use crate::problem::{Code, Problem};
use crate::store::StoreError;
use crate::store::records::{Actor, NewSecret, Purpose, SecretChange};
use crate::vault::{Vault, VaultError};
use case::Case;
pub use fetch::Fetcher;
use fetch::NotFetched;

/// How many certificates one event may need.
const CERTIFICATES_MAX: usize = 2;

/// What a request is.
#[derive(Debug)]
pub enum Verdict {
    /// An event, of which this was found.
    Event(Found),
    /// No event: the provider wants this answer before it believes in the URL.
    Handshake(Box<Answer>),
}

/// What was found of an event.
#[derive(Debug)]
pub struct Found {
    /// What is known of who sent it.
    pub checked: Box<Checked>,
    /// Whether it may be taken.
    pub admitted: bool,
    /// Whether its sender waits for data, so that "taken" is no answer.
    pub wants_data: bool,
}

/// Who asks it.
#[derive(Debug)]
pub struct Gate {
    /// The secrets.
    pub vault: Arc<Vault>,
    /// How providers know endpoints, where nothing else is set.
    pub urls: Arc<PublicUrls>,
    /// Where certificates come from.
    pub fetcher: Fetcher,
    /// The memory for bodies that are in files.
    pub budget: Budget,
}

impl Gate {
    /// Looks at a request for an endpoint that verifies: its head, all the header fields that came with it, its whole body.
    /// What a handshake asks for is done when this returns.
    ///
    /// # Errors
    /// When it cannot be told or done now.
    pub async fn look(
        &self,
        endpoint: &Arc<Endpoint>,
        head: &Head,
        headers: Fields,
        body: &Body,
    ) -> Result<Verdict, Problem> {
        let held = match body {
            Body::Spooled(file) => {
                let length = usize::try_from(file.len()).unwrap_or(usize::MAX);
                Some(self.budget.take(length).ok_or_else(overloaded)?)
            }
            Body::Memory(_) | Body::Absent(_) => None,
        };
        let mut case = Case::of(endpoint, head, headers, body, &self.vault, &self.urls);
        let mut certificates = Certificates::new();
        for _ in 0..=CERTIFICATES_MAX {
            let (back, found) = case.judged(certificates.clone()).await?;
            let missing = match found {
                Ok(Verdict::Handshake(answer)) => {
                    self.carry_out(endpoint, &answer).await?;
                    return Ok(Verdict::Handshake(answer));
                }
                Ok(event) => return Ok(event),
                Err(missing) => missing,
            };
            case = back;
            match self.fetcher.get(&missing.url).await {
                Ok(certificate) => certificates.insert(missing.url, certificate),
                Err(NotFetched::ForGood(why)) => {
                    tracing::warn!(endpoint = %endpoint.name, url = missing.url, why, "there is no certificate");
                    break;
                }
                Err(NotFetched::ForNow(why)) => {
                    tracing::warn!(endpoint = %endpoint.name, url = missing.url, why, "a certificate was not fetched");
                    // Where such events go on marked, this one does not wait for it either.
                    if endpoint.settings.on_failure == OnFailure::Mark {
                        break;
                    }
                    return Err(unreachable());
                }
            }
        }
        drop(held);
        Ok(Verdict::Event(case.failed(Reason::CertificateUnavailable)))
    }

    /// Does what a handshake asks for beside its answer.
    async fn carry_out(&self, endpoint: &Arc<Endpoint>, answer: &Answer) -> Result<(), Problem> {
        if let Some(url) = &answer.visit {
            self.fetcher.visit(url).await.map_err(|why| {
                tracing::warn!(endpoint = %endpoint.name, ?why, "a subscription is not confirmed");
                unreachable()
            })?;
            tracing::info!(endpoint = %endpoint.name, "a subscription was confirmed");
        }
        if let Some(keep) = &answer.keep {
            self.keep(endpoint, keep).await.map_err(|error| {
                tracing::error!(endpoint = %endpoint.name, %error, "a provider's secret is not kept");
                let words = "the relay cannot keep the secret that came with this";
                Problem::new(Code::StoreUnavailable, words)
            })?;
        }
        Ok(())
    }

    /// Keeps the secret that came with a handshake, if the endpoint still has none: anybody could send another.
    async fn keep(&self, endpoint: &Arc<Endpoint>, keep: &Keep) -> Result<(), VaultError> {
        let sealed = self.vault.seal(&endpoint.name, Purpose::Provider, keep.secret.expose())?;
        let new = NewSecret { unseen: keep.show, ..sealed };
        let change = SecretChange::Add { new, most: 1 };
        let (vault, its) = (Arc::clone(&self.vault), Arc::clone(endpoint));
        // A task of its own: a provider that hangs up meanwhile leaves no secret in the store that counts nowhere.
        let keeping = async move { vault.change(&its, change, Actor::handshake()).await };
        let kept = tokio::spawn(keeping).await;
        kept.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        let how = if keep.show { "; endpoints secrets show tells it once" } else { "" };
        tracing::info!(endpoint = %endpoint.name, "the provider has sent its secret{how}");
        Ok(())
    }
}

fn overloaded() -> Problem {
    Problem::new(Code::RelayOverloaded, "the relay has as many bytes in hand as it may").closing()
}

fn unreachable() -> Problem {
    let words = "what the provider keeps on the web cannot be fetched at the moment";
    Problem::new(Code::RelayOverloaded, words)
}
