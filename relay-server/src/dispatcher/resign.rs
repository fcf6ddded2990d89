//! Signs what is forwarded anew, in the scheme of Standard Webhooks with the endpoint's own secrets, at each attempt: so a
//! target checks one scheme whoever the provider is, and however late the event comes.

use std::sync::Arc;

use relay_protocol::id::EventId;
use relay_trust::Secret;
use relay_trust::standard::{NotSigned, Signing};
use tokio::task::spawn_blocking;

use super::{Dispatcher, Payload};
use crate::clock::now_ms;
use crate::endpoint::EndpointId;
use crate::store::records::Purpose;
use crate::store::spool::Spooled;

/// A body above this many bytes is hashed on a thread of its own.
const LARGE: usize = 64 * 1024;

/// The fields of the scheme, in lower case.
pub(super) const FIELDS: [&[u8]; 3] = [b"webhook-id", b"webhook-timestamp", b"webhook-signature"];

/// A signature, as the values of [`FIELDS`].
#[derive(Debug)]
pub(super) struct Signed(pub(super) [String; 3]);

/// Why an event is not signed that should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsigned {
    /// What it is signed with is none.
    #[error(transparent)]
    Words(#[from] NotSigned),
    /// Its body cannot be read.
    #[error("its body cannot be read: {0}")]
    Body(#[from] std::io::Error),
}

impl Dispatcher {
    /// The signature of an event that goes out now.
    ///
    /// # Errors
    /// When it cannot be signed; its endpoint has said that it is, so it must not go out.
    pub(super) async fn sign(
        &self,
        endpoint: EndpointId,
        event: EventId,
        payload: &Payload,
    ) -> Result<Signed, Unsigned> {
        let secrets = self.vault.of(endpoint);
        let mut secrets: Vec<Secret> =
            secrets.of(Purpose::Signing).map(|kept| kept.secret.clone()).collect();
        secrets.reverse();
        let (id, timestamp_s) = (event.to_string(), now_ms() / 1000);
        let mut signing = Signing::begin(&secrets, &id, timestamp_s)?;
        let signature = match payload {
            Payload::Whole { bytes, .. } if bytes.len() <= LARGE => {
                signing.update(bytes);
                signing.end()
            }
            Payload::Whole { bytes, .. } => {
                let bytes = bytes.clone();
                let hash = move || {
                    signing.update(&bytes);
                    signing.end()
                };
                spawn_blocking(hash).await.map_err(std::io::Error::other)?
            }
            Payload::Stored(file, _) => {
                let file = Arc::clone(file);
                let hash = move || sign_file(signing, &file);
                spawn_blocking(hash).await.map_err(std::io::Error::other)??
            }
            // An endpoint that signs wants the whole body first; this one has only just begun to.
            Payload::Growing(..) => return Err(std::io::Error::other("it is not whole").into()),
        };
        Ok(Signed([id, timestamp_s.to_string(), signature]))
    }
}

fn sign_file(mut signing: Signing, file: &Spooled) -> std::io::Result<String> {
    file.each(|bytes| signing.update(bytes))?;
    Ok(signing.end())
}
