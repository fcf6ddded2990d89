//! Templates: `{token}` stands for a part of the request, `{{` and `}}` for braces, all else for itself.
//!
//! A [`Message`] is what a provider signs, a [`Text`] what a handshake answers: the two know different tokens.

use std::str::FromStr;

use serde::Deserialize;

use crate::encoding::Encoding;
use crate::selector::Selector;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Message(pub(crate) Box<[MessagePart]>);

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MessagePart {
    Literal(Box<str>),
    /// The body, byte for byte.
    Body,
    /// The signed time, as it was sent.
    Time,
    Method,
    /// The URL as the provider knows it.
    Url,
    /// The URL with some escapes undone.
    UrlDecoded,
    /// Path and query, as they were sent.
    Path,
    /// Name and value of each form field, by name.
    FormSorted,
    /// The CRC-32 of the body, in decimal digits.
    Crc32,
    Secret,
    Value(Selector),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Text(pub(crate) Box<[TextPart]>);

/// A part of what is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextPart {
    Literal(Box<str>),
    Value(Selector),
    /// The HMAC-SHA256 of a value, by the endpoint's secret.
    Hmac(Encoding, Selector),
    /// The SHA-256 of values, one after the other.
    Hash(Encoding, Box<[Selector]>),
}

enum Piece<'t> {
    Literal(String),
    Token(&'t str),
}

/// The pieces of a template.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let end = if brace == "{" { after.find('}') } else { None };
        let end = end.ok_or_else(|| format!("a brace without its other in {text:?}"))?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Token(&after[..end]));
        rest = &after[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

impl FromStr for Message {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |piece| match piece {
            Piece::Literal(text) => Ok(MessagePart::Literal(text.into())),
            Piece::Token(token) => message_token(token),
        };
        pieces(text)?.into_iter().map(part).collect::<Result<_, _>>().map(Self)
    }
}

fn message_token(token: &str) -> Result<MessagePart, String> {
    Ok(match token {
        "body" => MessagePart::Body,
        "ts" => MessagePart::Time,
        "method" => MessagePart::Method,
        "url" => MessagePart::Url,
        "url_decoded" => MessagePart::UrlDecoded,
        "path" => MessagePart::Path,
        "form_sorted" => MessagePart::FormSorted,
        "crc32" => MessagePart::Crc32,
        "secret" => MessagePart::Secret,
        other if other.contains(':') => MessagePart::Value(other.parse()?),
        other => return Err(unknown(other)),
    })
}

fn unknown(token: &str) -> String {
    format!("there is no token {{{token}}}")
}

impl Message {
    /// Whether the body is in it, so that a good signature binds it.
    pub(crate) fn has(&self, part: &MessagePart) -> bool {
        self.0.contains(part)
    }

    /// The parameters in it.
    pub(crate) fn params(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            MessagePart::Value(Selector::Param(name)) => Some(&**name),
            _ => None,
        })
    }
}

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |piece| match piece {
            Piece::Literal(text) => Ok(TextPart::Literal(text.into())),
            Piece::Token(token) => text_token(token),
        };
        pieces(text)?.into_iter().map(part).collect::<Result<_, _>>().map(Self)
    }
}

fn text_token(token: &str) -> Result<TextPart, String> {
    let (name, of) = token.split_once(':').ok_or_else(|| unknown(token))?;
    let hash = |encoding| {
        of.split('+')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(|of| TextPart::Hash(encoding, of))
    };
    match name {
        "hmac_sha256_hex" => Ok(TextPart::Hmac(Encoding::Hex, of.parse()?)),
        "hmac_sha256_b64" => Ok(TextPart::Hmac(Encoding::Base64, of.parse()?)),
        "sha256_hex" => hash(Encoding::Hex),
        "sha256_b64" => hash(Encoding::Base64),
        _ => token.parse().map(TextPart::Value),
    }
}

impl Text {
    /// What is taken from the request in it.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter().flat_map(|part| match part {
            TextPart::Literal(_) => &[][..],
            TextPart::Value(selector) | TextPart::Hmac(_, selector) => {
                std::slice::from_ref(selector)
            }
            TextPart::Hash(_, selectors) => selectors,
        })
    }

    /// What is signed with the endpoint's secret in it.
    pub(crate) fn signs(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter().filter_map(|part| match part {
            TextPart::Hmac(_, selector) => Some(selector),
            _ => None,
        })
    }
}

impl TryFrom<String> for Message {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_literals_and_tokens() {
        let message: Message = "v0:{ts}:{{{body}}}{param:id}".parse().expect("a template");
        let literal = |text: &str| MessagePart::Literal(text.into());
        let wanted = [
            literal("v0:"),
            MessagePart::Time,
            literal(":{"),
            MessagePart::Body,
            literal("}"),
            MessagePart::Value(Selector::Param("id".into())),
        ];
        assert_eq!(*message.0, wanted);
        assert_eq!(message.params().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn a_wrong_one_is_refused() {
        for text in ["{", "}", "{body", "a}b", "{bodi}", "{hmac_sha256_hex:json:a}", "{json:}"] {
            assert!(text.parse::<Message>().is_err(), "{text}");
        }
        for text in ["{body}", "{secret}", "{sha256_hex:}", "{hmac_sha256_hex:x}"] {
            assert!(text.parse::<Text>().is_err(), "{text}");
        }
    }
}
