//! A disk that stands still for a moment: who brings events waits until the store has room again, and nothing is lost.

use std::path::Path;

use futures_util::future::join_all;
use relay_server::clock::now_ms;
use relay_server::endpoint::EndpointId;
use relay_server::event::{Body, Event};
use relay_server::store::records::Next;
use relay_server::store::{Store, StoreError};
use relay_tests::journey::Journey;
use relay_tests::raw::Written;
use relay_tests::shelf::{Shelf, due, event, over, settlement};
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};
use tokio::time::{Duration, timeout};

/// Nobody else can write into a store while this is there.
struct Stall {
    _lock: rusqlite::Connection,
}

impl Stall {
    fn of(folder: &Path) -> Self {
        let lock = rusqlite::Connection::open(folder.join("store/relay.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { _lock: lock }
    }
}

async fn has_room(store: &Store) -> bool {
    timeout(Duration::ZERO, store.room()).await.is_ok_and(|room| room.is_ok())
}

/// More events than the store's queue takes.
fn too_many(store: &Store, endpoint: EndpointId) -> Vec<Event> {
    (0..20_000).map(|_| event(endpoint, store.new_id(), Body::Memory("x".into()))).collect()
}

/// Gives a store that stands still as much of this as it takes. It waits for a lock for 5 s only, so all is at hand.
fn fill(store: &Store, events: Vec<Event>) {
    let refused = events.into_iter().any(|event| {
        let (noted, ended) = over(event, 200);
        let refused = store.note(noted).is_err();
        if !refused {
            store.settle(ended);
        }
        refused
    });
    assert!(refused, "its queue is full");
}

#[tokio::test]
async fn who_waits_for_room_gets_it_when_the_disk_goes_on() {
    let shelf = Shelf::fresh().await;
    let stall = Stall::of(shelf.folder.path());
    let mut noted = 0;
    while has_room(shelf.store()).await {
        shelf.note(shelf.event("x"), 200);
        noted += 1;
    }
    let (waiting, goes_on) = (join_all((0..50).map(|_| shelf.store().room())), async {
        drop(stall);
    });
    let (rooms, ()) = soon("there is room", async { tokio::join!(waiting, goes_on) }).await;
    assert!(rooms.iter().all(Result::is_ok), "{rooms:?}");
    shelf.store().flush().await.unwrap();
    assert_eq!(shelf.counts().await, [("delivered", noted)]);
}

#[tokio::test]
async fn a_disk_that_stays_as_it_is_is_told_of() {
    let shelf = Shelf::fresh().await;
    let _stall = Stall::of(shelf.folder.path());
    while has_room(shelf.store()).await {
        shelf.note(shelf.event("x"), 200);
    }
    assert_eq!(shelf.store().room().await, Err(StoreError::Overloaded));
}

#[tokio::test]
async fn a_provider_is_held_up_by_a_stall_and_not_refused() {
    held_up(&[]).await;
}

#[tokio::test]
async fn so_is_one_whose_event_is_kept_for_another_group_only() {
    held_up(&[("capture", "none"), ("groups", "ci")]).await;
}

#[tokio::test]
async fn what_was_over_while_nothing_could_be_written_is_on_record_when_something_can() {
    let shelf = Shelf::fresh().await;
    let stall = Stall::of(shelf.folder.path());
    // The first is in the transaction that fails, the others come when none is begun any more.
    let mut noted = vec![shelf.note(shelf.event("at first"), 200)];
    until("the store gives up", async || shelf.store().health().is_err()).await;
    noted.extend((0..100).map(|_| shelf.note(shelf.event("meanwhile"), 200)));
    drop(stall);
    until("it writes again", async || shelf.store().flush().await.is_ok()).await;
    let mut listed: Vec<_> = shelf.listed().await.iter().map(|event| event.id).collect();
    listed.reverse();
    assert_eq!(listed, noted);
    assert_eq!(shelf.counts().await, [("delivered", 101)]);
}

#[tokio::test]
async fn what_was_tried_together_is_due_together_however_much_that_is() {
    const MANY: usize = 3000;
    let shelf = Shelf::fresh().await;
    join_all((0..MANY).map(|_| shelf.store().accept(due(shelf.event("x"))))).await;
    let leased = shelf.lease_at(now_ms(), MANY, 60_000).await.leased;
    let next = Next::Retry { due_ms: now_ms(), spent_ms: 0 };
    let failed = leased.into_iter().map(|one| settlement(one.lease, 1, 500, next.clone()));
    // While the disk stands still, the store cannot write what comes first before the rest is there.
    let stall = Stall::of(shelf.folder.path());
    shelf.store().settle_together(failed.collect());
    let due = shelf.lease_at(now_ms(), MANY, 60_000);
    let (mut due, flushed, ()) = tokio::join!(due, shelf.store().flush(), async { drop(stall) });
    flushed.unwrap();
    while due.leased.is_empty() {
        due = shelf.lease_at(now_ms(), MANY, 60_000).await;
    }
    assert_eq!(due.leased.len(), MANY);
}

/// Posts to an endpoint with these settings while its store can take nothing more.
async fn held_up(settings: &[(&str, &str)]) {
    let journey = Journey::with(Target::echo().await, &[], settings).await;
    let store = journey.relay.store();
    let endpoint = store.endpoints().await.unwrap()[0].id;
    let events = too_many(&store, endpoint);
    let stall = Stall::of(journey.relay.data.path());
    fill(&store, events);
    let mut through = journey.through();
    let (answer, ()) = tokio::join!(through.post("/", "held up"), async {
        until("it has come", async || journey.relay.in_flight() > 0).await;
        drop(stall);
    });
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_event_whose_head_is_kept_is_on_record_if_it_is_answered_during_a_stall() {
    drop(recorded("headers", b"whole", b"", 5).await);
}

#[tokio::test]
async fn so_is_one_that_is_answered_before_its_body_has_come() {
    drop(recorded("headers", b"begun", b"", LARGE).await);
}

#[tokio::test]
async fn so_is_one_whose_body_comes_during_it() {
    let (journey, id) = recorded("full", b"begun", &[0; LARGE - 5], LARGE).await;
    let body = journey.relay.api().bytes(&format!("/events/{id}/body")).await.unwrap();
    assert_eq!(body.len(), LARGE);
}

/// A body of so many bytes is passed on while it comes.
const LARGE: usize = 300_000;

/// How often a story is begun anew on a machine that is too slow for it.
const PATIENCE: usize = 5;

/// An event of this length that has begun before the store stands still, and goes on and is answered while it does; its id.
async fn recorded(capture: &str, begun: &[u8], rest: &[u8], length: usize) -> (Journey, String) {
    for _ in 0..PATIENCE {
        if let Some(recorded) = recorded_in_time(capture, begun, rest, length).await {
            return recorded;
        }
    }
    panic!("the store gives up before the event is over");
}

/// The same; none when the store has given up waiting for the lock by then.
async fn recorded_in_time(
    capture: &str,
    begun: &[u8],
    rest: &[u8],
    length: usize,
) -> Option<(Journey, String)> {
    let journey = Journey::with(Target::by_hand().await, &[], &[("capture", capture)]).await;
    journey.relay.endpoint("others").await;
    let (store, provider) = (journey.relay.store(), journey.through());
    let endpoints = store.endpoints().await.unwrap();
    let others = endpoints.iter().find(|endpoint| endpoint.name.as_str() == "others").unwrap();
    let events = too_many(&store, others.id);
    let head = provider.request("POST", "/").field("Content-Length", length.to_string());
    let mut caller = provider.begin(&head.with_bytes(begun)).await;
    let mut target = journey.target.connection().await;
    soon("the target is asked", target.head()).await.unwrap();
    let stall = Stall::of(journey.relay.data.path());
    fill(&store, events);
    caller.send(rest).await;
    target.send(Written::answer(200).body("answered").bytes()).await;
    assert_eq!(caller.answer_to("POST").await.status(), 200);
    drop((caller, target));
    until("it is over", async || journey.relay.in_flight() == 0).await;
    until("what is kept of its body is whole", async || {
        let bodies = journey.relay.data.names("store/spool");
        let whole = bodies.iter().any(|name| !name.ends_with(".part"));
        whole || capture != "full" || store.health().is_err()
    })
    .await;
    store.health().ok()?;
    drop(stall);
    let mut id = None;
    until("it is on record", async || {
        let page = journey.relay.api().get("/events?endpoint=story&state=delivered").await.unwrap();
        id = page["events"][0]["id"].as_str().map(str::to_owned);
        id.is_some()
    })
    .await;
    Some((journey, id?))
}
