//! From an entry of `verify` as it is written to a check that can be used; what does not fit together is told.

use super::check::{
    Algorithm, Check, Format, Hosts, Key, KeyForm, Kind, Method, Scheme, Signature, Source, Time,
};
use super::row::{CheckRow, FormatName, KindName, SignatureRow};
use crate::encoding::Digest;
use crate::selector;
use crate::template::MessagePart;

/// The time within which SNS tries to deliver a message, and so the oldest that it is.
const SNS_TOLERANCE_S: u32 = 3600;
/// As the provider's own library has it.
const CONTENTFUL_TOLERANCE_S: u32 = 30;
/// As most have it.
const TOLERANCE_S: u32 = 300;

type Built<T> = Result<T, String>;

impl CheckRow {
    /// The check in this row.
    pub(super) fn build(self) -> Built<Check> {
        self.knows_its_keys()?;
        let only_if = self.only_if.clone().into_iter().collect();
        let only_if_secret = self.only_if_secret.clone();
        let not_if_secret = self.not_if_secret.clone();
        let id_guards = self.id_guard.clone().into_iter().collect();
        Ok(Check { only_if, only_if_secret, not_if_secret, id_guards, kind: self.kind()? })
    }

    fn kind(mut self) -> Built<Kind> {
        let tolerance_s = self.tolerance;
        match self.kind {
            KindName::Token => Ok(Kind::Token {
                from: self.from.take().ok_or("a token needs from")?,
                prefix: self.prefix.take().unwrap_or_default(),
            }),
            KindName::Basic => Ok(Kind::Basic),
            KindName::Adyen => Ok(Kind::Adyen { key: self.secret_key(KeyForm::Hex)? }),
            KindName::Sns => Ok(Kind::Sns {
                hosts: self.hosts()?,
                tolerance_s: tolerance_s.unwrap_or(SNS_TOLERANCE_S),
            }),
            KindName::Contentful => {
                let tolerance_s = tolerance_s.unwrap_or(CONTENTFUL_TOLERANCE_S);
                Ok(Kind::Contentful { tolerance_s })
            }
            KindName::Rfc9421 => Ok(Kind::MessageSignature {
                require: self.require.take().unwrap_or_default(),
                algorithms: self.algs.take().unwrap_or_else(|| {
                    vec![Algorithm::HmacSha256, Algorithm::Ed25519, Algorithm::EcdsaP256]
                }),
                tolerance_s: tolerance_s.unwrap_or(TOLERANCE_S),
            }),
            KindName::Jwt => Ok(Kind::Jwt(Box::new(self.token()?))),
            _ => Ok(Kind::Signed(Box::new(self.scheme()?))),
        }
    }

    fn scheme(mut self) -> Built<Scheme> {
        let method = self.method()?;
        let signature = self.sig.take().ok_or("sig is missing")?.build()?;
        let message = self.message.take().ok_or("message is missing")?;
        let time = self.ts.take().map(|ts| Time {
            from: ts.from,
            unit: ts.unit,
            tolerance_s: ts.tolerance,
            optional: ts.optional,
        });
        if message.has(&MessagePart::Time) && time.as_ref().is_none_or(|time| time.optional) {
            return Err(
                "message has {ts}, so there must be a ts, and it must not be optional".into()
            );
        }
        let pairs = matches!(signature.format, Format::KeyValue { .. });
        if !pairs && matches!(&time, Some(Time { from: super::check::TimeFrom::Pair(_), .. })) {
            return Err("ts is from kv:, which needs sig.format = \"kv\"".into());
        }
        if matches!(method, Method::Hash { .. }) != message.has(&MessagePart::Secret) {
            return Err("{secret} is for kind = \"hash\", which needs it in its message".into());
        }
        Ok(Scheme {
            method,
            signature,
            time,
            message,
            url_variants: self.url_variants.unwrap_or_default(),
            form_dedup: self.form_dedup.unwrap_or_default(),
            body_hash: self.body_hash,
        })
    }

    fn method(&mut self) -> Built<Method> {
        let digest = |given: Option<Digest>| given.ok_or("digest is missing");
        Ok(match self.kind {
            KindName::Hmac => {
                Method::Hmac { digest: digest(self.digest)?, key: self.secret_key(KeyForm::Utf8)? }
            }
            KindName::Hash => Method::Hash { digest: digest(self.digest)? },
            KindName::Ed25519 => Method::Ed25519 { key: self.secret_key(KeyForm::Hex)? },
            KindName::EcdsaP256 => Method::EcdsaP256 { key: self.secret_key(KeyForm::Spki)? },
            _ => {
                let digest = digest(self.digest)?;
                let Some(Key::CertificateUrl(certificate)) = self.key.take() else {
                    return Err("rsa_pkcs1 needs key = \"cert_url:SELECTOR\"".into());
                };
                Method::RsaPkcs1 { digest, certificate, hosts: self.hosts()? }
            }
        })
    }

    pub(super) fn secret_key(&mut self, usual: KeyForm) -> Built<KeyForm> {
        match self.key.take() {
            None => Ok(usual),
            Some(Key::Secret(form)) => Ok(form),
            Some(Key::CertificateUrl(_)) => Err("cert_url: is for kind = \"rsa_pkcs1\"".into()),
        }
    }

    fn hosts(&mut self) -> Built<Hosts> {
        let names = self.cert_hosts.take().unwrap_or_default();
        let pattern = self.cert_host_re.take();
        if names.is_empty() && pattern.is_none() {
            return Err(
                "cert_hosts or cert_host_re is missing: whose certificates may be believed".into(),
            );
        }
        Ok(Hosts { names, pattern, path: self.cert_path.take() })
    }

    /// A key that means nothing for this kind is a mistake: somebody relies on it.
    fn knows_its_keys(&self) -> Built<()> {
        const SIGNED: [&str; 8] =
            ["digest", "key", "sig", "ts", "message", "url_variants", "form_dedup", "body_hash"];
        let known: &[&str] = match self.kind {
            KindName::Token => &["from", "prefix"],
            KindName::Basic => &[],
            KindName::Adyen => &["key"],
            KindName::Sns => &["cert_hosts", "cert_host_re", "cert_path", "tolerance"],
            KindName::Contentful => &["tolerance", "ts_unit"],
            KindName::Rfc9421 => &["tolerance", "require", "algs"],
            KindName::Jwt => &[
                "alg",
                "key",
                "from",
                "prefix",
                "claims",
                "body_claim",
                "url_claim",
                "qsh",
                "tolerance",
            ],
            KindName::RsaPkcs1 => &[
                "cert_hosts",
                "cert_host_re",
                "cert_path",
                "digest",
                "key",
                "sig",
                "ts",
                "message",
            ],
            _ => &SIGNED,
        };
        let stranger = self.given().into_iter().find(|key| !known.contains(key));
        stranger.map_or(Ok(()), |key| Err(format!("{key} has no meaning for this kind")))
    }

    fn given(&self) -> Vec<&'static str> {
        let keys = [
            ("digest", self.digest.is_some()),
            ("key", self.key.is_some()),
            ("sig", self.sig.is_some()),
            ("ts", self.ts.is_some()),
            ("message", self.message.is_some()),
            ("url_variants", self.url_variants.is_some()),
            ("form_dedup", self.form_dedup.is_some()),
            ("body_hash", self.body_hash.is_some()),
            ("from", self.from.is_some()),
            ("prefix", self.prefix.is_some()),
            ("cert_hosts", self.cert_hosts.is_some()),
            ("cert_host_re", self.cert_host_re.is_some()),
            ("cert_path", self.cert_path.is_some()),
            ("tolerance", self.tolerance.is_some()),
            ("ts_unit", self.ts_unit.is_some()),
            ("require", self.require.is_some()),
            ("algs", self.algs.is_some()),
            ("alg", self.alg.is_some()),
            ("claims", !self.claims.is_empty()),
            ("body_claim", self.body_claim.is_some()),
            ("url_claim", self.url_claim.is_some()),
            ("qsh", self.qsh.is_some()),
        ];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}

impl SignatureRow {
    fn build(self) -> Built<Signature> {
        let missing = |key: &str| format!("sig.{key} is missing");
        let separator = |usual: &str| self.sep.clone().unwrap_or_else(|| usual.to_owned());
        let prefix = self.prefix.clone().unwrap_or_default();
        let format = match self.format {
            FormatName::Plain => Format::Plain { prefix },
            FormatName::List => Format::List { separator: separator(","), prefix },
            FormatName::Kv => Format::KeyValue {
                separator: separator(","),
                key: self.key.clone().ok_or_else(|| missing("key"))?,
                trim: self.trim.unwrap_or_default(),
            },
            FormatName::Tagged => Format::Tagged {
                separator: separator(" "),
                tag: self.tag.clone().ok_or_else(|| missing("tag"))?,
            },
            FormatName::Numbered => Format::Numbered {
                max: self.max.filter(|max| (1..=100).contains(max)).ok_or("sig.max is 1 to 100")?,
            },
        };
        if matches!(&format, Format::List { separator, .. } | Format::KeyValue { separator, .. }
            | Format::Tagged { separator, .. } if separator.is_empty())
        {
            return Err("sig.sep is empty".into());
        }
        let from = match (self.header, self.from) {
            (Some(name), None) => Source::Header(selector::header(&name)?),
            (None, Some(selector)) => Source::Body(selector),
            _ => return Err("sig needs header or from, and not both".into()),
        };
        if matches!((&format, &from), (Format::Numbered { .. }, Source::Body(_))) {
            return Err("sig.format = \"numbered\" needs a header".into());
        }
        Ok(Signature { from, format, encoding: self.enc })
    }
}
