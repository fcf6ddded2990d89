//! One event before the verifier: everything it looks at, in one place that can be moved to a thread of its own.

use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::webhook::Fields;
use relay_trust::profile::Fallback;
use relay_trust::{Certificates, Finding, Keys, NeedsCertificate, Reason, Request, Secret, State};
use tokio::task::spawn_blocking;

use super::{Found, Verdict};
use crate::clock::now_ms;
use crate::config::PublicUrls;
use crate::endpoint::Endpoint;
use crate::endpoint::settings::{OnFailure, Verify};
use crate::event::{Body, Checked, Head};
use crate::problem::{Code, Problem};
use crate::store::records::Purpose;
use crate::vault::Vault;

/// A body above this many bytes is looked at on a thread of its own: to hash it takes as long as many small requests.
const LARGE: u64 = 64 * 1024;

/// The longest name of an event's kind that is kept, in bytes.
const TYPE_MAX: usize = 200;

/// One event.
pub(super) struct Case {
    endpoint: Arc<Endpoint>,
    method: Bytes,
    url: Vec<u8>,
    headers: Fields,
    body: Body,
    /// The newest first.
    secrets: Vec<Secret>,
    received_ms: u64,
}

/// What came of a look at it.
pub(super) type Looked = Result<Verdict, NeedsCertificate>;

impl Case {
    pub(super) fn of(
        endpoint: &Arc<Endpoint>,
        head: &Head,
        headers: Fields,
        body: &Body,
        vault: &Vault,
        urls: &PublicUrls,
    ) -> Self {
        let secrets = vault.of(endpoint.id);
        let mut secrets: Vec<Secret> =
            secrets.of(Purpose::Provider).map(|kept| kept.secret.clone()).collect();
        secrets.reverse();
        let base = match &endpoint.settings.public_url {
            Some(url) => url.as_bytes().to_vec(),
            None => urls.of(&endpoint.key).into_bytes(),
        };
        Self {
            endpoint: Arc::clone(endpoint),
            method: head.method.clone(),
            url: [&base[..], &head.path].concat(),
            headers,
            body: body.clone(),
            secrets,
            // By the clock: an id may be ahead of it, where the clock was set back.
            received_ms: now_ms(),
        }
    }

    /// Looks at it, here if it is small, and gives it back.
    ///
    /// # Errors
    /// When its body cannot be read.
    pub(super) async fn judged(
        self,
        certificates: Certificates,
    ) -> Result<(Self, Looked), Problem> {
        if let Body::Memory(bytes) = &self.body
            && bytes.len() as u64 <= LARGE
        {
            let looked = self.look(bytes, &certificates);
            return Ok((self, looked));
        }
        let elsewhere = spawn_blocking(move || {
            let bytes = match &self.body {
                Body::Memory(bytes) => bytes.clone(),
                Body::Spooled(file) => {
                    file.read(0, usize::try_from(file.len()).unwrap_or(usize::MAX))?
                }
                Body::Absent(_) => Bytes::new(),
            };
            let looked = self.look(&bytes, &certificates);
            Ok::<_, std::io::Error>((self, looked))
        });
        elsewhere.await.map_err(std::io::Error::other).and_then(|looked| looked).map_err(|error| {
            tracing::error!(%error, "a body cannot be read back to be verified");
            Problem::new(Code::StoreUnavailable, "the relay cannot read large bodies at the moment")
        })
    }

    /// What is found if a check cannot even be made.
    pub(super) fn failed(&self, reason: Reason) -> Found {
        self.found(self.verify(), Finding::failed(reason), None, false)
    }

    fn verify(&self) -> &Verify {
        self.endpoint.settings.verify.as_ref().expect("only an endpoint that verifies is asked")
    }

    fn look(&self, body: &[u8], certificates: &Certificates) -> Looked {
        let headers: Vec<(&[u8], &[u8])> = self.headers.iter().collect();
        let method = std::str::from_utf8(&self.method).unwrap_or_default();
        let request = Request { method, url: &self.url, headers: &headers, body };
        let verify = self.verify();
        let (secrets, params) = (&self.secrets[..], &verify.params);
        let keys = Keys { secrets, params, tolerance_s: None };
        let (profile, now_ms) = (&verify.profile, self.received_ms);
        let handshake = relay_trust::handshake(profile, &request, &keys, certificates, now_ms)?;
        if let Some(answer) = handshake {
            return Ok(Verdict::Handshake(Box::new(answer)));
        }
        let finding = relay_trust::verify(profile, &request, &keys, certificates, now_ms)?;
        let wants_data = profile.fallback(&request) == Fallback::Fail;
        let event_type = profile.event_type(&request);
        Ok(Verdict::Event(self.found(verify, finding, event_type, wants_data)))
    }

    fn found(
        &self,
        verify: &Verify,
        finding: Finding,
        event_type: Option<String>,
        wants_data: bool,
    ) -> Found {
        let Finding { state, reason, .. } = finding;
        // Where the provider gives nothing to check, that is no fault of the event.
        let unsigned = state == State::Unattempted && reason == Some(Reason::NotSigned);
        let marks = self.endpoint.settings.on_failure == OnFailure::Mark;
        let checked = Checked {
            provider: verify.profile.name().into(),
            state,
            reason,
            event_type: event_type.and_then(short),
        };
        Found {
            checked: Box::new(checked),
            admitted: finding.is_good() || unsigned || marks,
            wants_data: wants_data && !self.endpoint.set.contains_key("fallback"),
        }
    }
}

/// The beginning of the name of a kind; none, if there is nothing in it.
fn short(mut event_type: String) -> Option<Box<str>> {
    let end =
        (0..=TYPE_MAX.min(event_type.len())).rev().find(|at| event_type.is_char_boundary(*at));
    event_type.truncate(end.unwrap_or(0));
    (!event_type.is_empty()).then(|| event_type.into())
}
