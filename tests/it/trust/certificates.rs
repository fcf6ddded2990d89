//! What providers keep on the web is fetched once, and only where they keep it; where nobody is reached, that is nobody's fault.

use std::collections::BTreeMap;

use relay_tests::place::Place;
use relay_tests::relay::Relay;
use relay_tests::vector::{self, Recorded};
use relay_tests::wall::Wall;
use serde_json::json;

use super::{Web, events};

/// A signed notification of AWS SNS.
fn notification() -> Recorded {
    vector::all().into_iter().find(|vector| vector.name == "aws_sns-p1").expect("it is on record")
}

/// A relay with these settings, at the time of the notification.
async fn relay(wall: &Wall, settings: &[(&str, &str)]) -> Relay {
    let mut relay = Relay::program(settings).await;
    wall.over(&mut relay).await;
    wall.stop_at(notification().now_s);
    relay
}

#[tokio::test]
async fn a_certificate_is_fetched_once_for_many_events() {
    let Some(wall) = Wall::hung("a certificate is fetched once") else { return };
    let case = notification();
    let web = Web::of(case.on_the_web()).await;
    let [from, roots] = web.settings();
    let relay = relay(&wall, &[(from.0, &from.1), (roots.0, &roots.1)]).await;
    for name in ["a", "b", "c"] {
        let endpoint = case.endpoint(&relay, name, &[("reply", "ack")]).await.expect("an endpoint");
        assert_eq!(case.send(&relay, &endpoint).await.status(), 202);
    }
    assert_eq!(web.pages.seen().len(), 1);
}

#[tokio::test]
async fn what_names_a_certificate_that_is_not_there_is_rejected() {
    let Some(wall) = Wall::hung("a certificate is not there") else { return };
    let case = notification();
    let web = Web::of(BTreeMap::new()).await;
    let [from, roots] = web.settings();
    let relay = relay(&wall, &[(from.0, &from.1), (roots.0, &roots.1)]).await;
    let endpoint = case.endpoint(&relay, "story", &[]).await.expect("an endpoint");
    let answer = case.send(&relay, &endpoint).await;
    assert_eq!((answer.status(), &answer.json()["code"]), (401, &json!("signature_invalid")));
    assert!(answer.text().contains("certificate_unavailable"), "{}", answer.text());
}

#[tokio::test]
async fn while_nobody_can_be_asked_the_provider_is_told_to_come_again() {
    let Some(wall) = Wall::hung("nobody can be asked for a certificate") else { return };
    let case = notification();
    let nowhere = Place::fresh();
    let from = nowhere.to_string();
    let relay = relay(&wall, &[("fetch_from", &from)]).await;
    let endpoint = case.endpoint(&relay, "story", &[]).await.expect("an endpoint");
    let answer = case.send(&relay, &endpoint).await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert!(answer.field("retry-after").is_some());
    assert!(events(&relay, "story").await.is_empty());
}
