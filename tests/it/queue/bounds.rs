//! The bounds of the queue: beyond them an event is refused, and nothing is dropped.

use relay_tests::agent::{Agent, Wanted};
use relay_tests::ledger::Ledger;
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;

use super::{Waiting, bodies, taken};
use crate::errors::assert_problem;

const ACK: (&str, &str) = ("reply", "ack");
const AT_ONCE: (&str, &str) = ("hold", "0ms");

#[tokio::test]
async fn beyond_the_count_an_event_is_refused_until_there_is_room() {
    let story = Waiting::with(&[ACK, ("queue_max_events", "3")]).await;
    for body in ["1", "2", "3"] {
        story.take(body).await;
    }
    assert_problem(&story.post("refused").await, "queue_full", 503, "no");
    story.ledger().all(3, "pending").await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    story.ledger().all(3, "delivered").await;
    story.take("4").await;
    let mut seen = bodies(&target.has_seen(4).await);
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn beyond_the_bytes_an_event_is_refused_and_one_is_always_let_in() {
    let story = Waiting::with(&[ACK, ("queue_max_bytes", "10")]).await;
    story.take("a body above ten bytes").await;
    assert_problem(&story.post("x").await, "queue_full", 503, "no");
    let target = Target::echo().await;
    let agent = story.agent(&target).await;
    story.ledger().reads(&["delivered"]).await;
    agent.stop().await;
    story.take("123456").await;
    assert_problem(&story.post("12345").await, "queue_full", 503, "no");
    story.take("1234").await;
    story.ledger().reads(&["delivered", "pending", "pending"]).await;
}

#[tokio::test]
async fn a_live_event_that_cannot_wait_is_refused_and_says_so() {
    let story = Waiting::with(&[AT_ONCE, ("queue_max_events", "1")]).await;
    story.take("one").await;
    assert_problem(&story.post("two").await, "queue_full", 503, "no");
    let ledger = story.ledger();
    ledger.reads(&["pending", "failed"]).await;
    assert_eq!(ledger.deliveries()[1].code.as_deref(), Some("queue_full"));
    // What is answered live does not wait.
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(story.post("three").await.text(), "three");
}

#[tokio::test]
async fn a_large_body_that_is_refused_leaves_no_file() {
    let story = Waiting::with(&[ACK, ("queue_max_events", "1")]).await;
    let large = vec![b'x'; 700_000];
    story.take(&large).await;
    for _ in 0..3 {
        assert_problem(&story.post(&large).await, "queue_full", 503, "no");
    }
    until("only what waits is there", async || story.relay.data.names("store/spool").len() == 1)
        .await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert!(target.has_seen(1).await[0].body == large);
}

#[tokio::test]
async fn a_group_that_lags_behind_its_bounds_says_so_and_does_not_hold_up_main() {
    let story = Waiting::with(&[("groups", "ci"), ("queue_max_events", "1")]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    for body in ["one", "two"] {
        assert_eq!(story.post(body).await.text(), body);
        until("it is written", async || {
            story.ledger().states().iter().all(|state| state != "live")
        })
        .await;
    }
    let ledger = story.ledger();
    // In the order of the groups' names: ci, main.
    ledger.reads(&["pending", "delivered", "dead", "delivered"]).await;
    assert_eq!(ledger.deliveries()[2].code.as_deref(), Some("queue_full"));
}

#[tokio::test]
async fn one_endpoint_that_is_full_is_no_other_ones_concern() {
    let story = Waiting::with(&[ACK, ("queue_max_events", "1")]).await;
    let other = story.relay.endpoint_with("other", &[ACK]).await;
    story.take("one").await;
    assert_problem(&story.post("two").await, "queue_full", 503, "no");
    taken(&story.relay.provider(&other).post("/", "x").await);
    let target = Target::echo().await;
    let token = story.relay.token(&["other"]).await;
    let wanted = Wanted::for_one(&story.relay.url(), &token, "other", &target.url());
    let _agent = Agent::start(&wanted).await;
    target.has_seen(1).await;
}

#[tokio::test]
async fn what_all_queues_have_in_hand_together_is_bounded() {
    let relay = Relay::with(&[("in_flight", "4MiB")]).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let body = vec![b'x'; 100 * 1024];
    for name in names {
        let endpoint = relay.endpoint_with(name, &[ACK]).await;
        for _ in 0..4 {
            taken(&relay.provider(&endpoint).post("/", &body).await);
        }
    }
    let target = Target::by_hand().await;
    let token = relay.token(&names).await;
    let mut agents = Vec::new();
    for name in names {
        let wanted = Wanted::for_one(&relay.url(), &token, name, &target.url());
        agents.push(Agent::start(&wanted).await);
    }
    // A quarter of what requests may take: ten such bodies fit into it, and eight if it comes in unequal parts.
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..8 {
        under_way.push_back(target.asked().await.1);
    }
    let ledger = Ledger::of(&relay);
    for n in 0..24 {
        let in_hand = ledger.states().iter().filter(|state| *state == "delivering").count();
        assert!(in_hand <= 10, "{in_hand} bodies are in hand");
        let mut connection = under_way.pop_front().unwrap();
        connection.send(Written::answer(204).field("Connection", "close").bytes()).await;
        if n < 16 {
            under_way.push_back(target.asked().await.1);
        }
    }
    ledger.all(24, "delivered").await;
}
