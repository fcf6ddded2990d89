//! A disk that stands still for a moment: who brings events waits until the store has room again, and nothing is lost.

use std::path::Path;

use futures_util::future::join_all;
use relay_server::event::Body;
use relay_server::store::{Store, StoreError};
use relay_tests::journey::Journey;
use relay_tests::shelf::{Shelf, event, note};
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};
use rusqlite::Connection;
use tokio::time::{Duration, timeout};

/// Nobody else can write into a store while this is there.
struct Stall {
    _lock: Connection,
}

impl Stall {
    fn of(folder: &Path) -> Self {
        let lock = Connection::open(folder.join("store/relay.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { _lock: lock }
    }
}

async fn has_room(store: &Store) -> bool {
    timeout(Duration::ZERO, store.room()).await.is_ok_and(|room| room.is_ok())
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

/// Posts to an endpoint with these settings while its store can take nothing more.
async fn held_up(settings: &[(&str, &str)]) {
    let journey = Journey::with(Target::echo().await, &[], settings).await;
    let store = journey.relay.store();
    let endpoint = store.endpoints().await.unwrap()[0].id;
    let stall = Stall::of(journey.relay.data.path());
    let fresh = || event(endpoint, store.new_id(), Body::Memory("x".into()));
    while note(&store, fresh(), 200).is_ok() {}
    let mut through = journey.through();
    let (answer, ()) = tokio::join!(through.post("/", "held up"), async {
        until("it has come", async || journey.relay.in_flight() > 0).await;
        drop(stall);
    });
    assert_eq!(answer.status(), 200);
}
