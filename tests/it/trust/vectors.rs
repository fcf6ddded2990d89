//! Every request on record, sent through a running relay at the time when it was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use relay_tests::relay::Relay;
use relay_tests::vector::{self, Recorded};
use relay_tests::wait::until;
use relay_tests::wall::Wall;
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};

use super::{Web, events};

/// How many are sent at a time: the relay then keeps them with few syncs.
const AT_ONCE: usize = 16;

/// What is wrong with how the relay takes a vector, if anything is.
async fn wrong(relay: &Relay, n: usize, vector: &Recorded) -> Option<String> {
    let name = format!("v{n}");
    let endpoint = match vector.endpoint(relay, &name, &[("reply", "ack")]).await {
        Ok(endpoint) => endpoint,
        // A secret that nothing could be verified with is refused before anybody sends something.
        Err(_) if vector.record["found"] == "failed malformed_secret" => return None,
        Err(error) => return Some(format!("no endpoint: {error}")),
    };
    let answer = vector.send(relay, &endpoint).await;
    // This one is the provider's, and wants something to be visited that is not.
    let elsewhere = vector.name.ends_with("-elsewhere");
    let valid = vector.record["expect"] == "valid" && !elsewhere;
    let wanted = if valid { 200..300 } else { 400..500 };
    if !wanted.contains(&answer.status()) {
        return Some(format!("{}: {}", answer.status(), answer.text()));
    }
    if answer.status() == 401
        && answer.field("webhook-relay-error").as_deref() != Some("signature_invalid")
    {
        return Some("401 without its code".to_owned());
    }
    // What is answered as a handshake is no event, nor is what is refused as one: that has no word of the relay's.
    let refused_event = answer.status() == 401 && !answer.text().is_empty();
    if answer.field("webhook-relay-event-id").is_none() && !refused_event {
        return None;
    }
    let mut found = Vec::new();
    until("the event is on record", async || {
        found = events(relay, &name).await;
        found.len() == 1
    })
    .await;
    let (state, said) = (found[0]["state"].as_str(), found[0]["verification"].as_str());
    let fits = match vector.record["expect"].as_str() {
        Some("valid") => {
            state == Some("pending") && matches!(said, Some("verified" | "authenticated"))
        }
        _ => state == Some("rejected") && matches!(said, Some("failed" | "unattempted")),
    };
    (!fits || found[0]["why"].is_null() == (state == Some("rejected")))
        .then(|| found[0].to_string())
}

/// The vectors, parted so that no two of one part have different pages at the same URL.
fn parts(all: Vec<Recorded>) -> Vec<(BTreeMap<String, String>, Vec<Recorded>)> {
    let mut parts: Vec<(BTreeMap<String, String>, Vec<Recorded>)> = Vec::new();
    for vector in all {
        let mut pages = vector.on_the_web();
        // What is visited when a subscription is confirmed.
        let body: Value = serde_json::from_slice(&vector.body).unwrap_or_default();
        pages.extend(body["SubscribeURL"].as_str().map(|url| (url.to_owned(), "<ok/>".to_owned())));
        let fits = |known: &BTreeMap<String, String>| {
            pages.iter().all(|(url, page)| known.get(url).is_none_or(|known| known == page))
        };
        match parts.iter_mut().find(|(known, _)| fits(known)) {
            Some((known, vectors)) => {
                known.extend(pages);
                vectors.push(vector);
            }
            None => parts.push((pages, vec![vector])),
        }
    }
    parts
}

/// Sends some vectors, the first with this number, and gives what is wrong with how they are taken.
async fn all_at_once(relay: &Arc<Relay>, first: usize, some: &[Recorded]) -> Vec<String> {
    let here = LocalSet::new();
    let sent = here.run_until(async {
        let mut sent = JoinSet::new();
        for (n, vector) in (first..).zip(some) {
            let (relay, vector) = (Arc::clone(relay), vector.clone());
            sent.spawn_local(async move {
                let why = wrong(&relay, n, &vector).await?;
                Some(format!("{} ({}): {why}", vector.name, vector.provider))
            });
        }
        sent.join_all().await
    });
    sent.await.into_iter().flatten().collect()
}

#[tokio::test]
async fn every_vector_comes_to_its_verdict_through_a_running_relay() {
    let Some(wall) = Wall::hung("every vector through a relay") else { return };
    let (mut count, mut faults) = (0, Vec::new());
    for (pages, mut vectors) in parts(vector::all()) {
        let web = Web::of(pages).await;
        let settings = web.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let mut relay = Relay::program(&settings).await;
        wall.over(&mut relay).await;
        let relay = Arc::new(relay);
        // The clock only goes forward.
        vectors.sort_by_key(|vector| vector.now_s);
        for of_one_time in vectors.chunk_by(|a, b| a.now_s == b.now_s) {
            wall.stop_at(of_one_time[0].now_s);
            for some in of_one_time.chunks(AT_ONCE) {
                faults.extend(all_at_once(&relay, count, some).await);
                count += some.len();
            }
        }
    }
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
    assert!(count > 200, "only {count} vectors");
}
