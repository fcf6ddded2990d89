//! AWS SNS: a message of known fields, signed with the key of a certificate that it names.
//!
//! Anybody with an AWS account can have SNS sign, so a message counts only for the topic that the endpoint is for.

use std::borrow::Cow;

use ring::signature::UnparsedPublicKey;
use serde::Deserialize;

use super::{Case, Good, Proof, Wrong, certificate, time};
use crate::encoding::{Digest, Encoding};
use crate::finding::Reason;
use crate::profile::check::{Hosts, TimeUnit};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    topic_arn: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(rename = "SigningCertURL", alias = "SigningCertUrl", borrow)]
    certificate: Option<Cow<'a, str>>,
    #[serde(rename = "SubscribeURL", alias = "SubscribeUrl", borrow)]
    subscribe: Option<Cow<'a, str>>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

pub(super) fn check(case: &Case<'_, '_>, hosts: &Hosts, tolerance_s: u32) -> Proof {
    let message: Message<'_> =
        serde_json::from_slice(case.reading.request.body).map_err(|_| Reason::MalformedBody)?;
    let given = message.signature.as_deref().ok_or(Reason::SignatureMissing)?;
    let given = Encoding::Base64.decode(given.as_bytes()).ok_or(Reason::MalformedSignature)?;
    let digest = match message.signature_version.as_deref() {
        Some("1") => Digest::Sha1,
        Some("2") => Digest::Sha256,
        _ => return Err(Reason::AlgorithmNotAllowed.into()),
    };
    let signed = message.signed().ok_or(Reason::FieldMissing)?;
    let secret = topic(case, message.topic_arn.as_deref().unwrap_or_default())?;
    let url = message.certificate.as_deref().ok_or(Reason::FieldMissing)?;
    if !url.ends_with(".pem") {
        return Err(Reason::CertificateUrlNotAllowed.into());
    }
    let key = certificate::key_at(case, url, hosts)?;
    let key = UnparsedPublicKey::new(certificate::algorithm(digest), key);
    key.verify(signed.as_bytes(), &given).map_err(|_| Reason::WrongSecret)?;
    let at = message.timestamp.as_deref().unwrap_or_default();
    let at = time::parse(at.as_bytes(), TimeUnit::Rfc3339).ok_or(Reason::MalformedTimestamp)?;
    case.is_timely(at, tolerance_s)?;
    Ok(Good { secret, bound: true })
}

/// Whether the topic is the endpoint's: one of its secrets or its parameter says it.
fn topic(case: &Case<'_, '_>, arn: &str) -> Result<Option<usize>, Wrong> {
    let secrets = case.keys.secrets;
    let param = case.keys.params.get("topic_arn").filter(|param| !param.is_empty());
    if secrets.iter().all(|secret| secret.expose().is_empty()) && param.is_none() {
        return Err(Reason::NoSecret.into());
    }
    if param.is_some_and(|param| param == arn) {
        return Ok(None);
    }
    let found = secrets.iter().position(|secret| !arn.is_empty() && secret.expose() == arn);
    found.map(Some).ok_or_else(|| Reason::WrongTopic.into())
}

impl Message<'_> {
    /// What is signed: names and values, each on its line, by name.
    fn signed(&self) -> Option<String> {
        let of_topic =
            [("Timestamp", &self.timestamp), ("TopicArn", &self.topic_arn), ("Type", &self.r#type)];
        let mut fields = vec![("Message", &self.message), ("MessageId", &self.message_id)];
        match self.r#type.as_deref()? {
            "Notification" => {
                fields.extend(self.subject.is_some().then_some(("Subject", &self.subject)));
                fields.extend(of_topic);
            }
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                fields.push(("SubscribeURL", &self.subscribe));
                let [timestamp, arn, kind] = of_topic;
                fields.extend([timestamp, ("Token", &self.token), arn, kind]);
            }
            _ => return None,
        }
        let lines = fields
            .into_iter()
            .map(|(name, value)| value.as_ref().map(|value| format!("{name}\n{value}\n")));
        lines.collect()
    }
}
