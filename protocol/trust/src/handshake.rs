//! Handshakes: what a provider wants to hear before it believes in a URL. Answered at the edge, and no events.
//!
//! What a provider sends here, anybody may send: what is signed in an answer is proved or guarded first, what is
//! echoed is short and said to be no HTML, and a secret that is already there is not replaced.

use std::borrow::Cow;

use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use crate::finding::{Finding, NeedsCertificate, State};
use crate::profile::Profile;
use crate::profile::check::KeyForm;
use crate::profile::rule::{Body, Json, Proof, Rule};
use crate::reading::{Reading, Value};
use crate::request::{Certificates, Keys, Request};
use crate::secret::Secret;
use crate::selector::Selector;
use crate::template::{Text, TextPart};
use crate::verify::{allowed, key, verify};

/// The longest value that is echoed, signed or kept, in bytes.
const VALUE_MAX: usize = 4096;

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields; their values have no control characters.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body: nothing else may be sent in its place, for some providers compare it.
    pub body: Vec<u8>,
    /// What is the endpoint's secret from now on.
    pub keep: Option<Keep>,
    /// What is to be fetched before the answer is given: a GET over https, no redirect followed. Its host is allowed.
    pub visit: Option<String>,
    /// What was found of the sender, if that was checked.
    pub finding: Option<Finding>,
}

/// A secret that the provider has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The secret.
    pub secret: Secret,
    /// Whether the operator must see it, to type it in at the provider.
    pub show: bool,
}

/// The answer, if this request is a handshake; `None` if it is to be treated as an event.
///
/// # Errors
/// A certificate is not at hand, as in [`verify`].
pub fn handshake(
    profile: &Profile,
    request: &Request<'_>,
    keys: &Keys<'_>,
    certificates: &Certificates,
    now_ms: u64,
) -> Result<Option<Answer>, NeedsCertificate> {
    let reading = Reading::new(request, keys.params);
    let Some(rule) = profile.rules.iter().find(|rule| rule.when.applies(&reading)) else {
        return Ok(None);
    };
    let finding = match rule.proof {
        Proof::None => None,
        Proof::CheckedIfSecret if keys.secrets.is_empty() => None,
        _ => Some(verify(profile, request, keys, certificates, now_ms)?),
    };
    if finding.is_some_and(|finding| !finding.is_good()) {
        return Ok(Some(Answer { finding, ..refusal(rule.on_bad_signature) }));
    }
    let asked = Asked { rule, reading: &reading, keys, finding };
    Ok(Some(asked.answer().unwrap_or_else(|status| Answer { finding, ..refusal(status) })))
}

const fn refusal(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Vec::new(), keep: None, visit: None, finding: None }
}

/// The request asks for something that nobody gets.
const BAD_REQUEST: u16 = 400;

/// A handshake whose sender is known as well as it must be.
struct Asked<'a, 'r> {
    rule: &'a Rule,
    reading: &'a Reading<'r>,
    keys: &'a Keys<'a>,
    finding: Option<Finding>,
}

impl<'r> Asked<'_, 'r> {
    /// The answer, or the status of a refusal.
    fn answer(&self) -> Result<Answer, u16> {
        let rule = self.rule;
        for (selector, pattern) in &rule.guards {
            let value = self.value(selector)?;
            let fits = std::str::from_utf8(&value).is_ok_and(|value| pattern.fits(value));
            if !fits {
                return Err(BAD_REQUEST);
            }
        }
        for (selector, wanted) in &rule.equals {
            let value = self.value(selector).map_err(|_| rule.on_mismatch)?;
            let wanted = self.text(wanted).map_err(|_| rule.on_mismatch)?;
            if wanted.is_empty() || !bool::from(value.ct_eq(&wanted)) {
                return Err(rule.on_mismatch);
            }
        }
        Ok(Answer {
            status: rule.status,
            headers: self.headers()?,
            body: self.body()?,
            keep: self.keep()?,
            visit: self.visit()?,
            finding: self.finding,
        })
    }

    /// A value of the request: there, and not too long.
    fn value(&self, selector: &Selector) -> Result<Value<'r>, u16> {
        let value = self.reading.value(selector).ok().flatten();
        value.filter(|value| value.len() <= VALUE_MAX).ok_or(BAD_REQUEST)
    }

    fn text(&self, text: &Text) -> Result<Vec<u8>, u16> {
        let mut whole = Vec::new();
        for part in &text.0 {
            let part: Cow<'_, [u8]> = match part {
                TextPart::Literal(literal) => Cow::Borrowed(literal.as_bytes()),
                TextPart::Value(selector) => self.value(selector)?,
                TextPart::Hmac(encoding, selector) => {
                    let tag = hmac::sign(&self.key()?, &self.value(selector)?);
                    Cow::Owned(encoding.encode(tag.as_ref()).into_bytes())
                }
                TextPart::Hash(encoding, selectors) => {
                    let mut context = digest::Context::new(&digest::SHA256);
                    for selector in selectors {
                        context.update(&self.value(selector)?);
                    }
                    Cow::Owned(encoding.encode(context.finish().as_ref()).into_bytes())
                }
            };
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    /// The key of what is signed: the secret that has signed the request, else the newest.
    fn key(&self) -> Result<hmac::Key, u16> {
        let at = self.finding.and_then(|finding| finding.secret).unwrap_or_default();
        let secret = self.keys.secrets.get(at).and_then(|secret| key(secret, KeyForm::Utf8));
        secret.map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key)).ok_or(self.rule.on_bad_signature)
    }

    fn headers(&self) -> Result<Vec<(String, Vec<u8>)>, u16> {
        let mut headers = Vec::new();
        if let Some(kind) = &self.rule.content_type {
            headers.push(("Content-Type".to_owned(), kind.clone().into_bytes()));
        }
        for (name, value) in &self.rule.headers {
            // What is to be echoed and is not there is left out.
            let there = |selector: &Selector| self.reading.value(selector).ok().flatten().is_some();
            if !value.selectors().all(there) {
                continue;
            }
            let value = self.text(value)?;
            if value.iter().any(u8::is_ascii_control) {
                return Err(BAD_REQUEST);
            }
            headers.push((name.clone(), value));
        }
        let nosniff = "X-Content-Type-Options";
        let has_it = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(nosniff));
        if !has_it && !matches!(self.rule.body, Body::Empty) {
            headers.push((nosniff.to_owned(), b"nosniff".to_vec()));
        }
        Ok(headers)
    }

    fn body(&self) -> Result<Vec<u8>, u16> {
        match &self.rule.body {
            Body::Empty => Ok(Vec::new()),
            Body::Text(text) => self.text(text),
            Body::Json(json) => self.json(json).map(|json| json.to_string().into_bytes()),
        }
    }

    fn json(&self, json: &Json) -> Result<serde_json::Value, u16> {
        Ok(match json {
            Json::Text(text) => {
                String::from_utf8(self.text(text)?).map_err(|_| BAD_REQUEST)?.into()
            }
            Json::Integer(number) => (*number).into(),
            Json::Bool(is) => (*is).into(),
            Json::Object(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| Ok((key.clone(), self.json(value)?)));
                serde_json::Value::Object(pairs.collect::<Result<_, u16>>()?)
            }
        })
    }

    /// The secret that the provider brings. Where there is one already, anybody could have sent another.
    fn keep(&self) -> Result<Option<Keep>, u16> {
        let Some(selector) = &self.rule.keep else { return Ok(None) };
        let value = self.value(selector)?;
        let text = std::str::from_utf8(&value).map_err(|_| BAD_REQUEST)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(BAD_REQUEST);
        }
        if self.keys.secrets.is_empty() {
            return Ok(Some(Keep { secret: Secret::new(text), show: self.rule.show }));
        }
        let same = |secret: &Secret| bool::from(secret.expose().as_bytes().ct_eq(text.as_bytes()));
        if self.keys.secrets.iter().any(same) { Ok(None) } else { Err(self.rule.on_mismatch) }
    }

    fn visit(&self) -> Result<Option<String>, u16> {
        let Some((url, hosts)) = &self.rule.visit else { return Ok(None) };
        let proved = self.finding.is_some_and(|finding| finding.state == State::Verified);
        let url = String::from_utf8(self.text(url)?).map_err(|_| BAD_REQUEST)?;
        if proved && allowed(&url, hosts) { Ok(Some(url)) } else { Err(BAD_REQUEST) }
    }
}
