//! What is kept of a request that nobody has proved: whoever knows the URL can send one.

use relay_client::api::ApiError;
use relay_tests::journey::Journey;
use relay_tests::target::Target;
use relay_tests::wait::until;
use serde_json::{Value, json};

use super::events;
use crate::endpoints::client;

#[tokio::test]
async fn of_a_large_body_that_was_rejected_nothing_is_kept_and_that_is_told() {
    let target = Target::answering(200, "done").await;
    let journey = Journey::with(target, &[], &[("verify", "github")]).await;
    journey.relay.api().post("/endpoints/story/secrets", &json!({"secret": "s"})).await.unwrap();
    // The last one is longer than what is held in memory.
    for length in [64 << 10, (64 << 10) + 1, 3 << 20] {
        assert_eq!(journey.through().post("/", vec![b'x'; length]).await.status(), 401);
    }
    let mut found = Vec::new();
    until("they are on record", async || {
        found = events(&journey.relay, "story").await;
        found.len() == 3
    })
    .await;
    found.reverse();
    let note = "rejected: a body above 64 KiB is not kept";
    let notes: Vec<&Value> = found.iter().map(|event| &event["note"]).collect();
    assert_eq!(notes, [&Value::Null, &json!(note), &json!(note)]);
    let id = |n: usize| found[n]["id"].as_str().unwrap();
    for n in [1, 2] {
        let replayed = client(&journey.relay, &["events", "replay", id(n)]).await;
        assert_eq!(replayed.code, Some(1));
        assert!(replayed.stderr.contains("body was not kept"), "{}", replayed.stderr);
        let shown = journey.relay.api().get(&format!("/events/{}", id(n))).await.unwrap();
        assert_eq!(shown["body_kept"], false);
        let body = journey.relay.api().bytes(&format!("/events/{}/body", id(n))).await;
        assert!(matches!(body, Err(ApiError::NotFound(_))), "{body:?}");
    }
    let rejected = json!({"filter": {"endpoint": "story", "state": ["rejected"]}});
    let replayed = journey.relay.api().post("/replays", &rejected).await.unwrap();
    assert_eq!(replayed["deliveries"], 1, "{replayed}");
    assert_eq!(journey.target.has_seen(1).await[0].body.len(), 64 << 10);
}
