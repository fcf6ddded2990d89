//! Callers that take their time over HTTP/2, with requests, answers and pings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_tests::agent::{Agent, Wanted};
use relay_tests::authority::Authority;
use relay_tests::cost;
use relay_tests::frames::{DATA, Frames, HEADERS, Word, block, frame, setting};
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{pass, slow, until};

use super::{STREAM, World, bare, head, post, word_on_stream};

/// How many answers nobody takes, in all.
const STUCK: u32 = 200;

/// How large each of them is, in bytes.
const ANSWER: usize = 512 << 10;

#[tokio::test]
async fn answers_that_nobody_takes_cost_no_memory() {
    let authority = Arc::new(Authority::fresh());
    let mut relay = Relay::secure_program(&authority, &[]).await;
    let set = [("capture", "none"), ("max_in_flight", "1000"), ("fallback", "fail")];
    let endpoint = relay.endpoint_with("story", &set).await;
    let target = Target::scripted(|asked| {
        let length = if asked.path() == b"/alive" { 1 } else { ANSWER };
        Written::answer(200).body(vec![7; length]).bytes()
    })
    .await;
    let token = relay.token(&["story"]).await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let _agent = Agent::start(&Wanted { trust: relay.trust(), ..wanted }).await;
    let alive = format!("{}/alive", endpoint.path);
    let mut neighbour = Frames::open(relay.address, &authority, &[]).await;
    neighbour.send(bare(1, &post(&alive))).await;
    assert_eq!(neighbour.word().await, Word::Answer(1, 200));
    let process = relay.process().id();
    let before = cost::memory(process);
    let mut callers = Vec::new();
    for _ in 0..STUCK / 100 {
        // Not one byte of any answer.
        let mut caller = Frames::open(relay.address, &authority, &[setting(4, 0)]).await;
        for number in 0..100 {
            caller.send(bare(1 + 2 * number, &post(&endpoint.path))).await;
        }
        callers.push(caller);
    }
    until("the target is asked", async || target.seen().len() > STUCK as usize / 2).await;
    neighbour.send(bare(3, &post(&alive))).await;
    assert_eq!(neighbour.word().await, Word::Answer(3, 200));
    let grown = cost::memory(process).saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
    drop(callers);
}

#[tokio::test]
async fn bodies_that_drip_or_stand_still_are_given_up_and_the_connection_goes_on() {
    if !slow("bodies that drip or stand still are given up and the connection goes on") {
        return;
    }
    let world = World::fresh().await;
    for pieces in [1, 15] {
        let mut caller = world.caller().await;
        caller.send(head(STREAM, &post(&world.path("slow")))).await;
        let started = Instant::now();
        // A byte a second, until the relay has had enough of it.
        for _ in 0..pieces {
            caller.try_send(frame(DATA, 0, STREAM, "x")).await;
            pass(Duration::from_secs(1)).await;
        }
        let told = word_on_stream(&mut caller).await;
        assert_eq!(told, Word::Answer(STREAM, 408), "{pieces} pieces");
        assert!(started.elapsed() < Duration::from_secs(29), "{:?}", started.elapsed());
        assert!(world.serves(&mut caller, 101, "alive").await);
    }
    assert!(world.journey.target.seen().iter().all(|seen| seen.path() == b"/alive"));
}

#[tokio::test]
async fn who_answers_no_ping_is_cut_though_a_request_is_under_way() {
    if !slow("who answers no ping is cut though a request is under way") {
        return;
    }
    let world = World::to(Target::by_hand().await, &[], &[("reply_timeout", "2m")]).await;
    let mut silent = world.caller().await;
    silent.send(bare(1, &post(&world.path("held")))).await;
    // The same with a field block that never ends.
    let mut endless = world.caller().await;
    let begun = frame(HEADERS, 0, 3, block(&post(&world.path("endless"))));
    endless.send([bare(1, &post(&world.path("held"))), begun].concat()).await;
    let started = Instant::now();
    let (_held, _too) = (world.journey.target.asked().await, world.journey.target.asked().await);
    for caller in [&mut silent, &mut endless] {
        let cut = tokio::time::timeout(Duration::from_secs(80), async {
            while caller.next().await.is_some() {}
        });
        cut.await.expect("it is cut");
    }
    assert!(started.elapsed() < Duration::from_secs(80), "{:?}", started.elapsed());
}
