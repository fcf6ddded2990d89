//! A token as it is written: three parts of base64url with a full stop between two (RFC 7515 §7.1), the first two of them
//! JSON. What is written otherwise is none, so that no two readers can see two things in it.

use std::borrow::Cow;

use crate::encoding::base64url;
use crate::finding::Reason;
use crate::json::{Found, Path};

/// The longest token, in bytes: it stands in a header field.
const TOKEN_MAX: usize = 16 * 1024;

/// A token of which nothing is proved yet.
pub(crate) struct Token<'t> {
    /// The first two parts as they were sent: what is signed.
    pub(crate) signed: &'t [u8],
    header: Vec<u8>,
    claims: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// The token in this text.
    pub(crate) fn read(text: &'t [u8]) -> Option<Self> {
        let mut parts = text.split(|c| *c == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || text.len() > TOKEN_MAX {
            return None;
        }
        let signed = &text[..header.len() + 1 + claims.len()];
        let (header, claims) = (object(header)?, object(claims)?);
        Some(Self { signed, header, claims, signature: base64url(signature)? })
    }

    /// What its header says that it is signed with; nobody has vouched for that.
    pub(crate) fn algorithm(&self) -> Result<Cow<'_, str>, Reason> {
        // What an extension means is not known here, and it says that it must be (RFC 7515 §4.1.11).
        if at(&self.header, "crit")?.is_some() {
            return Err(Reason::AlgorithmNotAllowed);
        }
        let named = at(&self.header, "alg")?.filter(|found| found.is_string());
        named.and_then(Found::text).ok_or(Reason::MalformedSignature)
    }

    /// The texts of a claim: of one that is a list, all that are in it.
    pub(crate) fn texts(&self, claim: &str) -> Result<Vec<Cow<'_, str>>, Reason> {
        let Some(found) = at(&self.claims, claim)? else { return Ok(Vec::new()) };
        if found.raw().starts_with('[') {
            return Ok(serde_json::from_str(found.raw()).unwrap_or_default());
        }
        Ok(found.text().into_iter().collect())
    }

    /// The text of a claim.
    pub(crate) fn text(&self, claim: &str) -> Result<Option<Cow<'_, str>>, Reason> {
        Ok(at(&self.claims, claim)?.filter(|found| found.is_string()).and_then(Found::text))
    }

    /// A time in seconds since 1970 (RFC 7519 §2); what is after the full stop is left out.
    pub(crate) fn seconds(&self, claim: &str) -> Result<Option<u64>, Reason> {
        let Some(found) = at(&self.claims, claim)? else { return Ok(None) };
        let (whole, part) = found.raw().split_once('.').unwrap_or((found.raw(), "0"));
        if [whole, part].iter().all(|digits| digits.bytes().all(|c| c.is_ascii_digit())) {
            return whole.parse().map(Some).map_err(|_| Reason::MalformedTimestamp);
        }
        Err(Reason::MalformedTimestamp)
    }
}

/// The JSON object in this part.
fn object(part: &[u8]) -> Option<Vec<u8>> {
    base64url(part).filter(|json| json.first() == Some(&b'{'))
}

/// What stands there; a name that is there twice is refused.
fn at<'a>(json: &'a [u8], name: &str) -> Result<Option<Found<'a>>, Reason> {
    let found = Path::name(name).find(json).map_err(|_| Reason::MalformedSignature)?;
    Ok(found.into_iter().next().flatten())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn written(header: &str, claims: &str) -> String {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        format!("{}.{}.YQ", part(header), part(claims))
    }

    #[test]
    fn a_token_says_what_it_says_once() {
        let text =
            written(r#"{"typ":"JWT","alg":"HS256"}"#, r#"{"exp":12.9,"aud":["a","b"],"iss":"c"}"#);
        let token = Token::read(text.as_bytes()).expect("a token");
        assert_eq!(token.algorithm().as_deref(), Ok("HS256"));
        assert_eq!(token.seconds("exp"), Ok(Some(12)));
        assert_eq!(token.seconds("iat"), Ok(None));
        assert_eq!(token.seconds("iss"), Err(Reason::MalformedTimestamp));
        assert_eq!(token.texts("aud").map(|all| all.join("+")).as_deref(), Ok("a+b"));
        assert_eq!(token.texts("iss").map(|all| all.join("+")).as_deref(), Ok("c"));
        assert_eq!(token.text("aud"), Ok(None));
        assert_eq!(token.signed, &text.as_bytes()[..text.len() - 3]);
        let twice = written(r#"{"alg":"none","alg":"HS256"}"#, "{}");
        let twice = Token::read(twice.as_bytes()).expect("a token");
        assert_eq!(twice.algorithm(), Err(Reason::MalformedSignature));
        let extended = written(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}");
        let extended = Token::read(extended.as_bytes()).expect("a token");
        assert_eq!(extended.algorithm(), Err(Reason::AlgorithmNotAllowed));
    }

    #[test]
    fn what_is_written_otherwise_is_no_token() {
        let good = written(r#"{"alg":"HS256"}"#, "{}");
        assert!(Token::read(good.as_bytes()).is_some());
        let padded = good.replace(".YQ", ".YQ==");
        let (head, _) = good.rsplit_once('.').expect("parts");
        for text in [
            "",
            ".",
            "..",
            "...",
            head,
            &padded,
            &format!("{good}.YQ"),
            &format!("{good}\n"),
            &format!(" {good}"),
            &good.replace(".YQ", ".YR"),
            &good.replace('e', "+"),
            &written("[]", "{}"),
            &written("1", "{}"),
            &written("{}", "\"a\""),
            &format!("{head}.{}", "Y".repeat(TOKEN_MAX)),
        ] {
            assert!(Token::read(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_number() {
        for odd in ["\"12\"", "-1", "1e9", "99999999999999999999", "[12]", "{}", "true"] {
            let text = written("{}", &format!("{{\"exp\":{odd}}}"));
            let token = Token::read(text.as_bytes()).expect("a token");
            assert_eq!(token.seconds("exp"), Err(Reason::MalformedTimestamp), "{odd}");
        }
    }
}
