//! `reply = ack`: the event is committed, the provider gets the relay's own word, the rest happens in the background.

use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;

use super::{Waiting, seen_as, taken};

const ACK: (&str, &str) = ("reply", "ack");

#[tokio::test]
async fn an_event_is_taken_in_without_an_agent_and_delivered_when_one_comes() {
    let story = Waiting::with(&[ACK]).await;
    let id = story.take("hello").await;
    story.ledger().reads(&["pending"]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let seen = target.has_seen(1).await.remove(0);
    assert_eq!((seen.path(), seen.text().as_str()), (&b"/hook"[..], "hello"));
    assert_eq!(seen_as(&seen), (id, 1));
    story.ledger().reads(&["delivered"]).await;
    let only = story.ledger().only();
    assert_eq!((only.attempts, only.status), (1, Some(200)));
}

#[tokio::test]
async fn the_provider_is_answered_as_the_endpoint_wants_it() {
    let story = Waiting::with(&[ACK, ("ack_status", "200"), ("ack_body", "{\"ok\":true}")]).await;
    let answer = story.post("x").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{\"ok\":true}"));
    let id = answer.field("webhook-relay-event-id").unwrap();
    assert_eq!(story.ledger().only().event, id);
}

#[tokio::test]
async fn what_the_target_answers_is_not_the_providers_concern() {
    let story = Waiting::with(&[ACK, ("retry", "1h")]).await;
    let target = Target::answering(500, "no").await;
    let _agent = story.agent(&target).await;
    story.take("x").await;
    target.has_seen(1).await;
    story.ledger().reads(&["pending"]).await;
}

#[tokio::test]
async fn method_path_fields_body_and_trailers_are_delivered_as_they_came() {
    let story = Waiting::with(&[ACK]).await;
    let mut provider = story.relay.provider(&story.endpoint);
    let request = provider
        .request("PUT", "/a%2Fb//c/?q=%20&q=2&")
        .field("X-Twice", "one")
        .field("X-Raw", b"caf\xe9")
        .field("X-Twice", "two")
        .field("Trailer", "X-Sum")
        .chunks(&[b"first ", b"\x00\xff second"], &[("X-Sum", "42")]);
    let id = taken(&provider.send("PUT", &request).await);
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let seen = target.has_seen(1).await.remove(0);
    assert_eq!(seen.method(), "PUT");
    assert_eq!(seen.path(), b"/a%2Fb//c/?q=%20&q=2&");
    assert_eq!(seen.all("x-twice"), [b"one", b"two"]);
    assert_eq!(seen.all("x-raw"), [b"caf\xe9"]);
    assert_eq!(seen.body, b"first \x00\xff second");
    assert_eq!(seen.trailers, [("x-sum".to_owned(), b"42".to_vec())]);
    assert_eq!(seen_as(&seen).0, id);
}

#[tokio::test]
async fn a_large_body_with_trailers_is_delivered_byte_for_byte_after_the_relay_was_killed() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[ACK]).await;
    let large: Vec<u8> =
        (0..1_500_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut provider = story.relay.provider(&story.endpoint);
    let chunks: Vec<&[u8]> = large.chunks(70_000).collect();
    let request = provider.request("POST", "/large").field("Trailer", "X-Sum");
    let request = request.chunks(&chunks, &[("X-Sum", "42")]);
    let large_id = taken(&provider.send("POST", &request).await);
    let small_id = story.take("small").await;
    story.relay.process().kill().await;
    story.relay.resume_program().await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let mut seen = target.has_seen(2).await;
    seen.sort_by_key(|message| message.body.len());
    assert_eq!(seen[0].text(), "small");
    assert_eq!(seen_as(&seen[0]), (small_id, 1));
    assert!(seen[1].body == large, "byte for byte");
    assert_eq!(seen[1].trailers, [("x-sum".to_owned(), b"42".to_vec())]);
    assert_eq!(seen_as(&seen[1]), (large_id, 1));
    story.ledger().all(2, "delivered").await;
}

#[tokio::test]
async fn an_attempt_that_was_cut_by_a_kill_is_made_again_with_the_same_id() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[ACK]).await;
    let target = Target::by_hand().await;
    let agent = story.agent(&target).await;
    let id = story.take("x").await;
    let (first, _unanswered) = target.asked().await;
    story.relay.process().kill().await;
    story.relay.resume_program().await;
    // Another agent, whose memory knows nothing of the first attempt.
    drop(agent);
    let _agent = story.agent(&target).await;
    let (again, mut connection) = target.asked().await;
    assert_eq!([seen_as(&first).0, seen_as(&again).0], [id.clone(), id]);
    connection.send(Written::answer(204).bytes()).await;
    story.ledger().reads(&["delivered"]).await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_it_is_taken_in_loses_nothing() {
    let story = Waiting::with(&[ACK]).await;
    let provider = story.relay.provider(&story.endpoint);
    for _ in 0..20 {
        let request = provider.request("POST", "/").body("x");
        provider.begin(&request).await.reset();
    }
    story.take("last").await;
    let (target, ledger) = (Target::echo().await, story.ledger());
    let _agent = story.agent(&target).await;
    until("what was taken in is delivered, once", async || {
        let kept = ledger.deliveries();
        let delivered = kept.iter().all(|delivery| delivery.state == "delivered");
        delivered && kept.len() == target.seen().len()
    })
    .await;
}
