//! Signs what is forwarded anew, in the scheme of Standard Webhooks with the endpoint's own secrets, at each attempt: so a
//! target checks one scheme whoever the provider is, and however late the event comes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_protocol::id::EventId;
use relay_trust::Secret;
use ring::hmac;
use tokio::task::spawn_blocking;

use super::{Dispatcher, Payload};
use crate::clock::now_ms;
use crate::endpoint::EndpointId;
use crate::store::records::Purpose;
use crate::store::spool::Spooled;

/// How much of a file is hashed at once, in bytes.
const PIECE: usize = 256 * 1024;

/// A body above this many bytes is hashed on a thread of its own.
const LARGE: usize = 64 * 1024;

/// The fields of the scheme, in lower case.
pub(super) const FIELDS: [&[u8]; 3] = [b"webhook-id", b"webhook-timestamp", b"webhook-signature"];

/// A signature, as the values of [`FIELDS`].
#[derive(Debug)]
pub(super) struct Signed(pub(super) [String; 3]);

/// What is signed beside the body.
struct Words {
    id: String,
    timestamp: String,
    keys: Vec<hmac::Key>,
}

impl Dispatcher {
    /// The signature of an event that goes out now. Without a secret there is none, and neither is there where the body
    /// cannot be read: the attempt itself will tell.
    pub(super) async fn sign(
        &self,
        endpoint: EndpointId,
        event: EventId,
        payload: &Payload,
    ) -> Option<Signed> {
        let secrets = self.vault.of(endpoint);
        let keys: Vec<hmac::Key> =
            secrets.of(Purpose::Signing).filter_map(|kept| key(&kept.secret)).collect();
        if keys.is_empty() {
            return None;
        }
        let words = Words { id: event.to_string(), timestamp: (now_ms() / 1000).to_string(), keys };
        match payload {
            Payload::Whole { bytes, .. } if bytes.len() <= LARGE => Some(words.sign([&bytes[..]])),
            Payload::Whole { bytes, .. } => {
                let bytes = bytes.clone();
                spawn_blocking(move || words.sign([&bytes[..]])).await.ok()
            }
            Payload::Stored(file, _) => {
                let file = Arc::clone(file);
                spawn_blocking(move || words.sign_file(&file)).await.ok()?.ok()
            }
            // An endpoint that signs wants the whole body first.
            Payload::Growing(..) => None,
        }
    }
}

impl Words {
    fn sign<'a>(self, body: impl IntoIterator<Item = &'a [u8]>) -> Signed {
        let mut contexts = self.begin();
        for piece in body {
            contexts.iter_mut().for_each(|context| context.update(piece));
        }
        self.end(contexts)
    }

    fn sign_file(self, file: &Spooled) -> std::io::Result<Signed> {
        let (mut contexts, mut at) = (self.begin(), 0);
        loop {
            let piece = file.read(at, PIECE)?;
            if piece.is_empty() {
                return Ok(self.end(contexts));
            }
            at += piece.len() as u64;
            contexts.iter_mut().for_each(|context| context.update(&piece));
        }
    }

    fn begin(&self) -> Vec<hmac::Context> {
        let begun = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            for part in [&self.id, ".", &self.timestamp, "."] {
                context.update(part.as_bytes());
            }
            context
        };
        self.keys.iter().map(begun).collect()
    }

    /// One signature for each secret, so that a target may have any of them.
    fn end(self, contexts: Vec<hmac::Context>) -> Signed {
        let all = contexts.into_iter().rev();
        let all: Vec<String> =
            all.map(|context| format!("v1,{}", STANDARD.encode(context.sign()))).collect();
        Signed([self.id, self.timestamp, all.join(" ")])
    }
}

/// The key in a secret of the form `whsec_` and base64.
fn key(secret: &Secret) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.expose().strip_prefix("whsec_")?).ok()?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_the_one_that_the_libraries_of_the_scheme_give() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let words = || Words {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            timestamp: "1614265330".into(),
            keys: vec![key(&secret).unwrap()],
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let Signed([id, timestamp, signature]) = words().sign([&b"{\"test\": 2432232314}"[..]]);
        assert_eq!((&*id, &*timestamp), ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"));
        assert_eq!(signature, expected);
        let Signed([.., in_pieces]) = words().sign([&b"{\"test\": "[..], b"2432232314}"]);
        assert_eq!(in_pieces, expected);
    }
}
