//! One order of a certificate, from its beginning to its end (RFC 8555 §7.4). Knows no store and no clock.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenges::Challenges;

/// How the server is asked whether it is done: seldom, and not for ever. Its own `Retry-After` comes first.
const ASKING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// What an order has brought.
pub(super) struct Issued {
    /// The certificate and those above it, in PEM.
    pub(super) chain: String,
    /// Its private key, in PEM.
    pub(super) key: String,
}

/// Orders one certificate for all these names. `kinds` are the challenges that can be answered, as they are liked best.
///
/// # Errors
/// What the server, or the way to it, has against it.
pub(super) async fn order(
    account: &Account,
    names: &[String],
    kinds: &[ChallengeType],
    challenges: &Challenges,
) -> Result<Issued, Error> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let ready = match answer(&mut order, kinds, challenges).await {
        Ok(()) => order.poll_ready(&ASKING).await,
        // A server that looks at once tells what it has found when it is told that it may look, but not at which name.
        Err(error) => Err(error),
    };
    match ready {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(why_not(&mut order).await),
        Err(error @ Error::Api(_)) => return Err(worse(error, why_not(&mut order).await)),
        Err(error) => return Err(error),
    }
    let other = |error: rcgen::Error| Error::Other(error.into());
    let key = KeyPair::generate().map_err(other)?;
    let mut params = CertificateParams::new(names).map_err(other)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(other)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&ASKING).await?;
    Ok(Issued { chain, key: key.serialize_pem() })
}

/// Has an answer ready to each challenge, and then says so.
async fn answer(
    order: &mut Order,
    kinds: &[ChallengeType],
    challenges: &Challenges,
) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(Error::Other(format!("an authorization is {status:?}").into())),
        }
        let offered = |kind: &&ChallengeType| {
            authorization.challenges.iter().any(|challenge| challenge.r#type == **kind)
        };
        let kind = kinds.iter().find(offered).cloned();
        let kind = kind.ok_or(Error::Unsupported("a challenge that this relay can answer"))?;
        let mut challenge =
            authorization.challenge(kind).ok_or(Error::Str("a challenge that was offered"))?;
        offer(&challenge, challenges)?;
        challenge.set_ready().await?;
    }
    Ok(())
}

fn offer(challenge: &ChallengeHandle<'_>, challenges: &Challenges) -> Result<(), Error> {
    let answer = challenge.key_authorization();
    if challenge.r#type == ChallengeType::Http01 {
        challenges.offer_answer(challenge.token.clone(), answer.as_str().to_owned());
        return Ok(());
    }
    let name = challenge.identifier().to_string();
    let offered = challenges.offer_certificate(&name, answer.digest().as_ref());
    offered.map_err(|why| Error::Other(why.into()))
}

/// Why the server does not find the names ours, as it says at each of them.
async fn why_not(order: &mut Order) -> Error {
    let mut told = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        for error in state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            told.push(format!("{name}: {}", error.detail.as_deref().unwrap_or("no reason given")));
        }
    }
    match told.len() {
        0 => Error::Other("the server does not say why the order is invalid".into()),
        _ => Error::Other(told.join("; ").into()),
    }
}

/// The one of two that says more.
fn worse(general: Error, particular: Error) -> Error {
    match particular.to_string() {
        words if words.contains("does not say why") => general,
        _ => particular,
    }
}
