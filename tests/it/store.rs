//! What a store does, whatever engine it is: keeps what it acknowledged, gives it out once at a time and in its order.

mod bundles;
mod replay;
mod retention;
mod stall;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use relay_protocol::id::{EventId, Name};
use relay_server::clock::now_ms;
use relay_server::event::Body;
use relay_server::store::StoreError;
use relay_server::store::records::{
    Attempt, AttemptResult, Collapse, Dedup, Keep, Lease, Next, Promise, Receipt, Room, Standing,
    Start,
};
use relay_tests::shelf::{ROOMY, Shelf, accepting, due, event, key, seq};
use relay_tests::wait::{pass, soon, until};

/// A lease that runs out while the story waits for it.
const SHORT: u64 = 1;

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_in_its_order() {
    let mut shelf = Shelf::fresh().await;
    let mut seqs = Vec::new();
    for n in 0..20 {
        seqs.push(seq(&shelf.store().accept(due(shelf.event(&n.to_string()))).await));
    }
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    shelf.reopen();
    let due = shelf.lease(100).await;
    let bodies: Vec<String> =
        due.leased.iter().map(|leased| format!("{:?}", leased.event.body)).collect();
    assert!(bodies[0].contains("\"0\"") && bodies[19].contains("\"19\""), "{bodies:?}");
    assert_eq!(shelf.counts().await, [("delivering", 20)]);
}

#[tokio::test]
async fn new_ids_follow_the_newest_one_also_over_a_restart_and_when_it_has_gone() {
    let mut shelf = Shelf::fresh().await;
    let ahead = EventId::first_at(now_ms() + 3_600_000);
    shelf.note(event(shelf.endpoint, ahead, Body::Absent(0)), 200);
    shelf.store().flush().await.unwrap();
    for _ in 0..2 {
        shelf.reopen();
        assert!(shelf.store().new_id() > ahead && shelf.store().new_id() > ahead);
        shelf
            .store()
            .set_retention(shelf.endpoint, Keep { age_ms: u64::MAX, events: Some(0), bytes: None });
        shelf.answered(200).await;
        until("retention has taken them", async || shelf.listed().await.is_empty()).await;
    }
}

#[tokio::test]
async fn a_lease_is_held_by_one_and_settled_by_its_holder_only() {
    let shelf = Shelf::fresh().await;
    let id = shelf.accept("x").await;
    let now = now_ms();
    let first = shelf.lease_at(now, 9, SHORT).await.leased.remove(0);
    assert_eq!((first.lease.event, first.attempts, first.resent), (id, 0, false));
    assert!(shelf.lease_at(now - 10, 9, 1000).await.leased.is_empty());
    let second = shelf.lease_at(now + 10, 9, 60_000).await.leased.remove(0);
    assert!(second.resent && second.lease.token != first.lease.token);
    shelf.settle(first.lease, 1, 200, Next::Delivered).await;
    assert_eq!(shelf.counts().await, [("delivering", 1)]);
    shelf.settle(second.lease, 1, 500, Next::Dead("retries_exhausted")).await;
    assert_eq!(shelf.counts().await, [("dead", 1)]);
    let found = shelf.store().event(id).await.unwrap().unwrap();
    assert_eq!(found.deliveries[0].why.as_deref(), Some("retries_exhausted"));
    assert_eq!(found.deliveries[0].tried.len(), 1);
}

#[tokio::test]
async fn an_attempt_that_is_followed_by_another_stays_in_the_history() {
    let shelf = Shelf::fresh().await;
    let id = shelf.accept("x").await;
    for number in 1..=3 {
        let leased = shelf.lease_at(now_ms() + 1000, 1, 1000).await.leased.remove(0);
        assert_eq!(leased.attempts, number - 1);
        let next = Next::Retry { due_ms: now_ms(), spent_ms: u64::from(number) * 10 };
        shelf.settle(leased.lease, number, 500 + number as u16, next).await;
    }
    let last = shelf.lease_at(now_ms() + 1000, 1, 1000).await.leased.remove(0);
    assert_eq!((last.attempts, last.spent_ms), (3, 30));
    shelf.settle(last.lease, 4, 200, Next::Delivered).await;
    let tried = shelf.store().event(id).await.unwrap().unwrap().deliveries.remove(0).tried;
    let told: Vec<_> = tried.iter().map(|tried| (tried.number, tried.status)).collect();
    assert_eq!(told, [(1, Some(501)), (2, Some(502)), (3, Some(503)), (4, Some(200))]);
    match shelf.store().standing(shelf.endpoint, id).await.unwrap() {
        Standing::Answered { taken: true, status: 200, body, .. } => assert_eq!(body, "answer"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_queue_takes_nothing_and_says_so() {
    let shelf = Shelf::fresh().await;
    let room = Room { events: 2, bytes: 1000 };
    let try_one = async |body: &str| {
        let mut acceptance = due(shelf.event(body));
        acceptance.room = room;
        shelf.store().accept(acceptance).await
    };
    assert_eq!((seq(&try_one("a").await), seq(&try_one("b").await)), (1, 2));
    assert_eq!(try_one("c").await, Err(StoreError::QueueFull));
    assert_eq!(shelf.listed().await.len(), 2);
    let leased = shelf.lease(1).await.leased.remove(0);
    assert_eq!(try_one("d").await, Err(StoreError::QueueFull));
    shelf.settle(leased.lease, 1, 200, Next::Delivered).await;
    assert_eq!(seq(&try_one("e").await), 3);
}

#[tokio::test]
async fn a_repeat_is_known_while_the_first_waits_or_was_delivered_and_not_after_it_failed() {
    let shelf = Shelf::fresh().await;
    let send = async |until_ms: u64| {
        let mut acceptance = due(shelf.event("x"));
        acceptance.dedup = Some(Dedup { key: key("order-7"), until_ms });
        shelf.store().accept(acceptance).await.unwrap()
    };
    let later = now_ms() + 60_000;
    assert_eq!(send(later).await, Receipt::Kept(1));
    let first = shelf.listed().await[0].id;
    assert_eq!(send(later).await, Receipt::Repeat(first));
    let leased = shelf.lease(9).await.leased.remove(0);
    shelf.settle(leased.lease, 1, 200, Next::Delivered).await;
    assert_eq!(send(later).await, Receipt::Repeat(first));
    assert_eq!(shelf.counts().await, [("delivered", 1), ("duplicate", 2)]);
    let shelf = Shelf::fresh().await;
    let send = async || {
        let mut acceptance = due(shelf.event("x"));
        acceptance.dedup = Some(Dedup { key: key("order-7"), until_ms: later });
        shelf.store().accept(acceptance).await.unwrap()
    };
    send().await;
    let leased = shelf.lease(9).await.leased.remove(0);
    shelf.settle(leased.lease, 1, 410, Next::Dead("gone")).await;
    assert_eq!(send().await, Receipt::Kept(2));
}

#[tokio::test]
async fn what_takes_the_place_of_another_is_due_when_the_first_would_have_been_at_the_latest() {
    let shelf = Shelf::fresh().await;
    let mut due_ms = Vec::new();
    for (start, by_ms) in [(100, 250), (200, 350), (300, 450)] {
        let mut acceptance = accepting(shelf.event("x"), Start::Due(start));
        acceptance.deliveries[0].collapse = Some(Collapse { key: key("k"), by_ms });
        shelf.store().accept(acceptance).await.unwrap();
        due_ms.push(shelf.lease_at(0, 1, 1).await.next_ms);
    }
    assert_eq!(due_ms, [Some(100), Some(200), Some(250)]);
    assert_eq!(shelf.counts().await, [("collapsed", 2), ("pending", 1)]);
}

#[tokio::test]
async fn a_promise_holds_whether_or_not_the_event_was_written_before() {
    let shelf = Shelf::fresh().await;
    for flushed in [false, true] {
        let event = shelf.event("live");
        let lease = Lease::new(shelf.endpoint, event.head.id, Name::main());
        shelf.store().note(accepting(event, Start::Live(lease.token))).unwrap();
        if flushed {
            shelf.store().flush().await.unwrap();
        }
        let failed = AttemptResult::Failed { code: "link_lost", detail: "it broke".into() };
        let attempt = Some(Attempt { number: 1, started_ms: 5, took_ms: 1, result: failed });
        let next = Next::Retry { due_ms: 0, spent_ms: 1 };
        shelf.store().promise(Promise { lease, attempt, next, room: ROOMY }).await.unwrap();
    }
    let due = shelf.lease(9).await;
    assert!(due.leased.iter().all(|leased| leased.attempts == 1 && leased.resent));
    assert_eq!(due.leased.len(), 2);
}

#[tokio::test]
async fn a_promise_for_an_event_that_was_never_noted_is_refused() {
    let shelf = Shelf::fresh().await;
    let lease = Lease::new(shelf.endpoint, shelf.event("x").head.id, Name::main());
    let next = Next::Retry { due_ms: 0, spent_ms: 0 };
    let refused = shelf.store().promise(Promise { lease, attempt: None, next, room: ROOMY }).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_queue_is_woken_also_when_it_listens_late() {
    let shelf = Shelf::fresh().await;
    let signal = shelf.store().due_signal(shelf.endpoint, &Name::main());
    shelf.accept("x").await;
    soon("the queue is told", signal.notified()).await;
    assert!(tokio::time::timeout(Duration::from_millis(1), signal.notified()).await.is_err());
}

#[tokio::test]
async fn what_is_not_there_yet_when_the_feed_is_opened_comes_over_it() {
    let shelf = Shelf::fresh().await;
    for _ in 0..100 {
        let id = shelf.note(shelf.event("live"), 200);
        // Somewhere between before it is written and after it is durable.
        pass(Duration::from_micros(fastrand::u64(0..12_000))).await;
        let mut feed = shelf.store().feed();
        let before = EventId::first_at(id.unix_ms());
        let there = shelf.store().after(vec![shelf.endpoint], before, 1000).await.unwrap();
        if !there.contains(&(shelf.endpoint, id)) {
            assert_eq!(soon("it is told", feed.recv()).await.unwrap().1, id);
        }
    }
}

#[tokio::test]
async fn after_a_restart_what_was_promised_is_due_and_what_was_live_has_failed() {
    let mut shelf = Shelf::fresh().await;
    shelf.accept("x").await;
    shelf.lease_at(now_ms(), 9, 3_600_000).await;
    let event = shelf.event("live");
    let lease = Lease::new(shelf.endpoint, event.head.id, Name::main());
    shelf.store().note(accepting(event, Start::Live(lease.token))).unwrap();
    shelf.store().flush().await.unwrap();
    shelf.reopen();
    assert_eq!(shelf.counts().await, [("delivering", 1), ("failed", 1)]);
    assert!(shelf.lease(9).await.leased[0].resent);
}

/// A delivery in somebody's hands: its key, its lease, until when that holds, the number of the attempt.
type Out = (usize, Lease, u64, u32);

/// Many keys, many outcomes, leases that run out in between: in each key the next one is never out before the one before
/// it is over, none is in two hands at a time, and none is forgotten.
#[tokio::test]
async fn turns_come_in_strict_order_under_any_interleaving() {
    for seed in 0..12 {
        let mut luck = fastrand::Rng::with_seed(seed);
        let shelf = Shelf::fresh().await;
        let mut coming: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let (mut sent, mut out): (u32, Vec<Out>) = (0, Vec::new());
        let mut now = now_ms();
        let mut of_key: HashMap<_, usize> = HashMap::new();
        while sent < 60 || !coming.values().all(Vec::is_empty) {
            match luck.u32(0..4) {
                0 if sent < 60 => {
                    let which = luck.usize(0..3);
                    let mut acceptance = due(shelf.event(&sent.to_string()));
                    acceptance.deliveries[0].order_key = Some(key(&which.to_string()));
                    let id = acceptance.event.head.id;
                    of_key.insert(id, which);
                    coming.entry(which).or_default().push(id);
                    shelf.store().accept(acceptance).await.unwrap();
                    sent += 1;
                }
                1 => now += luck.u64(0..3000),
                2 => {
                    let at = now.max(now_ms()) + 1;
                    for leased in shelf.lease_at(at, luck.usize(1..5), 500).await.leased {
                        let which = of_key[&leased.lease.event];
                        assert_eq!(
                            coming[&which].first(),
                            Some(&leased.lease.event),
                            "seed {seed}"
                        );
                        let held =
                            out.iter().position(|(_, lease, ..)| lease.event == leased.lease.event);
                        if let Some((.., until, _)) = held.map(|held| out.swap_remove(held)) {
                            assert!(until <= at, "seed {seed}: held until {until}, out at {at}");
                        }
                        out.push((which, leased.lease, at + 500, leased.attempts + 1));
                    }
                }
                _ if !out.is_empty() => {
                    let (which, lease, _, number) = out.swap_remove(luck.usize(0..out.len()));
                    let next = match luck.u32(0..4) {
                        0 => Next::Retry { due_ms: now, spent_ms: 0 },
                        1 => Next::Dead("retries_exhausted"),
                        _ => Next::Delivered,
                    };
                    if !matches!(next, Next::Retry { .. }) {
                        assert_eq!(coming.get_mut(&which).unwrap().remove(0), lease.event);
                    }
                    shelf.settle(lease, number, 200, next).await;
                }
                _ => {}
            }
        }
        shelf.store().flush().await.unwrap();
        assert_eq!(shelf.counts().await.iter().map(|(_, n)| n).sum::<u64>(), 60);
        assert_eq!(shelf.store().backlog(shelf.endpoint, Name::main()).await.unwrap().count, 0);
    }
}
