//! What is too large, too slow or too much is refused, and the refusal is heard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_server::ingress::intake::GATHER;
use relay_tests::agent::{Agent, Wanted};
use relay_tests::cost::memory;
use relay_tests::fast_target;
use relay_tests::journey::Journey;
use relay_tests::provider::Provider;
use relay_tests::raw::{Connection, Written, chunk};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{slow, soon, until};
use tokio::task::JoinSet;

use super::errors::assert_problem;

#[tokio::test]
async fn a_body_above_the_bound_is_refused_before_it_is_asked_for() {
    let journey = Journey::with(Target::echo().await, &[], &[("max_body", "1MiB")]).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Expect", "100-continue");
    let request = request.field("Content-Length", ((1 << 20) + 1).to_string());
    let mut caller = through.begin(&request).await;
    let answer = caller.answer_to("POST").await;
    assert!(answer.interim.is_empty(), "no 100 Continue: {answer:?}");
    assert_problem(&answer, "body_too_large", 413, "no");
    assert!(journey.target.seen().is_empty());
}

#[tokio::test]
async fn a_caller_who_waits_for_100_continue_is_told_to_go_on() {
    let journey = Journey::to(Target::echo().await).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Expect", "100-continue");
    let mut caller = through.begin(&request.field("Content-Length", "5")).await;
    assert_eq!(soon("an interim answer", caller.head()).await.unwrap().status(), 100);
    caller.send("hello").await;
    assert_eq!(caller.answer_to("POST").await.text(), "hello");
}

#[tokio::test]
async fn nobody_uploads_for_an_endpoint_that_is_not_there() {
    let relay = Relay::start().await;
    let provider = Provider::of(relay.address, "/hooks/nothing");
    let request = provider.request("POST", "/").field("Expect", "100-continue");
    let mut caller = provider.begin(&request.field("Content-Length", "5")).await;
    let answer = caller.answer_to("POST").await;
    assert!(answer.interim.is_empty(), "no 100 Continue: {answer:?}");
    assert_problem(&answer, "unknown_endpoint", 404, "no");
}

/// A relay as a program that a shell starts under a limit of open files.
async fn under_a_limit(limit: &str) -> Relay {
    let mut relay = Relay::program(&[]).await;
    relay.stop().await;
    let limited = format!("{limit}; exec \"$0\" \"$@\"");
    relay.under = ["sh", "-c", &limited].map(str::to_owned).to_vec();
    relay.resume_program().await;
    relay
}

#[tokio::test]
async fn a_relay_takes_all_the_files_that_it_may_have() {
    const MORE_THAN_THE_SOFT_LIMIT: usize = 300;
    let relay = under_a_limit("ulimit -Sn 256").await;
    let mut open = Vec::new();
    for _ in 0..MORE_THAN_THE_SOFT_LIMIT {
        let mut connection = Connection::to(relay.address).await;
        connection.send(Written::request("GET", "/healthz").field("Host", "relay").bytes()).await;
        assert_eq!(connection.answer_to("GET").await.status(), 200);
        open.push(connection);
    }
}

#[tokio::test]
async fn a_relay_says_when_it_may_have_few_files() {
    let mut relay = under_a_limit("ulimit -n 256").await;
    let relay = relay.process();
    until("it says so", async || relay.said().contains("LimitNOFILE")).await;
}

/// Sends all of a body, whether or not anybody wants it, and only then listens.
async fn insist(mut caller: Connection, body: Vec<u8>) -> relay_tests::raw::Message {
    for piece in body.chunks(64 << 10) {
        assert!(caller.try_send(piece).await, "the refusal came as a reset");
    }
    caller.answer_to("POST").await
}

#[tokio::test]
async fn the_refusal_of_a_large_body_is_heard_by_those_who_send_it_all_first() {
    let journey = Journey::with(Target::echo().await, &[], &[("max_body", "1MiB")]).await;
    let through = journey.through();
    for _ in 0..10 {
        let length = 8 << 20;
        let request = through.request("POST", "/").field("Content-Length", length.to_string());
        let answer = insist(through.begin(&request).await, vec![7; length]).await;
        assert_problem(&answer, "body_too_large", 413, "no");
        let chunked = through.request("POST", "/").field("Transfer-Encoding", "chunked");
        let body = chunk(&vec![7; 8 << 20]);
        let answer = insist(through.begin(&chunked).await, body).await;
        assert_problem(&answer, "body_too_large", 413, "no");
    }
}

#[tokio::test]
async fn the_refusal_of_an_unknown_endpoint_is_heard_by_those_who_send_it_all_first() {
    let relay = Relay::start().await;
    let provider = Provider::of(relay.address, "/hooks/nothing");
    for _ in 0..10 {
        let request = provider.request("POST", "/").field("Content-Length", (4 << 20).to_string());
        let answer = insist(provider.begin(&request).await, vec![7; 4 << 20]).await;
        assert_problem(&answer, "unknown_endpoint", 404, "no");
    }
}

#[tokio::test]
async fn a_head_above_the_bounds_is_refused() {
    let journey = Journey::to(Target::echo().await).await;
    let through = journey.through();
    let long = "a".repeat(33 << 10);
    let mut caller = through.begin(&through.request("POST", "/").field("X-Long", &long)).await;
    assert_problem(&caller.answer_to("POST").await, "headers_too_large", 431, "no");
    let path = format!("/{}", "p".repeat(9 << 10));
    let mut caller = through.begin(&through.request("POST", path)).await;
    assert_problem(&caller.answer_to("POST").await, "uri_too_long", 414, "no");
    let mut many = through.request("POST", "/");
    for number in 0..2000 {
        many = many.field(&format!("x-{number}"), "1");
    }
    let mut caller = through.begin(&many).await;
    assert_eq!(caller.answer_to("POST").await.status(), 431);
    assert!(journey.target.seen().is_empty());
}

#[tokio::test]
async fn a_caller_who_sends_no_request_in_time_is_cut_off() {
    let relay = Relay::with(&[("header_timeout", "1s")]).await;
    for begun in ["", "POST /hooks/x HTTP/1.1\r\nHost: a\r\n"] {
        let mut caller = Connection::to(relay.address).await;
        caller.send(begun).await;
        let started = Instant::now();
        caller.ended().await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_caller_who_drips_its_head_is_cut_off() {
    let relay = Relay::with(&[("header_timeout", "1s")]).await;
    let mut caller = Connection::to(relay.address).await;
    caller.send("POST /hooks/x HTTP/1.1\r\nHost: a\r\n").await;
    let started = Instant::now();
    until("it is cut off", async || !caller.try_send("X-A: 1\r\n").await).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    if !slow("a body that stands still is given up") {
        return;
    }
    let journey = Journey::to(Target::echo().await).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Content-Length", "100");
    let mut caller = through.begin(&request).await;
    caller.send("half").await;
    assert_problem(&caller.answer_to("POST").await, "request_timeout", 408, "no");
}

#[tokio::test]
async fn what_does_not_fit_into_the_budget_is_refused_and_others_go_on() {
    let relay = [("in_flight", "1MiB")];
    let journey = Journey::with(Target::by_hand().await, &relay, &[("fallback", "fail")]).await;
    let through = journey.through();
    let body = vec![7; 200 << 10];
    let mut held = Vec::new();
    for _ in 0..4 {
        let caller = through.begin(&through.request("POST", "/").body(&body)).await;
        held.push((caller, journey.target.asked().await.1));
    }
    let answer = journey.through().post("/", &body).await;
    assert_problem(&answer, "relay_overloaded", 503, "no");
    for (caller, target) in &mut held {
        target.send(Written::answer(200).body("done").bytes()).await;
        assert_eq!(caller.answer_to("POST").await.text(), "done");
    }
    drop(held);
    until("the memory comes back", async || journey.relay.in_flight() == 0).await;
}

#[tokio::test]
async fn bodies_that_drip_are_in_the_budget_from_their_beginning() {
    let relay = [("in_flight", "1MiB")];
    let journey = Journey::with(Target::echo().await, &relay, &[("fallback", "fail")]).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Content-Length", "8");
    let mut dripping = Vec::new();
    for _ in 0..(1 << 20) / GATHER {
        let mut caller = through.begin(&request).await;
        caller.send("half").await;
        dripping.push(caller);
    }
    until("all of it is taken", async || journey.relay.in_flight() == 1 << 20).await;
    assert_problem(&journey.through().post("/", "x").await, "relay_overloaded", 503, "no");
    for caller in &mut dripping {
        caller.send("half").await;
        assert_eq!(caller.answer_to("POST").await.text(), "halfhalf");
    }
    until("the memory comes back", async || journey.relay.in_flight() == 0).await;
}

#[tokio::test]
async fn a_large_body_waits_in_a_file_and_not_in_memory() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let request = through.request("POST", "/").body(vec![7; 8 << 20]);
    let caller = tokio::spawn(async move { through.begin(&request).await.answer_to("POST").await });
    let mut target = journey.target.connection().await;
    soon("the head", target.head()).await.unwrap();
    // The target reads nothing, so the body has to wait somewhere.
    let files = || journey.relay.data.names("store/spool");
    until("it is in a file", async || !files().is_empty()).await;
    assert!(journey.relay.in_flight() <= 256 << 10, "{}", journey.relay.in_flight());
    assert_eq!(soon("the body", target.exactly(8 << 20)).await.unwrap(), vec![7; 8 << 20]);
    target.send(Written::answer(200).body("done").bytes()).await;
    assert_eq!(caller.await.unwrap().text(), "done");
    until("the memory comes back", async || journey.relay.in_flight() == 0).await;
}

#[tokio::test]
async fn many_large_bodies_at_a_time_leave_little_memory_behind() {
    /// How many there are at a time, and of how many bytes.
    const SENDERS: usize = 100;
    const SIZE: usize = 512 << 10;
    /// What may be left of that, in bytes: 60 to 76 MiB are, 171 to 194 were when each thread kept what it had read.
    const LEFT_MAX: u64 = 120 << 20;
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("story", &[("reply_timeout", "1m")]).await;
    let target = format!("http://{}", fast_target::start());
    let wanted = Wanted::for_one(&relay.url(), &relay.token(&["story"]).await, "story", &target);
    let _agent = Agent::start(&wanted).await;
    let before = memory(relay.process().id());
    let body = Arc::new(vec![7; SIZE]);
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (mut provider, body) = (relay.provider(&endpoint), Arc::clone(&body));
        senders.spawn(async move {
            for _ in 0..5 {
                assert_eq!(provider.post("/", &*body).await.status(), 200);
            }
        });
    }
    senders.join_all().await;
    let left = memory(relay.process().id()).saturating_sub(before);
    assert!(left < LEFT_MAX, "{left} bytes");
}
