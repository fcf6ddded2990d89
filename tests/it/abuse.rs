//! Agents that break the protocol lose their line, with a close code that says why; nobody else notices.

use bytes::Bytes;
use relay_protocol::frame::{Answered, Both, Refuse, ToRelay};
use relay_protocol::id::StreamId;
use relay_protocol::limits::FRAME_MAX;
use relay_protocol::reason::{Refusal, close};
use relay_protocol::webhook::{Answer, Fields};
use relay_tests::journey::Journey;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{is_slow, until};
use relay_tests::wire::{ByHand, hello};

/// Breaks the protocol in this way on a line of its own, while another one is at work.
async fn closes_with(code: u16, breach: impl AsyncFn(&mut ByHand)) {
    let journey = Journey::to(Target::echo().await).await;
    let (mut line, _) =
        ByHand::live(journey.relay.address, &journey.token, hello("bad", &["story"])).await;
    breach(&mut line).await;
    assert_eq!(line.closed().await, code);
    until("only the good one is left", async || journey.relay.agents("story").await == 1).await;
    assert_eq!(journey.through().post("/", "well").await.text(), "well");
}

fn data(stream: u64, length: usize) -> ToRelay {
    let bytes = Bytes::from(vec![7; length]);
    ToRelay::Both(Both::Data { stream: StreamId(stream), bytes })
}

#[tokio::test]
async fn a_text_message_ends_the_line() {
    closes_with(close::UNSUPPORTED, async |line| line.send_text("{}").await).await;
}

#[tokio::test]
async fn a_message_above_the_bound_ends_the_line() {
    closes_with(close::TOO_BIG, async |line| line.send_bytes(vec![6; FRAME_MAX + 1]).await).await;
}

#[tokio::test]
async fn bytes_that_are_no_frame_end_the_line() {
    for bytes in [vec![], vec![0x7f], vec![0x05, 1], vec![0x06; 3], vec![0; 100]] {
        closes_with(close::PROTOCOL, async |line| line.send_bytes(bytes.clone()).await).await;
    }
}

#[tokio::test]
async fn an_unknown_frame_with_the_high_bit_is_skipped() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("newer", &["story"])).await;
    line.send_bytes(vec![0xf0, 1, 2, 3]).await;
    let asked = tokio::spawn({
        let mut provider = relay.provider(&endpoint);
        async move { provider.post("/", "x").await }
    });
    let stream = line.opened().await.stream;
    line.answer(stream, 200, "fine").await;
    assert_eq!(asked.await.unwrap().text(), "fine");
}

#[tokio::test]
async fn data_for_a_stream_that_was_never_opened_ends_the_line() {
    closes_with(close::PROTOCOL, async |line| line.send(data(9, 5)).await).await;
}

#[tokio::test]
async fn a_second_hello_ends_the_line() {
    closes_with(close::PROTOCOL, async |line| {
        line.send(ToRelay::Hello(hello("bad", &["story"]))).await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_before_hello_ends_the_line() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let mut line = ByHand::connect(relay.address, &token).await.unwrap();
    line.send(ToRelay::Both(Both::Ping(1))).await;
    assert_eq!(line.closed().await, close::PROTOCOL);
}

#[tokio::test]
async fn a_hello_in_no_version_we_speak_ends_the_line() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let mut line = ByHand::connect(relay.address, &token).await.unwrap();
    let mut from_afar = hello("newer", &["story"]);
    from_afar.versions = vec![99];
    line.send(ToRelay::Hello(from_afar)).await;
    assert_eq!(line.closed().await, close::NO_VERSION);
}

#[tokio::test]
async fn a_hello_that_never_comes_ends_the_line() {
    let relay = Relay::start().await;
    let token = relay.token(&[]).await;
    let mut line = ByHand::connect(relay.address, &token).await.unwrap();
    assert_eq!(line.closed().await, close::HELLO_TIMEOUT);
}

#[tokio::test]
async fn credit_beyond_the_limit_ends_the_line() {
    closes_with(close::PROTOCOL, async |line| {
        for _ in 0..3 {
            let credit = Both::Credit { stream: StreamId(0), bytes: u32::MAX / 2 };
            line.send(ToRelay::Both(credit)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn more_than_was_granted_ends_the_line_and_the_caller_is_told() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail")]).await;
    let token = relay.token(&["story"]).await;
    let (mut line, welcome) = ByHand::live(relay.address, &token, hello("bad", &["story"])).await;
    let provider = relay.provider(&endpoint);
    let mut caller = provider.begin(&provider.request("GET", "/")).await;
    let stream = line.opened().await.stream;
    let answer = Answer { status: 200, fields: Fields::default() };
    let head = Answered { stream, answer, body: Bytes::new(), end: false };
    line.send(ToRelay::Answer(head)).await;
    caller.head().await.unwrap();
    // Nobody reads what the caller is sent, so no credit comes back.
    for _ in 0..=(64 << 20) / welcome.stream_credit * 8 {
        line.send(data(stream.0, 32 << 10)).await;
    }
    assert_eq!(line.closed().await, close::PROTOCOL);
    caller.ended().await;
}

#[tokio::test]
async fn a_second_answer_ends_the_line() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail")]).await;
    let token = relay.token(&["story"]).await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("bad", &["story"])).await;
    let provider = relay.provider(&endpoint);
    let mut caller = provider.begin(&provider.request("GET", "/")).await;
    let stream = line.opened().await.stream;
    let answer = Answer { status: 200, fields: Fields::default() };
    let head = Answered { stream, answer, body: Bytes::new(), end: false };
    line.send(ToRelay::Answer(head.clone())).await;
    line.send(ToRelay::Answer(head)).await;
    assert_eq!(line.closed().await, close::PROTOCOL);
    caller.ended().await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_told_and_the_line_stays() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail")]).await;
    let token = relay.token(&["story"]).await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("bad", &["story"])).await;
    for round in 0..2 {
        let provider = relay.provider(&endpoint);
        let mut caller = provider.begin(&provider.request("GET", "/")).await;
        let stream = line.opened().await.stream;
        let fields: Fields = [(&b"x-split"[..], &b"a\r\nb: c"[..])].into_iter().collect();
        let answer = Answer { status: 200, fields };
        line.send(ToRelay::Answer(Answered { stream, answer, body: Bytes::new(), end: true }))
            .await;
        let answer = caller.answer_to("GET").await;
        assert_eq!(answer.json()["code"], "target_bad_response", "round {round}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_agents_that_come_and_break_off() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail"), ("hold", "0ms")]).await;
    let token = relay.token(&["story"]).await;
    let rounds = if is_slow() { 2000 } else { 100 };
    for round in 0..rounds {
        let instance = format!("agent-{round}");
        let (mut line, _) = ByHand::live(relay.address, &token, hello(&instance, &["story"])).await;
        let provider = relay.provider(&endpoint);
        let caller = provider.begin(&provider.request("POST", "/").body(vec![7; 40 << 10])).await;
        let stream = line.opened().await.stream;
        match round % 4 {
            0 => drop(line),
            1 => line.send_bytes(vec![0x7f]).await,
            2 => {
                let refuse = Refuse { stream, reason: Refusal::Overloaded, detail: String::new() };
                line.send(ToRelay::Refuse(refuse)).await;
                drop(caller);
            }
            _ => drop(caller),
        }
    }
    until("no agent is left", async || relay.agents("story").await == 0).await;
    until("no memory is left", async || relay.in_flight() == 0).await;
}
