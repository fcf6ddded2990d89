//! Bodies flow as they come, in both directions, and stop when nobody wants them any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::load::{Load, post};
use relay_tests::raw::{Connection, Written, chunk};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{pass, soon, until};

#[tokio::test]
async fn the_first_byte_of_server_sent_events_comes_at_once() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let mut caller = through.begin(&through.request("GET", "/events")).await;
    let (_, mut target) = journey.target.asked().await;
    let head = Written::answer(200).field("Content-Type", "text/event-stream");
    target.send(head.field("Transfer-Encoding", "chunked").bytes()).await;
    let head = soon("the head", caller.head()).await.unwrap();
    assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        target.send(chunk(event.as_bytes())).await;
        let heard = soon("the event", caller.chunk()).await.unwrap();
        assert_eq!(heard.as_deref(), Some(event.as_bytes()));
    }
    target.send("0\r\n\r\n").await;
    assert_eq!(soon("the end", caller.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn the_first_byte_of_an_answer_without_length_comes_at_once() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let mut caller = through.begin(&through.request("GET", "/")).await;
    let (_, mut target) = journey.target.asked().await;
    target.send("HTTP/1.1 200 OK\r\n\r\nfirst").await;
    soon("the head", caller.head()).await.unwrap();
    assert_eq!(soon("the first bytes", caller.chunk()).await.unwrap().unwrap(), b"first");
    drop(target);
    assert_eq!(soon("the end", caller.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn a_large_body_reaches_the_target_before_it_is_whole() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Content-Length", (1 << 20).to_string());
    let mut caller = through.begin(&request).await;
    let half = vec![7; 1 << 19];
    caller.send(&half).await;
    let mut target = journey.target.connection().await;
    soon("the head", target.head()).await.unwrap();
    assert_eq!(soon("the first half", target.exactly(1 << 19)).await.unwrap(), half);
    caller.send(&half).await;
    assert_eq!(soon("the second half", target.exactly(1 << 19)).await.unwrap(), half);
    target.send(Written::answer(200).body("done").bytes()).await;
    assert_eq!(caller.answer_to("POST").await.text(), "done");
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_passed_on() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let request = through.request("POST", "/").field("Content-Length", (1 << 20).to_string());
    let mut caller = through.begin(&request).await;
    caller.send(vec![7; 1 << 19]).await;
    let mut target = journey.target.connection().await;
    soon("the head", target.head()).await.unwrap();
    target.send(Written::answer(422).body("enough").bytes()).await;
    let answer = caller.answer_to("POST").await;
    assert_eq!((answer.status(), answer.text().as_str()), (422, "enough"));
}

#[tokio::test]
async fn a_target_that_half_closes_first_is_heard_to_its_end() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let body = vec![7; 3 << 20];
    let mut caller = through.begin(&through.request("GET", "/")).await;
    let (_, mut target) = journey.target.asked().await;
    let answer = Written::answer(200).body(&body).bytes();
    let told = async {
        target.send(&answer).await;
        target.finish_sending().await;
    };
    let (heard, ()) = tokio::join!(caller.answer_to("GET"), told);
    assert_eq!(heard.body.len(), body.len());
}

#[tokio::test]
async fn callers_that_half_close_after_their_request_are_answered() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    for round in 0..40 {
        let mut caller = through.begin(&through.request("POST", "/").body("x")).await;
        caller.finish_sending().await;
        let (_, mut target) = journey.target.asked().await;
        let body = round.to_string();
        target.send(Written::answer(200).body(&body).bytes()).await;
        assert_eq!(caller.answer_to("POST").await.text(), body);
    }
}

#[tokio::test]
async fn a_caller_that_half_closes_gets_an_answer_that_streams() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let mut caller = through.begin(&through.request("POST", "/").body("x")).await;
    caller.finish_sending().await;
    let (_, mut target) = journey.target.asked().await;
    target.send(Written::answer(200).field("Transfer-Encoding", "chunked").bytes()).await;
    soon("the head", caller.head()).await.unwrap();
    // Longer than any grace for callers that might have gone.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1200) {
        target.send(chunk(b"more")).await;
        assert_eq!(soon("more", caller.chunk()).await.unwrap().unwrap(), b"more");
    }
    target.send("0\r\n\r\n").await;
    assert_eq!(soon("the end", caller.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn when_the_caller_hangs_up_the_target_is_no_longer_asked() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let caller = through.begin(&through.request("POST", "/").body("x")).await;
    let (_, mut target) = journey.target.asked().await;
    let started = Instant::now();
    drop(caller);
    target.ended().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn when_the_caller_resets_during_the_answer_the_target_is_no_longer_asked() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    let mut caller = through.begin(&through.request("GET", "/")).await;
    let (_, mut target) = journey.target.asked().await;
    target.send("HTTP/1.1 200 OK\r\n\r\nfirst").await;
    soon("the head", caller.head()).await.unwrap();
    let started = Instant::now();
    caller.reset();
    until("the target is cut off", async || !target.try_send("more").await).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let journey = Journey::to(Target::by_hand().await).await;
    let through = journey.through();
    for head in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut caller = through.begin(&through.request("GET", "/")).await;
        let (_, mut target) = journey.target.asked().await;
        target.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\nfirst\r\n")).await;
        soon("the head", caller.head()).await.unwrap();
        drop(target);
        let rest = soon("the end", async {
            let mut all = Vec::new();
            while let Ok(bytes) = caller.some().await {
                all.extend(bytes);
            }
            all
        });
        let rest = rest.await;
        assert!(rest.len() < 100 && !rest.ends_with(b"0\r\n\r\n"), "{head} {rest:?}");
    }
}

/// Answers `/large` with 32 MiB, and everything else with a word.
async fn large_and_small() -> Target {
    let large = vec![7; 32 << 20];
    Target::scripted(move |asked| match asked.path() {
        b"/large" => Written::answer(200).body(&large).bytes(),
        _ => Written::answer(200).body("small").bytes(),
    })
    .await
}

#[tokio::test]
async fn a_caller_who_reads_nothing_holds_nobody_else_up() {
    let journey = Journey::to(large_and_small().await).await;
    let through = journey.through();
    let mut stalled = through.begin(&through.request("GET", "/large")).await;
    soon("the head", stalled.head()).await.unwrap();
    for _ in 0..100 {
        let started = Instant::now();
        assert_eq!(journey.through().get("/small").await.text(), "small");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    drop(stalled);
}

/// Reads a thousand bytes a second.
async fn dawdle(mut caller: Connection) {
    while caller.exactly(100).await.is_ok() {
        pass(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_caller_who_reads_slowly_leaves_the_others_as_fast_as_they_were() {
    /// Another program may take the machine for a while: a caller who holds the others up does so each time.
    const TRIES: usize = 3;
    let journey = Journey::to(large_and_small().await).await;
    let (to, path) = (journey.relay.address, format!("{}/small", journey.endpoint.path));
    let p99 = async || {
        let request = post(to, &path, 100, false);
        let load = Load { to, request, senders: 100, fresh: false, time: Duration::from_secs(1) };
        let measured = tokio::task::spawn_blocking(move || load.run()).await.unwrap();
        assert_eq!(measured.failed, 0, "of {}", measured.answered);
        measured.quantile(0.99)
    };
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let without = p99().await;
        let through = journey.through();
        let mut slow = through.begin(&through.request("GET", "/large")).await;
        soon("the head", slow.head()).await.unwrap();
        let dawdling = tokio::spawn(dawdle(slow));
        let with = p99().await;
        assert!(!dawdling.is_finished(), "the answer is longer than that");
        dawdling.abort();
        if with <= 3.0 * without + 50.0 {
            return;
        }
        seen.push((without, with));
    }
    panic!("p99 without and with, in milliseconds: {seen:?}");
}

/// Peak resident memory of a process, in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_gigabyte_into_a_stalled_caller_costs_the_relay_no_memory() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let target = Target::by_hand().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let _agent = Agent::start(&wanted).await;
    let before = peak(relay.process().id());
    let through = relay.provider(&endpoint);
    let mut stalled = through.begin(&through.request("GET", "/")).await;
    let (_, mut asked) = target.asked().await;
    asked.send(Written::answer(200).field("Content-Length", (1 << 30).to_string()).bytes()).await;
    soon("the head", stalled.head()).await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = Arc::clone(&sent);
        async move {
            let piece = vec![7; 64 << 10];
            while sent.load(Ordering::Relaxed) < 1 << 30 && asked.try_send(&piece).await {
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    });
    let (mut last, mut looks) = (0, 0);
    until("nothing more is taken", async || {
        let now = sent.load(Ordering::Relaxed);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        looks > 100
    })
    .await;
    sending.abort();
    let grown = peak(relay.process().id()) - before;
    assert!(last < 64 << 20 && grown < 40 << 20, "sent {last}, grown by {grown}");
}
