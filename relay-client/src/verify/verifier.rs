//! Verification at the agent: each request of an endpoint is judged before the target sees it, by the time at which the
//! relay received it, for it may have waited since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use relay_protocol::webhook::Request;
use relay_trust::profile::Unprovable;
use relay_trust::{Certificates, Finding, Keys, Profile, Profiles, Reason, Secret, verify};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::told::Told;
use super::{profile, read_secrets_of};

/// How long the secrets that were read are used before the files are looked at again.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// The longest body that is judged, in bytes: it must be whole in memory.
pub const BODY_MAX: usize = 32 << 20;

/// What the relay puts on a request with several events in it; from elsewhere it does not come.
const BATCH: &[u8] = b"webhook-relay-batch";

/// How many bodies that do not come at once are gathered at a time.
const GATHERED_MAX: usize = 8;

/// What to do with a request that nothing proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The target never sees it, and the provider gets 401.
    #[default]
    Reject,
    /// The target gets it, with what was found.
    Mark,
}

/// How an endpoint's requests are to be judged.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Who signs.
    pub provider: String,
    /// Files with its secrets.
    pub secret_files: Vec<PathBuf>,
    /// What its scheme needs beside a secret.
    pub params: BTreeMap<String, String>,
    /// Where the provider sends requests, if not to what the relay says: the URL up to and with the endpoint's key.
    pub public_url: Option<String>,
    /// What to do with a request that nothing proves.
    pub on_failure: OnFailure,
}

/// That nothing of this provider could ever be proved here, and what to do instead.
fn unprovable(name: &str, why: Unprovable) -> String {
    match why {
        Unprovable::NothingSent => format!("{name} sends nothing by which it could be checked"),
        Unprovable::Fetched => format!(
            "{name} signs with a certificate that is fetched from it, which an agent does not do: have the relay check it \
             (endpoints set NAME verify={name})"
        ),
    }
}

/// Judges the requests of one endpoint.
#[derive(Debug)]
pub struct Verifier {
    wanted: Wanted,
    profile: Profile,
    secrets: Mutex<Read>,
    /// What the relay says is the endpoint's URL.
    url: Mutex<String>,
    gathering: Semaphore,
}

/// The secrets as they were read last.
#[derive(Debug)]
struct Read {
    secrets: Vec<Secret>,
    at: Instant,
}

impl Verifier {
    /// A verifier, with its secrets read.
    ///
    /// # Errors
    /// What is wrong with the provider, its parameters or a file, in words that do not tell a secret.
    pub fn new(profiles: &Profiles, wanted: Wanted) -> Result<Self, String> {
        let profile = profile(profiles, &wanted.provider, &wanted.params)?;
        if let Some(why) = profile.unprovable_offline() {
            return Err(unprovable(profile.name(), why));
        }
        let secrets = read_secrets_of(&profile, &wanted.secret_files)?;
        Ok(Self {
            wanted,
            profile,
            secrets: Mutex::new(Read { secrets, at: Instant::now() }),
            url: Mutex::default(),
            gathering: Semaphore::new(GATHERED_MAX),
        })
    }

    /// Takes down what the relay says is the endpoint's URL.
    pub fn learn(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A place among those whose bodies are gathered at a time.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.gathering.acquire().await.ok()
    }

    /// Whether a request of which this was found may not reach the target.
    #[must_use]
    pub fn rejects(&self, told: &Told) -> bool {
        self.wanted.on_failure == OnFailure::Reject && !told.is_good()
    }

    /// What is found of this request.
    ///
    /// Of a batch, nothing: no provider has signed what the relay has put together.
    #[must_use]
    pub fn judge(&self, request: &Request, body: &[u8]) -> Told {
        if request.fields.first(BATCH).is_some() {
            return self.told(request, Finding::unattempted(Reason::Batched));
        }
        let (url, method) = (self.url_of(request), String::from_utf8_lossy(&request.method));
        let headers: Vec<(&[u8], &[u8])> = request.fields.iter().collect();
        let asked = relay_trust::Request { method: &method, url: &url, headers: &headers, body };
        let secrets = self.secrets();
        let keys = Keys { secrets: &secrets, params: &self.wanted.params, tolerance_s: None };
        let at_ms = request.event.unix_ms();
        // An agent fetches nothing from the outside for a stranger's request.
        let found = verify(&self.profile, &asked, &keys, &Certificates::new(), at_ms)
            .unwrap_or(Finding::unattempted(Reason::CertificateUnavailable));
        self.told(request, found)
    }

    /// What is told of a request that was found to be this.
    pub(crate) fn told(&self, request: &Request, found: Finding) -> Told {
        let Finding { state, reason, .. } = found;
        let provider = self.profile.name().to_owned();
        Told { state, reason, provider, at_ms: request.event.unix_ms() }
    }

    /// The whole URL as the provider knows it.
    fn url_of(&self, request: &Request) -> Vec<u8> {
        let mut url = match &self.wanted.public_url {
            Some(url) => url.clone(),
            None => self.url.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
        .into_bytes();
        url.extend_from_slice(&request.path);
        url
    }

    /// The secrets as they are now: a file can be replaced under a running agent.
    fn secrets(&self) -> Vec<Secret> {
        let mut read = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if read.at.elapsed() >= READ_AGAIN {
            match read_secrets_of(&self.profile, &self.wanted.secret_files) {
                Ok(secrets) => read.secrets = secrets,
                // Somebody is just writing it, perhaps.
                Err(error) => tracing::warn!(error, "the secrets stay as they were"),
            }
            read.at = Instant::now();
        }
        read.secrets.clone()
    }
}

/// An endpoint's `verify` in the agent's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    provider: String,
    #[serde(default)]
    secret_file: Files,
    #[serde(default)]
    on_failure: OnFailure,
    public_url: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

/// One file, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Files {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Default for Files {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Table {
    /// What it says; its files are found by `beside`.
    pub(crate) fn wanted(&self, beside: impl Fn(&Path) -> PathBuf) -> Wanted {
        let files = match &self.secret_file {
            Files::One(file) => std::slice::from_ref(file),
            Files::Several(files) => files,
        };
        Wanted {
            provider: self.provider.clone(),
            secret_files: files.iter().map(|file| beside(file)).collect(),
            params: self.params.clone(),
            public_url: self.public_url.clone(),
            on_failure: self.on_failure,
        }
    }
}
