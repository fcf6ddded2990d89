//! Standard Webhooks, the signing half: how a relay signs what it delivers, so that targets check one scheme only.
//!
//! <https://www.standardwebhooks.com>. A target needs `webhook-id`, `webhook-timestamp` and `webhook-signature`.

use ring::hmac;

use crate::encoding::Encoding;
use crate::secret::Secret;

/// What stands before the base64 of a secret.
const PREFIX: &str = "whsec_";
/// The least and the most bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why nothing can be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// There is no secret.
    #[error("there is no secret to sign with")]
    NoSecret,
    /// A secret is not `whsec_` and the base64 of 24 to 64 bytes.
    #[error("a secret is whsec_ and the base64 of 24 to 64 bytes")]
    BadSecret,
    /// The id is empty, or holds what would let it be read as two: a full stop, or a character that no field may hold.
    #[error("an id for signing has no full stop, no space and no control character")]
    BadId,
}

/// The value of `webhook-signature`: one signature for each of these secrets, the newest first.
///
/// `timestamp_s` is the time of this attempt, in seconds since 1970, as it stands in `webhook-timestamp`.
///
/// # Errors
/// The secrets or the id are none.
pub fn sign(
    secrets: &[Secret],
    id: &str,
    timestamp_s: u64,
    body: &[u8],
) -> Result<String, NotSigned> {
    let mut signing = Signing::begin(secrets, id, timestamp_s)?;
    signing.update(body);
    Ok(signing.end())
}

/// A signature over a body that comes in pieces.
#[derive(Debug)]
pub struct Signing(Vec<hmac::Context>);

impl Signing {
    /// Begins it; the rest is as with [`sign`].
    ///
    /// # Errors
    /// The secrets or the id are none.
    pub fn begin(secrets: &[Secret], id: &str, timestamp_s: u64) -> Result<Self, NotSigned> {
        if id.is_empty() || !id.bytes().all(|c| c.is_ascii_graphic() && c != b'.') {
            return Err(NotSigned::BadId);
        }
        if secrets.is_empty() {
            return Err(NotSigned::NoSecret);
        }
        let begun = secrets.iter().map(|secret| {
            let mut context = hmac::Context::with_key(&key(secret)?);
            context.update(format!("{id}.{timestamp_s}.").as_bytes());
            Ok(context)
        });
        begun.collect::<Result<_, _>>().map(Self)
    }

    /// The next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.iter_mut().for_each(|context| context.update(piece));
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn end(self) -> String {
        let tags = self.0.into_iter().map(hmac::Context::sign);
        let signed = tags.map(|tag| format!("v1,{}", Encoding::Base64.encode(tag.as_ref())));
        signed.collect::<Vec<_>>().join(" ")
    }
}

/// A secret made of these random bytes; `None` unless they are 24 to 64. Take 32 from the system's generator.
#[must_use]
pub fn new_secret(random: &[u8]) -> Option<Secret> {
    let fits = KEY_BYTES.contains(&random.len());
    fits.then(|| Secret::new(format!("{PREFIX}{}", Encoding::Base64.encode(random))))
}

fn key(secret: &Secret) -> Result<hmac::Key, NotSigned> {
    let text = secret.expose().strip_prefix(PREFIX).ok_or(NotSigned::BadSecret)?;
    let bytes = Encoding::Base64.decode(text.as_bytes()).ok_or(NotSigned::BadSecret)?;
    let fits = KEY_BYTES.contains(&bytes.len());
    if fits { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(NotSigned::BadSecret) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Certificates, Keys, Profiles, Request, State, verify};

    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn published() -> Secret {
        Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    #[test]
    fn the_published_vector_is_signed_alike() {
        let signed = sign(&[published()], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, BODY);
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let mut in_pieces = Signing::begin(&[published()], id, at).expect("a secret and an id");
        BODY.chunks(7).for_each(|piece| in_pieces.update(piece));
        assert_eq!(Ok(in_pieces.end()), signed);
    }

    #[test]
    fn what_is_signed_is_verified_by_either_secret() {
        let new = new_secret(&[7; 32]).expect("32 bytes");
        let signature = sign(&[new.clone(), published()], "evt_1", 1000, b"\xff").expect("signed");
        assert_eq!(signature.split(' ').count(), 2);
        let headers: [(&[u8], &[u8]); 3] = [
            (b"webhook-id", b"evt_1"),
            (b"webhook-timestamp", b"1000"),
            (b"webhook-signature", signature.as_bytes()),
        ];
        let request = Request { method: "POST", url: b"", headers: &headers, body: b"\xff" };
        let profiles = Profiles::embedded();
        let profile = profiles.get("standard-webhooks").expect("a profile");
        for secret in [new, published()] {
            let keys = Keys { secrets: &[secret], params: &Default::default(), tolerance_s: None };
            let found = verify(profile, &request, &keys, &Certificates::new(), 1_000_000);
            assert_eq!(found.map(|found| found.state), Ok(State::Verified));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_signed() {
        for id in ["", "a.b", "a b", "a\n", "ä"] {
            assert_eq!(sign(&[published()], id, 0, b""), Err(NotSigned::BadId), "{id:?}");
        }
        assert_eq!(sign(&[], "a", 0, b""), Err(NotSigned::NoSecret));
        for secret in ["", "whsec_", "whsec_YQ==", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*"] {
            assert_eq!(
                sign(&[Secret::new(secret)], "a", 0, b""),
                Err(NotSigned::BadSecret),
                "{secret}"
            );
        }
        assert_eq!((new_secret(&[0; 23]), new_secret(&[0; 65])), (None, None));
    }
}
