//! What a token says of itself. Nobody has vouched for it where the signature is not good; it helps to find out whose it is.
//!
//! Only what is no secret is told: some providers put the key to an account among the claims.

use crate::profile::Profile;
use crate::profile::check::Kind;
use crate::profile::jwt::Jwt;
use crate::reading::Reading;
use crate::request::{Keys, Request};
use crate::verify::jwt::{Token, find};

/// The most that is told of a text in a token, in characters.
const TOLD_MAX: usize = 200;

/// What there is to say about the request's token; nothing where the profile looks for none.
pub(super) fn read(profile: &Profile, request: &Request<'_>, keys: &Keys<'_>) -> Vec<String> {
    let reading = Reading::new(request, keys.params);
    let tokens = profile.checks.iter().filter_map(|check| match &check.kind {
        Kind::Jwt(jwt) => Some((jwt, find(&reading, jwt).ok()?)),
        _ => None,
    });
    let Some((jwt, text)) = tokens.into_iter().next() else { return Vec::new() };
    match Token::read(&text) {
        Some(token) => [algorithm(&token, jwt), claims(&token, jwt, keys)].concat(),
        None => vec![malformed(&text)],
    }
}

/// Whether the request has a token where the profile looks for one.
pub(super) fn is_there(reading: &Reading<'_>, jwt: &Jwt) -> bool {
    find(reading, jwt).is_ok_and(|text| Token::read(&text).is_some())
}

/// Why this text is no token.
fn malformed(text: &[u8]) -> String {
    let parts = text.split(|c| *c == b'.').count();
    let told = if parts != 3 {
        let s = if parts == 1 { "" } else { "s" };
        return format!(
            "A token (JWT) has three parts with a full stop between two; this has {parts} part{s}."
        );
    } else if text.contains(&b'=') {
        "it ends with =, and a token is written without"
    } else if text.iter().any(|c| b"+/".contains(c)) {
        "it has + or / in it, where a token has - and _"
    } else {
        "one of its parts is cut off, or was changed"
    };
    format!("It is no token (JWT): {told}.")
}

fn algorithm(token: &Token<'_>, jwt: &Jwt) -> Vec<String> {
    let wanted = jwt.algorithm.as_str();
    match token.algorithm() {
        Ok(said) if said == wanted => Vec::new(),
        Ok(said) if said.eq_ignore_ascii_case("none") => {
            vec!["The token says that it is not signed (alg none): anybody can write such a one.".into()]
        }
        Ok(said) => vec![format!(
            "The token says that it is signed with {}, and here it must be {wanted}: what a token says of that is not \
             believed, only compared.",
            short(&said)
        )],
        Err(_) => vec![
            "The token's header names no algorithm, or names it twice, or has an extension that must be understood (crit)."
                .into(),
        ],
    }
}

/// What is not as the profile and the endpoint want it.
fn claims(token: &Token<'_>, jwt: &Jwt, keys: &Keys<'_>) -> Vec<String> {
    let own = [("aud", "audience"), ("iss", "issuer")];
    let own =
        own.map(|(claim, name)| (claim, keys.params.get(name).filter(|value| !value.is_empty())));
    let own = own.into_iter().filter_map(|(claim, wanted)| Some((claim, wanted?)));
    let wanted = jwt.claims.iter().map(|(claim, wanted)| (claim.as_str(), wanted)).chain(own);
    let mut told = Vec::new();
    for (claim, wanted) in wanted {
        let said = token.texts(claim).unwrap_or_default();
        if said.is_empty() {
            told.push(format!("The token has no {claim}, which must be {wanted}."));
        } else if !said.iter().any(|text| text == wanted) {
            told.push(format!(
                "The token's {claim} is {}, and must be {wanted}.",
                short(&said.join(", "))
            ));
        }
    }
    let hashes = [(&jwt.body, "body"), (&jwt.url, "URL")];
    for (claim, of) in hashes.into_iter().filter_map(|(claim, of)| Some((claim.as_ref()?, of))) {
        if matches!(token.text(&claim.name), Ok(None)) {
            told.push(format!("The token has no {} with the hash of the {of}.", claim.name));
        }
    }
    if jwt.qsh && token.text("qsh").ok().flatten().as_deref() == Some("context-qsh") {
        told.push(
            "The token is of a page in the product (context-qsh): it is bound to no request."
                .into(),
        );
    }
    told
}

fn short(text: &str) -> String {
    text.chars().take(TOLD_MAX).filter(|c| !c.is_control()).collect()
}
