//! Digests and the ways in which bytes are written as text.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

/// Base64 as everybody writes it; what is read may lack its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    /// Two digits a byte, in either case.
    Hex,
    /// RFC 4648 §4.
    Base64,
}

impl Digest {
    pub(crate) fn hash(self) -> &'static ring::digest::Algorithm {
        match self {
            Self::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        }
    }

    pub(crate) fn hmac(self) -> ring::hmac::Algorithm {
        match self {
            Self::Sha1 => ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => ring::hmac::HMAC_SHA256,
            Self::Sha384 => ring::hmac::HMAC_SHA384,
            Self::Sha512 => ring::hmac::HMAC_SHA512,
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(self) -> usize {
        self.hash().output_len()
    }
}

impl Encoding {
    pub(crate) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex(text),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}

/// Base64 as tokens have it: RFC 4648 §5, without padding. Every text of it has one form only.
pub(crate) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for encoding in [Encoding::Hex, Encoding::Base64] {
            for bytes in [&b""[..], b"a", b"ab", b"abc", &[0, 255, 16]] {
                let text = encoding.encode(bytes);
                assert_eq!(encoding.decode(text.as_bytes()).as_deref(), Some(bytes));
            }
        }
        assert_eq!(Encoding::Hex.decode(b"0aFF"), Some(vec![10, 255]));
        assert_eq!(Encoding::Base64.decode(b"YQ"), Some(b"a".to_vec()));
        for text in [&b"0"[..], b"0g", b"+1", b"\xff\xff"] {
            assert_eq!(Encoding::Hex.decode(text), None);
        }
        assert_eq!(Encoding::Base64.decode(b"Y Q="), None);
        assert_eq!(base64url(b"-_8"), Some(vec![0xfb, 0xff]));
        for text in [&b"+/8"[..], b"-_8=", b"-_9", b"-_8\n", b"-"] {
            assert_eq!(base64url(text), None);
        }
    }
}
